"""ROOM 2: what a served model does once, after its variables are restored: it fills tables.

What passes through: all nodes of a graph, and those that the signatures reach, come in; the initializers that
these need go out, in an order in which they can run. TF1 keeps them as ops in the graph, TF2 as calls of
functions. Those that only the trainer needed stay behind, with the files that they read. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from servable.graphs.frames import Frame, find_nodes
from servable.graphs.graph import TABLE_INITIALIZER_OPS, find_ancestors, read_edge, trace_back
from servable.graphs.op_classes import CHECKPOINT_READING_OPS

ASSIGN_OPS = frozenset({"Assign", "AssignVariableOp"})

# Without inputs of their own, and yet no state that anybody could fill.
_STATELESS_OPS = frozenset({"Const", "NoOp", "Placeholder", "PlaceholderV2", "ImmutableConst"})


def find_initializers(frame: Frame, reached: Collection[str], roots: Iterable[str]) -> list[str]:
    """Names the nodes that fill what the signatures reach, those first that others wait for.

    Args:
        frame: The graph.
        reached: Nodes that the signatures need.
        roots: Nodes that the source's own loader runs, groups of them too. Initializers of tables are found
            without being named.
    """
    nodes = frame.nodes
    tables = [node.name for node in nodes.values() if _fills_table(nodes, node)]
    candidates = {name: {trace_back(nodes, nodes[name].input[0]).node} for name in tables}
    always = []
    for name in _split_groups(nodes, roots):
        targets = _find_targets(frame, name)
        if targets is None:
            always.append(name)
        else:
            candidates.setdefault(name, targets)
    waiting: dict[str, list[str]] = {}
    for name, targets in candidates.items():
        for target in targets:
            waiting.setdefault(target, []).append(name)

    kept: dict[str, set[str]] = {}
    todo, known, fresh = list(always), set(reached), set(reached)
    while todo or fresh:
        todo += [name for target in sorted(fresh & waiting.keys()) for name in waiting[target]]
        fresh = set()
        for name in todo:
            if name not in kept:
                kept[name] = find_ancestors(nodes, [name])
                fresh |= kept[name] - known
        known |= fresh
        todo = []
    in_graph_order = {name: kept[name] for name in nodes if name in kept}
    return _order(nodes, in_graph_order)


def find_started(nodes: Mapping[str, Any], initializers: Iterable[str]) -> set[str]:
    """Names the variables that initializers give a value, such as local ones and the paths of assets."""
    return {
        trace_back(nodes, nodes[name].input[0]).node for name in initializers if nodes[name].op in ASSIGN_OPS
    }


def _fills_table(nodes: Mapping[str, Any], node: Any) -> bool:
    if node.op not in TABLE_INITIALIZER_OPS or not node.input:
        return False
    # A saver fills tables too, but with what it restores, which the loader does by itself.
    data = (trace_back(nodes, text).node for text in node.input[1:])
    return not any(name in nodes and nodes[name].op in CHECKPOINT_READING_OPS for name in data)


def _split_groups(nodes: Mapping[str, Any], roots: Iterable[str]) -> list[str]:
    """Takes groups (NoOps that wait for others) apart into what they stand for."""
    seen: dict[str, None] = {}
    stack = [read_edge(root).node for root in roots]
    while stack:
        name = stack.pop()
        if name not in seen and name in nodes:
            seen[name] = None
            if nodes[name].op == "NoOp":
                stack += [read_edge(text).node for text in nodes[name].input]
    return [name for name in seen if nodes[name].op != "NoOp"]


def _find_targets(frame: Frame, name: str) -> set[str] | None:
    """Names the state that an initializer fills, or may fill; None where it keeps its state to itself."""
    node = frame.nodes[name]
    needed = find_ancestors(frame.nodes, [name])
    if any(frame.nodes[n].op in CHECKPOINT_READING_OPS for n in needed):
        return set()  # the loader restores by itself
    if node.op in ASSIGN_OPS or node.op in TABLE_INITIALIZER_OPS:
        return {trace_back(frame.nodes, node.input[0]).node} if node.input else set()
    state = {n for n in needed if not frame.nodes[n].input and frame.nodes[n].op not in _STATELESS_OPS}
    state.discard(name)
    if not state and any(_has_state(call) for call in frame.open_calls(node)):
        return None
    return state


def _has_state(call: Frame) -> bool:
    """Looks for tables that a function reaches by their shared name and not by an argument."""
    return any(True for _ in find_nodes(call, call.nodes, TABLE_INITIALIZER_OPS))


def _order(nodes: Mapping[str, Any], ancestors: Mapping[str, set[str]]) -> list[str]:
    """Sorts initializers so that one that waits for another, or reads its table, comes after it."""
    fillers: dict[str, list[str]] = {}
    for name in ancestors:
        if nodes[name].op in TABLE_INITIALIZER_OPS:
            fillers.setdefault(trace_back(nodes, nodes[name].input[0]).node, []).append(name)
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, needed in ancestors.items():
        own = trace_back(nodes, nodes[name].input[0]).node if nodes[name].input else ""
        reads = _find_read(nodes, name) & fillers.keys() if name in _flatten(fillers) else set()
        waits = (needed & ancestors.keys()) | {f for table in reads - {own} for f in fillers[table]}
        sorter.add(name, *sorted(waits - {name}))
    try:
        return list(sorter.static_order())
    except CycleError:
        return list(ancestors)  # nothing can be waited for; the graph's own order is as good as any


def _find_read(nodes: Mapping[str, Any], name: str) -> set[str]:
    return find_ancestors(nodes, nodes[name].input[1:])


def _flatten(fillers: Mapping[str, Sequence[str]]) -> set[str]:
    return {name for names in fillers.values() for name in names}
