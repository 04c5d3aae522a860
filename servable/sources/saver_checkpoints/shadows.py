"""ROOM 1: which variable of a training graph is another's moving average, read from its update.

What passes through: nodes come in, variables and their shadows go out. Known forms: `shadow -= (shadow -
variable) * (1 - decay)`, the same with `+=`, `shadow = shadow * decay + variable * (1 - decay)`, and what
`assign_moving_average(zero_debias=True)` makes of them. What a batch normalization averages is no variable,
so that its moving statistics are none of these. No TensorFlow here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from servable.graphs.graph import VARIABLE_OPS, Edge, read_edge
from servable.graphs.variables import read_variable_spec

# Ops that hand a variable or its value on: reads, the way into a conditional or a loop, and updates of a
# reference variable, which give the variable itself.
_HANDING_OPS = frozenset(
    {"Identity", "ReadVariableOp", "Cast", "Snapshot"}
    | {"Switch", "RefSwitch", "Enter", "RefEnter", "RefIdentity"}
    | {"Assign", "AssignAdd", "AssignSub"}
)
_SUBTRACT_OPS = frozenset({"AssignSub", "AssignSubVariableOp"})
_ADD_OPS = frozenset({"AssignAdd", "AssignAddVariableOp"})
_ASSIGN_OPS = frozenset({"Assign", "AssignVariableOp"})
_SUM_OPS = frozenset({"Add", "AddV2", "AddN"})
_DIVIDE_OPS = frozenset({"RealDiv", "Div", "DivNoNan"})
_MAX_STEPS = 32


def find_shadows(nodes: Mapping[str, Any]) -> dict[str, set[str]]:
    """Finds the variables that training moves towards another variable.

    Args:
        nodes: By name.

    Returns:
        Variable to its shadows. Where a shadow is kept without its bias towards zero, in a variable of its
        own, that one.
    """
    shadows: dict[str, set[str]] = defaultdict(set)
    unbiased: dict[str, str] = {}
    for node in nodes.values():
        inputs = [text for text in node.input if not text.startswith("^")]
        if node.op not in _SUBTRACT_OPS | _ADD_OPS | _ASSIGN_OPS or len(inputs) < 2:
            continue
        target = _find_variable(nodes, inputs[0])
        if target is None:
            continue
        if (biased := _read_unbiasing(nodes, node.op, target, inputs[1])) is not None:
            unbiased[biased] = target
        followed = _read_blend(nodes, node.op, target, inputs[1])
        if followed is not None and _is_like(nodes[followed], nodes[target]):
            shadows[followed].add(target)
    return {name: {unbiased.get(shadow, shadow) for shadow in found} for name, found in shadows.items()}


def _read_blend(nodes: Mapping[str, Any], op: str, target: str, value: str) -> str | None:
    """Reads which other variable an update moves its target towards."""
    edge = _trace(nodes, value)
    if op in _ASSIGN_OPS:  # shadow = shadow * decay + variable * (1 - decay)
        node = nodes.get(edge.node)
        if node is None or node.op not in _SUM_OPS:
            return None
        terms = [_trace(nodes, text) for text in node.input if not text.startswith("^")]
        found = [_find_factor_variable(nodes, term) for term in terms]
        others = [name for name in found if name != target]
        return others[0] if len(found) == 2 and len(others) == 1 else None
    for factor in _list_factors(nodes, edge):  # shadow -= (shadow - variable) * (1 - decay)
        node = nodes.get(factor.node)
        if node is None or node.op != "Sub":
            continue
        left, right = (_find_variable(nodes, _name_input(node, number)) for number in (0, 1))
        kept, followed = (left, right) if op in _SUBTRACT_OPS else (right, left)
        if kept == target and followed is not None and followed != target:
            return followed
    return None


def _read_unbiasing(nodes: Mapping[str, Any], op: str, target: str, value: str) -> str | None:
    """Reads what `zero_debias=True` adds; returns the variable that holds the average with its bias.

    It is `shadow -= shadow - biased / (1 - decay ** steps)`, and `shadow = biased / (...)` in TensorFlow 2.
    """
    node = nodes.get(_trace(nodes, value).node)
    if op in _SUBTRACT_OPS and node is not None and node.op == "Sub":
        if _find_variable(nodes, _name_input(node, 0)) != target:
            return None
        node = nodes.get(_trace(nodes, _name_input(node, 1)).node)
    elif op not in _ASSIGN_OPS:
        return None
    if node is None or node.op not in _DIVIDE_OPS:
        return None
    return _find_variable(nodes, _name_input(node, 0))


def _name_input(node: Any, number: int) -> str:
    """Spells one input; of a node that lacks it, in a broken graph, a name that no node has."""
    return str(node.input[number]) if number < len(node.input) else ""


def _list_factors(nodes: Mapping[str, Any], edge: Edge) -> list[Edge]:
    node = nodes.get(edge.node)
    if node is None or node.op != "Mul":
        return [edge]
    return [_trace(nodes, text) for text in list(node.input)[:2]]


def _find_factor_variable(nodes: Mapping[str, Any], edge: Edge) -> str | None:
    """Names the one variable in a product with a decay, which is a scalar and may be a variable too."""
    names = [_find_variable(nodes, f"{factor.node}:{factor.output}") for factor in _list_factors(nodes, edge)]
    found = [name for name in names if name is not None and read_variable_spec(nodes[name]).shape != ()]
    return found[0] if len(found) == 1 and len(names) == 2 else None


def _find_variable(nodes: Mapping[str, Any], tensor: str) -> str | None:
    name = _trace(nodes, tensor).node
    return name if name in nodes and nodes[name].op in VARIABLE_OPS else None


def _trace(nodes: Mapping[str, Any], tensor: str) -> Edge:
    edge = read_edge(tensor)
    for _ in range(_MAX_STEPS):
        node = nodes.get(edge.node)
        if node is None or node.op not in _HANDING_OPS or not node.input:
            break
        edge = read_edge(node.input[0])
    return edge


def _is_like(node: Any, other: Any) -> bool:
    mine, others = read_variable_spec(node), read_variable_spec(other)
    return mine.dtype == others.dtype and (None in (mine.shape, others.shape) or mine.shape == others.shape)
