"""ROOM 1: cuts what training built into a source's graph, so that its own answers can be compared.

What passes through: nodes of a training graph with its dropouts and batch statistics; the same nodes go out,
with the tensors behind such an op in place of what it gives. The workshop changes the ops themselves; here
they stay, readers are led past them, and the moving averages are applied with plain arithmetic, so that a
mistake in one is seen in the other. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from servable.formats.protos import NodeDef
from servable.graphs.batch_norm import BatchNorm, find_batch_norms
from servable.graphs.dropout import find_dropouts
from servable.graphs.graph import (
    REF_VARIABLE_OPS,
    Edge,
    normalize_tensor,
    read_edge,
    spell_edge,
    spell_tensor,
    unique_name,
)
from servable.graphs.served_path import ServedPath, find_open_nodes, read_data_edges
from servable.signature import SignatureRequest

_DT_INT32 = 3
_DEFAULT_EPSILON = 1e-4  # nn_ops.cc


def cut_training(
    nodes: Mapping[str, Any], request: SignatureRequest, *, frozen: Iterable[str]
) -> tuple[dict[str, Any], SignatureRequest]:
    """Leads every reader on the served path past dropouts and batch statistics.

    Args:
        nodes: By name; not changed.
        request: With explicit inputs and outputs.
        frozen: Names of training switches that were frozen: what they decide is not cut.

    Returns:
        The nodes, and the request with the tensors that stand for its outputs now.
    """
    path = ServedPath(nodes, [request], chosen=frozen, open_nodes=find_open_nodes(nodes))
    added: dict[str, Any] = {}
    moved = {dropout.output: dropout.source for dropout in find_dropouts(path)}
    for norm in find_batch_norms(path):
        writer = _Writer(nodes, added, norm)
        mean = writer.read_variable(norm.mean_variable)
        variance = writer.read_variable(norm.variance_variable)
        moved |= {norm.mean: mean, norm.variance: variance}
        if norm.node is not None:
            moved[Edge(norm.node, 0)] = writer.normalize(nodes[norm.node], mean, variance)
    if not moved:
        return dict(nodes), request
    result = dict(nodes) | added
    for name in (*path.reached, *added):
        result[name] = _rewire(result[name], moved)
    asked = {key: read_edge(normalize_tensor(tensor)) for key, tensor in request.outputs.items()}
    outputs = {key: spell_tensor(_follow(edge, moved)) for key, edge in asked.items()}
    return result, replace(request, outputs=outputs)


class _Writer:
    """Adds the nodes that one normalization needs."""

    def __init__(self, nodes: Mapping[str, Any], added: dict[str, Any], norm: BatchNorm) -> None:
        self._nodes = nodes
        self._added = added
        self._scope = f"{norm.name}/in_inference"

    def read_variable(self, variable: str) -> Edge:
        number = self._nodes[variable].attr["dtype"].type
        if self._nodes[variable].op in REF_VARIABLE_OPS:
            return self._add("Identity", Edge(variable, 0), T=number)
        return self._add("ReadVariableOp", Edge(variable, 0), dtype=number)

    def normalize(self, node: Any, mean: Edge, variance: Edge) -> Edge:
        """(x - mean) / sqrt(variance + epsilon) * scale + offset."""
        values, scale, offset = read_data_edges(node)[:3]
        given = node.attr["T"].type
        inner = node.attr["U"].type if "U" in node.attr else given
        data_format = node.attr["data_format"].s.decode() if "data_format" in node.attr else "NHWC"
        if data_format.startswith("NC"):
            shape = self._add_const([-1] + [1] * (len(data_format) - 2), _DT_INT32)
            mean, variance, scale, offset = (
                self._add("Reshape", edge, shape, T=inner, Tshape=_DT_INT32)
                for edge in (mean, variance, scale, offset)
            )
        if given != inner:
            values = self._add("Cast", values, SrcT=given, DstT=inner)
        epsilon = node.attr["epsilon"].f if "epsilon" in node.attr else _DEFAULT_EPSILON
        spread = self._add("Add", variance, self._add_const([epsilon], inner), T=inner)
        result = self._add("Sub", values, mean, T=inner)
        result = self._add("Mul", result, self._add("Rsqrt", spread, T=inner), T=inner)
        result = self._add("Add", self._add("Mul", result, scale, T=inner), offset, T=inner)
        return result if given == inner else self._add("Cast", result, SrcT=inner, DstT=given)

    def _add(self, op: str, *inputs: Edge, **types: int) -> Edge:
        name = unique_name(f"{self._scope}/{op}", self._nodes.keys() | self._added.keys())
        node = self._added[name] = NodeDef(name=name, op=op, input=map(spell_edge, inputs))
        for key, number in types.items():
            node.attr[key].type = number
        return Edge(name, 0)

    def _add_const(self, values: list[int] | list[float], dtype: int) -> Edge:
        edge = self._add("Const", dtype=dtype)
        tensor = self._added[edge.node].attr["value"].tensor
        tensor.dtype = dtype
        tensor.tensor_shape.SetInParent()
        if dtype == _DT_INT32:
            tensor.tensor_shape.dim.add(size=len(values))
            tensor.int_val.extend(values)
        else:
            tensor.float_val.extend(values)
        return edge


def _rewire(node: Any, moved: Mapping[Edge, Edge]) -> Any:
    edges = [read_edge(text) for text in node.input]
    if not any(edge in moved for edge in edges):
        return node
    changed = NodeDef()
    changed.CopyFrom(node)
    del changed.input[:]
    changed.input.extend(spell_edge(_follow(edge, moved)) for edge in edges)
    return changed


def _follow(edge: Edge, moved: Mapping[Edge, Edge]) -> Edge:
    """What stands for a tensor may be cut itself: a dropout of a dropout."""
    for _ in moved:  # in a foreign graph they could stand in a circle
        if edge not in moved:
            break
        edge = moved[edge]
    return edge
