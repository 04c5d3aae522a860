"""ROOM 2: decides v1 conditionals whose predicate is known, so that the training branch falls away.

What passes through: nodes of a graph in which a training switch has been frozen. `tf.cond` of TensorFlow 1
becomes Switch and Merge nodes; left alone, the branch for training would stay in the serving graph with its
dropout, its batch statistics and its variables, though it can never run. No TensorFlow here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from servable.formats.protos import NodeDef
from servable.graphs.graph import Edge, read_edge, spell_edge, unique_name

_SWITCH_OPS = frozenset({"Switch", "RefSwitch"})
_MERGE_OPS = frozenset({"Merge", "RefMerge"})
# A predicate often passes through these on its way from the placeholder to the Switch.
_PASSING_OPS = frozenset({"Identity", "StopGradient", "Squeeze", "Reshape", "Snapshot"})
_DT_BOOL = 10
_DT_INT32 = 3


def fold_conditionals(nodes: dict[str, Any]) -> dict[str, Any]:
    """Replaces Switch and Merge nodes whose predicate is a known constant.

    Args:
        nodes: By name; not changed.

    Returns:
        The nodes with decided conditionals as plain Identity nodes. Nodes of the branch not taken are still
        there, but nothing that is taken refers to them any more.
    """
    decided = _find_decided_switches(nodes)
    if not decided:
        return dict(nodes)
    dead = _find_dead_tensors(nodes, decided)
    folded = {name: _fold_node(node, decided, dead) for name, node in nodes.items()}
    _rewire(folded, nodes, decided, dead)
    return folded


def _find_decided_switches(nodes: Mapping[str, Any]) -> dict[str, bool]:
    known: dict[str, bool | None] = {}
    switches = (node for node in nodes.values() if node.op in _SWITCH_OPS and len(node.input) > 1)
    values = ((node.name, _evaluate(nodes, read_edge(node.input[1]).node, known)) for node in switches)
    return {name: value for name, value in values if value is not None}


def _evaluate(nodes: Mapping[str, Any], wanted: str, known: dict[str, bool | None]) -> bool | None:
    """Works out a boolean from constants; None when it depends on anything else."""
    stack, begun = [wanted], set[str]()
    while stack:  # no recursion: a chain of nodes may be longer than Python's stack
        name = stack[-1]
        operands = _list_operands(nodes.get(name))
        if name in known:
            stack.pop()
        elif name in begun:
            known[name] = _compute(nodes[name], [known.get(operand) for operand in operands])
            stack.pop()
        elif name in nodes:
            begun.add(name)
            stack += [operand for operand in operands if operand not in begun]  # a cycle cannot decide itself
        else:
            known[name] = None
    return known[wanted]


def _list_operands(node: Any) -> list[str]:
    """Names what a boolean is worked out from."""
    data = [read_edge(text).node for text in node.input if not text.startswith("^")] if node else []
    if not data:
        return []
    if node.op in ("LogicalAnd", "LogicalOr"):
        return data
    # A Switch hands on the predicate of an inner conditional, passed into an outer one.
    return data[:1] if node.op in _PASSING_OPS | _SWITCH_OPS | {"LogicalNot"} else []


def _compute(node: Any, operands: list[bool | None]) -> bool | None:
    if node.op == "Const" and node.attr["dtype"].type == _DT_BOOL:
        return _read_bool(node.attr["value"].tensor)
    if not operands:
        return None
    if node.op in ("LogicalAnd", "LogicalOr"):
        decisive = bool(node.op == "LogicalOr")
        if decisive in operands:
            return decisive
        return None if None in operands else not decisive
    value = operands[0]
    return value if value is None or node.op != "LogicalNot" else not value


def _read_bool(tensor: Any) -> bool | None:
    values = list(tensor.tensor_content) or list(tensor.bool_val)
    return bool(values[0]) if len(values) == 1 else None


def _find_dead_tensors(nodes: Mapping[str, Any], decided: Mapping[str, bool]) -> set[Edge]:
    """Finds what the branches not taken compute: edges to dead outputs, and control edges to dead nodes."""
    consumers: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        for text in node.input:
            consumers[read_edge(text).node].append(node.name)
    dead = {Edge(name, 0 if taken else 1) for name, taken in decided.items()}
    dead_nodes: set[str] = set()

    def is_dead(text: str) -> bool:
        edge = read_edge(text)
        return edge.node in dead_nodes or edge in dead

    stack = [consumer for edge in dead for consumer in consumers[edge.node]]
    while stack:
        name = stack.pop()
        node = nodes[name]
        if name in dead_nodes:
            continue
        data = [text for text in node.input if not text.startswith("^")]
        controls = [text for text in node.input if text.startswith("^")]
        gone = all(map(is_dead, data)) if node.op in _MERGE_OPS else any(map(is_dead, data))
        if (gone and data) or any(map(is_dead, controls)):
            dead_nodes.add(name)
            stack.extend(consumers[name])
    # An edge list cannot name outputs that it has not seen, so dead nodes are spelled for every edge to them.
    for node in nodes.values():
        dead.update(edge for edge in map(read_edge, node.input) if edge.node in dead_nodes)
    return dead


def _fold_node(node: Any, decided: Mapping[str, bool], dead: set[Edge]) -> Any:
    if node.name in decided:
        return _make_identity(node, node.input[0])
    if node.op in _MERGE_OPS:
        data = [text for text in node.input if not text.startswith("^")]
        live = [text for text in data if read_edge(text) not in dead]
        if len(live) == 1 < len(data):
            return _make_identity(node, live[0])
    return node


def _make_identity(node: Any, data_input: str) -> Any:
    identity = NodeDef(name=node.name, op="Identity", device=node.device)
    identity.input.append(data_input)
    identity.input.extend(text for text in node.input if text.startswith("^"))
    identity.attr["T"].CopyFrom(node.attr["T"])
    return identity


def _rewire(
    folded: dict[str, Any], before: Mapping[str, Any], decided: Mapping[str, bool], dead: set[Edge]
) -> None:
    """Points consumers at output 0 of what is now an Identity, and at a constant for Merge's index."""
    merged = {n for n, node in folded.items() if before[n].op in _MERGE_OPS and node.op == "Identity"}
    constants: dict[str, str] = {}
    for name, node in list(folded.items()):
        inputs = [read_edge(text) for text in node.input]
        changed = []
        for edge in inputs:
            if edge.output == 1 and edge.node in decided and edge not in dead:
                changed.append(Edge(edge.node, 0))
            elif edge.output == 1 and edge.node in merged:
                if edge.node not in constants:
                    constants[edge.node] = _add_value_index(folded, before[edge.node], dead)
                changed.append(Edge(constants[edge.node], 0))
            else:
                changed.append(edge)
        if changed != inputs:
            replacement = NodeDef()
            replacement.CopyFrom(node)
            del replacement.input[:]
            replacement.input.extend(map(spell_edge, changed))
            folded[name] = replacement


def _add_value_index(folded: dict[str, Any], merge: Any, dead: set[Edge]) -> str:
    data = [text for text in merge.input if not text.startswith("^")]
    taken = next(position for position, text in enumerate(data) if read_edge(text) not in dead)
    name = unique_name(f"{merge.name}/value_index", folded)
    constant = NodeDef(name=name, op="Const")
    constant.attr["dtype"].type = _DT_INT32
    constant.attr["value"].tensor.dtype = _DT_INT32
    constant.attr["value"].tensor.tensor_shape.SetInParent()
    constant.attr["value"].tensor.int_val.append(taken)
    folded[name] = constant
    return name
