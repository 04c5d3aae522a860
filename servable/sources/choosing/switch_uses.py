"""ROOM 1: what a scalar of a training graph is used for: a branch's condition, a dropout's share, a divisor.

What passes through: a tensor comes in, its uses go out, followed through ops that hand it on, turn a
condition round or take a share from one. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from servable.graphs.graph import Edge
from servable.graphs.served_path import read_const_number
from servable.sources.choosing.function_bodies import iterate_calls, lay_out_body
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_random

_HANDING_OPS = frozenset(
    {
        "Identity",
        "Enter",
        "StopGradient",
        "Snapshot",
        "Cast",
        "Reshape",
        "ExpandDims",
        "Squeeze",
        "Merge",
        "Fill",
    }
)
_TURNING_OPS = frozenset({"LogicalNot"})
_JOINING_OPS = frozenset({"LogicalAnd", "LogicalOr"})
_CONDITION_OPS = frozenset({"If", "StatelessIf", "Select", "SelectV2"})
_ABOVE_OPS = frozenset({"Greater", "GreaterEqual"})
_BELOW_OPS = frozenset({"Less", "LessEqual"})
_ADD_OPS = frozenset({"Add", "AddV2"})
_DIVIDE_OPS = frozenset({"Div", "RealDiv"})
_RANDOM_ARITHMETIC = frozenset({"Add", "AddV2", "Mul", "Sub", "Identity", "Cast", "Enter", "Switch"})

_MAX_STEPS = 400
_MAX_USES = 400
_MAX_RANDOM_STEPS = 24


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a scalar.

    Attributes:
        kind: "condition" (decides what is computed), "keep" or "rate" (a dropout's share of what stays or
            goes), "divisor", "scale" or "other".
        node: The node that uses it.
        turned: Whether the node gets its opposite: not x, or 1 - x.
        number: What it is compared with, where it is.
        graph: Where the node is: the graph, or a function's body.
    """

    kind: str
    node: str
    turned: bool = False
    number: float | None = None
    graph: TrainingGraph | None = field(default=None, compare=False, repr=False)


def find_uses(graph: TrainingGraph, tensor: Edge) -> list[Use]:
    """Follows a scalar to all its uses outside of gradients and updates, into functions too."""
    uses: list[Use] = []
    seen: set[tuple[Edge, bool, float | None]] = set()
    stack: list[tuple[Edge, bool, float | None]] = [(tensor, False, None)]
    while stack and len(seen) < _MAX_STEPS:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        edge, turned, number = state
        for name, position in graph.readers.get(edge, ()):
            if name in graph.machinery:
                continue
            uses += _find_inner_uses(graph, name, position, turned, number)
            step = _read_step(graph, name, position)
            if isinstance(step, Use):
                uses.append(Use(step.kind, name, turned, number, graph))
                continue
            turn, compared = step
            for output in graph.list_read_outputs(name):
                stack.append((output, turned != turn, number if compared is None else compared))
    return uses[:_MAX_USES]


def _find_inner_uses(
    graph: TrainingGraph, name: str, position: int, turned: bool, number: float | None
) -> list[Use]:
    uses = []
    for function, skipped in iterate_calls(graph.nodes[name]):
        for use in _find_argument_uses(graph, function, position - skipped):
            compared = number if use.number is None else use.number
            uses.append(replace(use, turned=use.turned != turned, number=compared))
    return uses


def _find_argument_uses(graph: TrainingGraph, function: str, position: int) -> list[Use]:
    """Looks into each function once: a hostile library may call itself without end."""
    key = (function, position)
    if key not in graph.argument_uses:
        graph.argument_uses[key] = []
        body = lay_out_body(graph, function)
        if body is not None and 0 <= position < len(graph.functions[function].signature.input_arg):
            argument = graph.functions[function].signature.input_arg[position].name
            graph.argument_uses[key] = find_uses(body, Edge(argument, 0))
    return graph.argument_uses[key]


def _read_step(graph: TrainingGraph, name: str, position: int) -> Use | tuple[bool, float | None]:
    """A use that ends the walk, or how the value goes on: turned round or not, and compared with what."""
    node = graph.nodes[name]
    inputs = graph.inputs[name]
    other = inputs[1 - position] if len(inputs) == 2 and position < 2 else None
    if node.op in ("Switch", "RefSwitch"):
        return Use("condition", name) if position == 1 else (False, None)
    if node.op in _CONDITION_OPS:
        decides = position == 0 and (node.op not in ("Select", "SelectV2") or len(inputs) == 3)
        return Use("condition" if decides else "other", name)
    if node.op in _HANDING_OPS or node.op in _JOINING_OPS:
        return False, None
    if node.op in _TURNING_OPS:
        return True, None
    if other is None:
        return Use("other", name)
    number = _read_number(graph, other)
    if node.op == "Sub" and position == 1 and number == 1.0:
        return True, None
    if node.op in ("Equal", "NotEqual") and number is not None:
        return node.op == "NotEqual", number
    return Use(_read_arithmetic(graph, node.op, position, name, other), name)


def _read_arithmetic(graph: TrainingGraph, op: str, position: int, name: str, other: Edge) -> str:
    if op in _ABOVE_OPS | _BELOW_OPS and draws_uniform(graph, other):
        # uniform >= rate, uniform < keep, and the same read from the other side
        return "rate" if (op in _ABOVE_OPS) == (position == 1) else "keep"
    if op in _ADD_OPS and draws_uniform(graph, other):
        readers = [graph.nodes[reader].op for reader in graph.find_readers(name)]
        return "keep" if "Floor" in readers else "other"
    if op in _DIVIDE_OPS and position == 1:
        return "divisor"
    return "scale" if op == "Mul" else "other"


def draws_uniform(graph: TrainingGraph, edge: Edge) -> bool:
    """Whether a tensor is a random draw that was at most scaled and shifted."""
    stack = [edge.node]
    for _ in range(_MAX_RANDOM_STEPS):
        if not stack:
            return False
        node = graph.nodes.get(stack.pop())
        if node is None:
            continue
        if is_random(node):
            return True
        if node.op in _RANDOM_ARITHMETIC:
            stack += [source.node for source in graph.inputs[node.name]]
    return False


def iterate_masks(graph: TrainingGraph) -> Iterator[str]:
    """Names the random draws that are only ever compared with a share, as a dropout's are."""
    for name, node in graph.nodes.items():
        if is_random(node) and _ends_in_mask(graph, name):
            yield name


def _ends_in_mask(graph: TrainingGraph, name: str) -> bool:
    stack, steps = [name], 0
    while stack:
        current = stack.pop()
        readers = [reader for reader in graph.find_readers(current) if reader not in graph.machinery]
        steps += 1
        if not readers or steps > _MAX_RANDOM_STEPS:
            return False
        for reader in readers:
            op = graph.nodes[reader].op
            if op in _RANDOM_ARITHMETIC:
                stack.append(reader)
            elif op not in _ABOVE_OPS | _BELOW_OPS and op != "Floor":
                return False
    return True


def _read_number(graph: TrainingGraph, edge: Edge) -> float | None:
    node = graph.nodes.get(edge.node)
    return read_const_number(node) if node is not None and node.op == "Const" else None
