"""The part of a graph that signatures reach, and who reads what in it.

What passes through: `dropout` and `batch_norm` ask here whether a training op stands on the path that is
served, and what constants it was built with. Nothing is changed. No TensorFlow here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from servable.graphs.graph import (
    PLACEHOLDER_OPS,
    Edge,
    find_ancestors,
    normalize_tensor,
    read_edge,
    trace_back,
)
from servable.signature import SignatureRequest

# Ops that hand their first input on. A Switch does in whichever branch is taken, an Enter into its loop.
HANDING_OPS = frozenset(
    {"Identity", "StopGradient", "Snapshot", "PreventGradient", "PlaceholderWithDefault", "CheckNumerics"}
)
_ENTERING_OPS = frozenset({"Switch", "RefSwitch", "Enter", "RefEnter"})

# Op to the number of its inputs.
_ARITHMETIC: Mapping[str, int] = {
    **dict.fromkeys(("Neg", "Inv", "Reciprocal"), 1),
    **dict.fromkeys(("Add", "AddV2", "Sub", "Mul", "Div", "RealDiv"), 2),
}

_MAX_STEPS = 64  # of a chain of constants: keep_prob is two or three steps away from what uses it
# Type numbers of tensorflow/core/framework/types.proto with a floating-point or whole number in them.
_NUMPY_TYPES: Mapping[int, str] = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 19: "float16"}
_DT_HALF, _DT_BFLOAT16 = 19, 14


def read_data_edges(node: Any) -> list[Edge]:
    """Lists a node's inputs in order, control edges left out."""
    return [read_edge(text) for text in node.input if not text.startswith("^")]


