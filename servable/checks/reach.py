"""Which nodes of a graph a server runs, and for what: signatures, start-up, restoring variables.

What passes through: a MetaGraphDef comes in; nodes with their place (the main graph or a function of its
library) and the purposes they are run for come out. A server never runs the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from servable.graphs.graph import find_ancestors, find_functions, index_nodes, normalize_tensor, read_edge
from servable.graphs.saved_model_parts import read_assets, read_start_ops
from servable.signature import RESERVED_SIGNATURES

INIT_PURPOSE = "start-up"
RESTORE_PURPOSE = "restoring variables"

_PASSING_OPS = frozenset({"Identity", "StopGradient", "Snapshot", "PlaceholderWithDefault"})
_MAX_HOPS = 1000


class PlacedNode(NamedTuple):
    """A node and where it stands: "" is the main graph, else a function's name."""

    place: str
    node: Any

    @property
    def where(self) -> str:
        """The place in words."""
        return f"node {self.node.name}" + (f" in function {self.place}" if self.place else "")


class GraphReach:
    """A MetaGraphDef seen from the ops that a server runs."""

    def __init__(self, meta_graph: Any) -> None:
        self._meta_graph = meta_graph
        self._graph_def = meta_graph.graph_def
        self.nodes = index_nodes(self._graph_def)
        self._functions = {f.signature.name: f for f in self._graph_def.library.function}

    @cached_property
    def roots(self) -> dict[str, tuple[list[str], list[str]]]:
        """Purpose to the tensors that are fetched and those that are fed; signatures by their name."""
        meta_graph = self._meta_graph
        roots: dict[str, tuple[list[str], list[str]]] = {}
        for name, signature in meta_graph.signature_def.items():
            if name not in RESERVED_SIGNATURES:
                fed = [normalize_tensor(info.name) for info in signature.inputs.values() if info.name]
                roots[name] = [info.name for info in signature.outputs.values() if info.name], fed
        roots[INIT_PURPOSE] = read_start_ops(meta_graph), list(self.asset_tensors)
        restore = meta_graph.saver_def.restore_op_name
        roots[RESTORE_PURPOSE] = [restore] if restore else [], []
        return roots

    @cached_property
    def purposes(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """(place, node name) to what it is run for; a node that is not here is never run."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for purpose in self.roots:
            for placed in self.iterate_nodes(purpose):
                key = placed.place, placed.node.name
                found[key] = (*found.get(key, ()), purpose)
        return found

    @cached_property
    def asset_tensors(self) -> frozenset[str]:
        """Tensors that the loader feeds with the paths of assets."""
        infos = (asset.tensor_info for asset in read_assets(self._meta_graph))
        return frozenset(normalize_tensor(info.name) for info in infos)

    def iterate_nodes(self, purpose: str) -> Iterator[PlacedNode]:
        """Yields the nodes that are run for one purpose, those of called functions included."""
        outputs, fed = self.roots[purpose]
        names = find_ancestors(self.nodes, outputs, stop_at=fed)
        main = [node for name, node in self.nodes.items() if name in names]
        yield from (PlacedNode("", node) for node in main)
        for function in sorted(find_functions(self._graph_def, main)):
            yield from (PlacedNode(function, node) for node in self._functions[function].node_def)

    def iterate_all(self) -> Iterator[PlacedNode]:
        """Yields every node of the graph and of every function, run or not."""
        yield from (PlacedNode("", node) for node in self._graph_def.node)
        for name, function in self._functions.items():
            yield from (PlacedNode(name, node) for node in function.node_def)

    def trace_origin(self, placed: PlacedNode, position: int) -> PlacedNode | None:
        """Follows an input back to the node where its value arises, out of functions into their callers.

        Args:
            placed: The node whose input it is.
            position: Which of its inputs.

        Returns:
            The origin, or None where it can't be followed (several callers, control flow, a loop).
        """
        for _ in range(_MAX_HOPS):
            data = [text for text in placed.node.input if not text.startswith("^")]
            if position >= len(data):
                return None
            found = self._find_producer(placed.place, data[position])
            if found is None:
                return None
            placed, argument = found
            if argument is not None:  # a call, seen from inside: go on with what the caller hands over
                position = argument
            elif not placed.place and f"{placed.node.name}:0" in self.asset_tensors:
                return placed
            elif placed.node.op == "ReadVariableOp" and not placed.place:
                assignment = self._find_assignment(placed.node)
                if assignment is None:
                    return placed
                placed, position = assignment, 1
            elif placed.node.op in _PASSING_OPS and placed.node.input:
                position = 0
            else:
                return placed
        return None

    def _find_producer(self, place: str, text: str) -> tuple[PlacedNode, int | None] | None:
        name = text.split(":")[0] if place else read_edge(text).node
        if not place:
            return (PlacedNode("", self.nodes[name]), None) if name in self.nodes else None
        function = self._functions[place]
        for node in function.node_def:
            if node.name == name:
                return PlacedNode(place, node), None
        arguments = [argument.name for argument in function.signature.input_arg]
        callers = self._callers.get(place, [])
        if name not in arguments or len(callers) != 1:
            return None
        return callers[0], arguments.index(name)

    def _find_assignment(self, read: Any) -> PlacedNode | None:
        """Finds the one node that fills the variable which is read; tables keep a file's name in one."""
        handle = read_edge(read.input[0]).node
        found = [
            node
            for node in self.nodes.values()
            if node.op == "AssignVariableOp" and read_edge(node.input[0]).node == handle
        ]
        return PlacedNode("", found[0]) if len(found) == 1 else None

    @cached_property
    def _callers(self) -> dict[str, list[PlacedNode]]:
        callers: dict[str, list[PlacedNode]] = {}
        for placed in self.iterate_all():
            op = placed.node.op
            if op in ("PartitionedCall", "StatefulPartitionedCall"):
                callers.setdefault(placed.node.attr["f"].func.name, []).append(placed)
            elif op in self._functions:
                callers.setdefault(op, []).append(placed)
        return callers
