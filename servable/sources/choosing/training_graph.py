"""ROOM 1: a training graph laid out for reading: who reads whom, what depends on inputs, what on weights.

What passes through: a MetaGraphDef comes in; sets of node names go out, each told by structure. Every walk
is linear in the graph, which may hold a hundred thousand nodes and be hostile. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

from servable.graphs.graph import VARIABLE_OPS, Edge, index_nodes, read_edge, spell_tensor
from servable.graphs.served_path import read_data_edges
from servable.signature import Shape, TensorSpec
from servable.sources.choosing.tensor_types import (
    holds_float_array,
    read_output_type,
    read_sizes,
    read_whole_numbers,
)
from servable.sources.choosing.training_parts import (
    MEASURING_OPS,
    REDUCING_OPS,
    is_ending,
    is_gradient,
    is_pipeline,
    is_placeholder,
    is_summary,
    is_weighted,
)

# Control flow and lists: a counter or a flow among their outputs says nothing of the others.
_KEEPING_OP = re.compile(r"^(Switch|Enter|Exit|TensorArray\w*|TensorList\w*|(Stateless)?(While|If))$")
_LOOP_OP = re.compile(r"^(Stateless)?(While|If)$")


class TrainingGraph:
    """A graph and what can be read off it.

    Attributes:
        nodes: By name.
        inputs: Data inputs of each node.
        readers: Who reads a tensor, as which of its inputs.
        waiters: Who waits for a node by a control edge.
        functions: The library, by name.
        bodies: Functions that were laid out as graphs, by name.
        argument_uses: What became of functions' arguments, by name and position.
        collections: The trainer's own, by name.
    """

    def __init__(self, meta_graph: Any) -> None:
        """Lays the graph out; `meta_graph` is a MetaGraphDef."""
        # TensorFlow refuses such names too; here nobody could ask for the node by its own.
        self.nodes: dict[str, Any] = {
            name: node
            for name, node in index_nodes(meta_graph.graph_def).items()
            if name and not name.startswith("^")
        }
        self.functions = {f.signature.name: f for f in meta_graph.graph_def.library.function}
        self.bodies: dict[str, TrainingGraph | None] = {}
        self.argument_uses: dict[tuple[str, int], list[Any]] = {}
        self.collections: Mapping[str, Any] = meta_graph.collection_def
        self.inputs: dict[str, list[Edge]] = {}
        self.readers: dict[Edge, list[tuple[str, int]]] = defaultdict(list)
        self.waiters: dict[str, list[str]] = defaultdict(list)
        self._outputs: dict[str, set[Edge]] = defaultdict(set)
        for name, node in self.nodes.items():
            edges = self.inputs[name] = read_data_edges(node)
            for position, edge in enumerate(edges):
                self.readers[edge].append((name, position))
                self._outputs[edge.node].add(edge)
            for text in node.input:
                if text.startswith("^"):
                    self.waiters[text[1:]].append(name)

    def list_read_outputs(self, name: str) -> list[Edge]:
        """Lists a node's outputs that anybody reads, in order; output 0 where nobody does."""
        return sorted(self._outputs.get(name, ()), key=lambda edge: edge.output or 0) or [Edge(name, 0)]

    def find_readers(self, name: str) -> list[str]:
        """Names the nodes that read any output of a node."""
        return [reader for edge in self._outputs.get(name, ()) for reader, _ in self.readers[edge]]

    def reach(self, edges: Iterable[Edge], *, blocked: Collection[str] = ()) -> set[str]:
        """Names every node that depends on any of the tensors."""
        found: set[str] = set()
        stack = [reader for edge in edges for reader, _ in self.readers.get(edge, ())]
        while stack:
            name = stack.pop()
            if name not in found and name not in blocked:
                found.add(name)
                stack.extend(self.find_readers(name))
        return found

    def climb(self, names: Iterable[str], *, within: Collection[str]) -> set[str]:
        """Names every node that the given ones depend on, as far as it lies within a set."""
        found: set[str] = set()
        stack = [edge.node for name in names for edge in self.inputs.get(name, ())]
        while stack:
            name = stack.pop()
            if name in within and name not in found:
                found.add(name)
                stack.extend(edge.node for edge in self.inputs[name])
        return found

    @cached_property
    def machinery(self) -> set[str]:
        """Gradients, updates, savers and summaries, and all that is computed from them."""
        seeds = {
            name
            for name, node in self.nodes.items()
            if (is_gradient(node) or is_ending(node) or is_summary(node)) and not is_placeholder(node)
        }
        edges = [edge for name in seeds for edge in self.list_read_outputs(name)]
        # A loop of the model takes the lists in which it keeps values for its gradient.
        loops = {n for n, node in self.nodes.items() if _LOOP_OP.match(node.op)} - seeds
        return seeds | self.reach(edges, blocked=loops)

    @cached_property
    def weights(self) -> set[str]:
        """Variables and all that is computed from them alone; in a frozen graph, its constants."""
        seeds = {name for name, node in self.nodes.items() if node.op in VARIABLE_OPS}
        if not seeds:
            seeds = {name for name, node in self.nodes.items() if holds_float_array(node)}
        edges = [edge for name in seeds for edge in self.list_read_outputs(name)]
        fed = [edge for edge in self.sources if self.read_shape(edge) != ()]
        return (seeds | self.reach(edges, blocked=self.machinery)) - self.reach(fed)

    @cached_property
    def sources(self) -> list[Edge]:
        """Every tensor that is fed or handed over by a pipeline: inputs, labels and switches."""
        sources = [n for n, node in self.nodes.items() if is_placeholder(node) or is_pipeline(node)]
        return [edge for name in sources for edge in self.list_read_outputs(name)]

    @cached_property
    def computed(self) -> set[str]:
        """What weights have made of what was fed."""
        first = [name for name in self.nodes if name not in self.weights and self.takes_weights(name)]
        edges = [edge for name in first for edge in self.list_read_outputs(name)]
        return (set(first) | self.reach(edges, blocked=self.machinery)) - self.machinery

    def takes_weights(self, name: str) -> bool:
        """Whether a node combines something with weights."""
        return any(edge.node in self.weights for edge in self.inputs[name])

    @cached_property
    def batch_results(self) -> set[str]:
        """Nodes that hold one result for the whole batch: losses, metrics, shapes."""
        depending = self.reach(self.sources, blocked=self.machinery)
        open_inputs = {
            name: sum(edge.node in depending or self._is_source(edge.node) for edge in self.inputs[name])
            for name in depending
        }
        stack = [name for name in depending if self._gives_batch_result(name)]
        found = set(stack)
        while stack:
            name = stack.pop()
            for reader in self.find_readers(name):
                if reader not in depending or reader in found:
                    continue
                open_inputs[reader] -= 1
                # A net goes on where weights take over, even from a mean over the first dimension.
                node = self.nodes[reader]
                goes_on = bool(_KEEPING_OP.match(node.op)) or (
                    is_weighted(node) and self.takes_weights(reader)
                )
                if open_inputs[reader] <= 0 and not goes_on:
                    found.add(reader)
                    stack.append(reader)
        return found

    def _is_source(self, name: str) -> bool:
        node = self.nodes.get(name)
        return node is not None and (is_placeholder(node) or is_pipeline(node))

    def _gives_batch_result(self, name: str) -> bool:
        node = self.nodes[name]
        if node.op in MEASURING_OPS:
            return True
        if _KEEPING_OP.match(node.op):
            return False
        if all(self._is_single(edge) for edge in self.list_read_outputs(name)):
            return True
        if node.op not in REDUCING_OPS or len(self.inputs[name]) < 2:
            return False
        whole = self.read_shape(self.inputs[name][0])
        axes = self.nodes.get(self.inputs[name][1].node)
        if axes is None or axes.op != "Const":
            return axes is not None and axes.op == "Range"  # over all dimensions, whatever their number
        tensor = axes.attr["value"].tensor
        numbers = read_whole_numbers(tensor)
        return 0 in numbers or (whole is not None and -len(whole) in numbers)

    def _is_single(self, edge: Edge) -> bool:
        # Handles and lists of tensors are single things too, whatever they hold.
        return self.read_shape(edge) == () and self._read_dtype(edge) not in ("variant", "resource")

    def read_shape(self, edge: Edge) -> Shape:
        """Reads the shape that the trainer noted for a tensor; None where it noted none."""
        node = self.nodes.get(edge.node)
        if node is None:
            return None
        if "_output_shapes" in node.attr:
            shapes = node.attr["_output_shapes"].list.shape
            if (edge.output or 0) < len(shapes):
                return read_sizes(shapes[edge.output or 0])
        if "shape" in node.attr and is_placeholder(node):
            return read_sizes(node.attr["shape"].shape)
        return None

    def read_spec(self, edge: Edge) -> TensorSpec:
        """Reads type and shape of a tensor as far as the graph says; dtype "" where it does not."""
        return TensorSpec(self._read_dtype(edge), self.read_shape(edge), spell_tensor(edge))

    def _read_dtype(self, edge: Edge) -> str:
        node = self.nodes.get(edge.node)
        return "" if node is None else read_output_type(node, edge.output or 0)


def parse_edge(tensor: str) -> Edge:
    """Reads a tensor name as a data edge."""
    edge = read_edge(tensor)
    return Edge(edge.node, edge.output or 0)