class ServedPath:
    """Nodes that the outputs of signatures need.

    Attributes:
        nodes: All of the graph, by name.
        reached: Names of those that the outputs need.
        inputs: Tensors that are fed: what a graph computes for them does not count.
        outputs: Tensors that are fetched.
        open_nodes: Nodes that are run under a condition which the graph leaves open.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        signatures: Iterable[SignatureRequest],
        *,
        chosen: Iterable[str] = (),
        open_nodes: Collection[str] = (),
    ) -> None:
        """Walks the graph.

        Args:
            nodes: By name.
            signatures: With explicit inputs and outputs.
            chosen: Tensors whose value in serving was chosen: they are no constants of the graph.
            open_nodes: What is run under a condition that the graph leaves open (`find_open_nodes`).
        """
        self.nodes = nodes
        self.reached: set[str] = set()
        inputs: set[str] = set()
        outputs: set[str] = set()
        for request in signatures:
            fed = set(map(normalize_tensor, request.inputs.values()))
            self.reached |= find_ancestors(nodes, request.outputs.values(), stop_at=fed)
            inputs |= fed
            outputs |= set(map(normalize_tensor, request.outputs.values()))
        self.inputs = frozenset(map(read_edge, inputs))
        self.outputs = frozenset(map(read_edge, outputs))
        self.open_nodes = frozenset(open_nodes)
        self._chosen = frozenset(read_edge(normalize_tensor(name)) for name in chosen)
        self._numbers: dict[Edge, float | None] = {}
        self._readers: dict[Edge, list[tuple[Any, int]]] = defaultdict(list)
        for name in nodes:  # the graph's own order, so that results don't depend on a set's
            if name in self.reached:
                for position, edge in enumerate(read_data_edges(nodes[name])):
                    self._readers[edge].append((nodes[name], position))

    @cached_property
    def looped(self) -> frozenset[str]:
        """Nodes on the path inside a loop of TensorFlow 1, which read nothing from outside as it is."""
        readers: dict[str, list[str]] = defaultdict(list)
        for edge, pairs in self._readers.items():
            readers[edge.node] += [node.name for node, _ in pairs]
        entries = [name for name in self.reached if self.nodes[name].op in ("Enter", "RefEnter")]
        return frozenset(_spread(self.nodes, readers, entries, stop_at=("Exit", "RefExit")))

    def is_end(self, edge: Edge) -> bool:
        """Whether a tensor belongs to a signature and must stay what it is."""
        return edge in self.inputs or edge in self.outputs

    def find_readers(self, edge: Edge) -> list[tuple[Any, int]]:
        """Lists who reads a tensor on the path, and as which input."""
        return self._readers.get(edge, [])

    def find_producer(self, edge: Edge) -> Any | None:
        """Finds the node that computes a tensor, or None where the tensor is fed."""
        return None if edge in self.inputs else self.nodes.get(edge.node)

    def trace_back(self, edge: Edge) -> Edge:
        """Follows a tensor back through ops that only hand it on, into branches and loops too."""
        for _ in range(_MAX_STEPS):
            node = self.find_producer(edge)
            if node is None or edge in self._chosen or not node.input:
                break
            if node.op not in HANDING_OPS and node.op not in _ENTERING_OPS:
                break
            edge = read_edge(node.input[0])
        return edge

    def read_number(self, edge: Edge) -> float | None:
        """Works out a tensor whose elements are all one constant number; None when it is anything else."""
        edge = self.trace_back(edge)
        if edge not in self._numbers:
            self._numbers[edge] = None  # a cycle has no value
            self._numbers[edge] = self._read_number(edge)
        return self._numbers[edge]

    def _read_number(self, edge: Edge) -> float | None:
        node = self.find_producer(edge)
        if node is None or edge.output or edge in self._chosen:
            return None
        inputs = read_data_edges(node)
        if node.op == "Const":
            return read_const_number(node)
        if node.op in ("ZerosLike", "OnesLike"):
            return float(node.op == "OnesLike")
        if node.op == "Fill" and len(inputs) == 2:
            return self.read_number(inputs[1])
        if node.op == "Cast" and len(inputs) == 1:
            return self.read_number(inputs[0])
        return self._calculate(node.op, inputs)

    def _calculate(self, op: str, inputs: list[Edge]) -> float | None:
        arity = _ARITHMETIC.get(op)
        if arity is None or len(inputs) != arity:
            return None
        values = []
        for edge in inputs:
            value = self.read_number(edge)
            if value is None:
                return None
            values.append(value)
        if op in ("Neg", "Inv", "Reciprocal"):
            values.insert(0, 0.0 if op == "Neg" else 1.0)
        left, right = values
        if op in ("Add", "AddV2"):
            return left + right
        if op in ("Sub", "Neg"):
            return left - right
        if op == "Mul":
            return left * right
        return left / right if right else None


def find_open_nodes(nodes: Mapping[str, Any]) -> frozenset[str]:
    """Names what stands in branches of v1 conditionals whose predicate is no constant of the graph.

    Which of them is run is decided by a switch, so that nothing in them is built in for good.

    Args:
        nodes: Of the graph as the trainer left it, by name.
    """
    readers: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        for edge in read_data_edges(node):
            readers[edge.node].append(node.name)
    changing = [
        name
        for name, node in nodes.items()
        if node.op in PLACEHOLDER_OPS or (node.op != "Const" and not read_data_edges(node))
    ]
    unknown = _spread(nodes, readers, changing, stop_at=())
    switches = []
    for name, node in nodes.items():
        if node.op in ("Switch", "RefSwitch") and len(node.input) > 1:
            source = nodes.get(trace_back(nodes, node.input[1]).node)
            # A loop's own Switch ends it, and chooses nothing.
            is_loop = source is not None and source.op == "LoopCond"
            if read_edge(node.input[1]).node in unknown and not is_loop:
                switches.append(name)
    return frozenset(_spread(nodes, readers, switches, stop_at=("Merge", "RefMerge")))


def _spread(
    nodes: Mapping[str, Any],
    readers: Mapping[str, Iterable[str]],
    begin: Iterable[str],
    *,
    stop_at: Collection[str],
) -> set[str]:
    """Names all that depends on some nodes, themselves included."""
    found: set[str] = set()
    stack = list(begin)
    while stack:
        name = stack.pop()
        if name in found or name not in nodes or nodes[name].op in stop_at:
            continue
        found.add(name)
        stack += readers.get(name, ())
    return found


def read_const_number(node: Any) -> float | None:
    """Reads a numeric Const whose elements are all the same; None for any other."""
    tensor = node.attr["value"].tensor
    if tensor.dtype == _DT_BFLOAT16:
        halves = np.frombuffer(tensor.tensor_content, "<u2") if tensor.tensor_content else tensor.half_val
        values = (np.asarray(halves, np.uint32) << 16).view(np.float32)
    elif tensor.dtype not in _NUMPY_TYPES:
        return None
    elif tensor.tensor_content:
        dtype = np.dtype(_NUMPY_TYPES[tensor.dtype])
        if len(tensor.tensor_content) % dtype.itemsize:
            return None
        values = np.frombuffer(tensor.tensor_content, dtype)
    elif tensor.dtype == _DT_HALF:
        values = np.asarray(tensor.half_val, np.uint16).view(np.float16)
    else:
        typed = (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val)
        values = np.asarray(next((v for v in typed if v), ()), np.float64)
        if not len(values) and all(dim.size for dim in tensor.tensor_shape.dim):
            return 0.0  # TensorProto leaves out zeros
    if not len(values) or (values != values[0]).any():
        return None
    number = float(values[0])
    return number if math.isfinite(number) else None
