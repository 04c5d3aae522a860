"""Batch normalization that a graph does with the statistics of the batch, as in training.

What passes through: the path that signatures reach comes in; each such normalization goes out with the
variables that hold its moving mean and variance. Only those count whose variables are certain: both are
moved by the training graph towards the very statistics that are used. Layer and instance normalization
compute statistics too, but nothing averages them. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from servable.graphs.graph import VARIABLE_OPS, Edge, find_ancestors, spell_edge, spell_tensor, trace_back
from servable.graphs.moving_averages import MovingAverage, find_moving_averages
from servable.graphs.served_path import ServedPath, read_data_edges

# nn_ops.cc: use the statistics of the batch where attribute is_training is true, its default.
FUSED_OPS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_SHAPING_OPS = frozenset({"Identity", "StopGradient", "Squeeze", "Reshape"})
_MAX_SHAPES = 8
_MAX_ROUNDS = 8  # each leaves out those that others need


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """One normalization in training mode.

    Attributes:
        node: The fused node; None where single ops do it.
        mean: The tensor with the batch's mean.
        variance: The tensor with the batch's variance.
        mean_variable: Node of the variable that stands for it in inference.
        variance_variable: Likewise.
        updates: Ops that move the two variables; in inference nothing may wait for them.
    """

    node: str | None
    mean: Edge
    variance: Edge
    mean_variable: str
    variance_variable: str
    updates: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call it: the fused node, or the op that computes the mean."""
        return self.node or self.mean.node


def find_batch_norms(path: ServedPath) -> tuple[BatchNorm, ...]:
    """Finds every batch normalization in training mode whose moving averages are known.

    Args:
        path: What the signatures reach.
    """
    pairs = [*_find_fused(path), *_find_moments(path)]
    averages = find_moving_averages(path, {edge for pair in pairs for edge in (pair.mean, pair.variance)})
    fused: list[BatchNorm] = []
    loose: dict[tuple[Edge, ...], tuple[_Pair, BatchNorm]] = {}
    for pair in pairs:
        mean, variance = averages.get(pair.mean), averages.get(pair.variance)
        if pair.node is not None and (given := _read_given(path, path.nodes[pair.node])) is not None:
            mean, variance = given
        if mean is None or variance is None or mean.variable == variance.variable:
            continue
        if {_read_dtype(path.nodes[name]) for name in (mean.variable, variance.variable)} != {pair.dtype}:
            continue
        if any(
            n.name in path.open_nodes
            for edge in (pair.mean, pair.variance)
            for n, _ in path.find_readers(edge)
        ):
            continue  # a switch decides whether they are used
        updates = mean.updates + variance.updates
        norm = BatchNorm(pair.node, pair.mean, pair.variance, mean.variable, variance.variable, updates)
        if pair.node is not None:
            fused.append(norm)
        else:
            loose.setdefault(pair.raw, (pair, norm))  # the same moments squeezed are the same moments
    return (*fused, *_keep_replaceable(path, list(loose.values())))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Tensors that may be a batch's statistics; `raw` are the ops that average over the batch."""

    node: str | None
    mean: Edge
    variance: Edge
    dtype: int
    raw: tuple[Edge, ...] = ()


def _find_fused(path: ServedPath) -> Iterator[_Pair]:
    for name, node in path.nodes.items():
        if node.op in FUSED_OPS and name in path.reached and name not in path.looped | path.open_nodes:
            is_training = "is_training" not in node.attr or node.attr["is_training"].b
            if is_training and len(read_data_edges(node)) == 5:
                dtype = node.attr["U" if "U" in node.attr else "T"].type
                yield _Pair(name, Edge(name, 1), Edge(name, 2), dtype)


def _read_given(path: ServedPath, node: Any) -> tuple[MovingAverage, MovingAverage] | None:
    """With `exponential_avg_factor` the op is handed its moving averages, and does the averaging itself."""
    if "exponential_avg_factor" not in node.attr or node.attr["exponential_avg_factor"].f == 1.0:
        return None
    variables = []
    for position, edge in enumerate(read_data_edges(node)[3:5]):
        read = path.nodes.get(trace_back(path.nodes, spell_edge(edge)).node)
        if read is not None and read.op == "ReadVariableOp":
            read = path.nodes.get(trace_back(path.nodes, read.input[0]).node)
        if read is None or read.op not in VARIABLE_OPS:
            return None
        update = [
            n.name
            for n in path.nodes.values()
            if n.op in ("Assign", "AssignVariableOp") and Edge(node.name, position + 1) in read_data_edges(n)
        ]
        variables.append(MovingAverage(read.name, tuple(update)))
    return variables[0], variables[1]


def _find_moments(path: ServedPath) -> Iterator[_Pair]:
    """Finds what tf.nn.moments makes: mean(x) and mean(squared_difference(x, mean(x))), squeezed or not."""
    for name, node in path.nodes.items():
        if node.op != "SquaredDifference" or name not in path.reached:
            continue
        if name in path.looped or name in path.open_nodes:
            continue
        sides = [path.trace_back(edge) for edge in read_data_edges(node)]
        for values, center in (sides, sides[::-1]):
            mean = path.nodes.get(center.node)
            if mean is None or mean.op != "Mean" or path.trace_back(read_data_edges(mean)[0]) != values:
                continue
            for reader, position in path.find_readers(Edge(name, 0)):
                if reader.op == "Mean" and position == 0:
                    raw = Edge(mean.name, 0), Edge(reader.name, 0)
                    shapes = product(_list_shapes(path, raw[0]), _list_shapes(path, raw[1]))
                    # The squeezed ones first: they have the shape of a variable.
                    for first, second in sorted(shapes, key=raw.__eq__):
                        yield _Pair(None, first, second, mean.attr["T"].type, raw)


def _list_shapes(path: ServedPath, edge: Edge) -> list[Edge]:
    found = [edge]
    for done in found:
        if len(found) > _MAX_SHAPES:
            break
        readers = path.find_readers(done)
        found += [Edge(node.name, 0) for node, at in readers if node.op in _SHAPING_OPS and at == 0]
    return found


def _keep_replaceable(path: ServedPath, candidates: list[tuple[_Pair, BatchNorm]]) -> list[BatchNorm]:
    """Keeps those whose statistics fall away with two tensors replaced: nothing else needs them."""
    for _ in range(_MAX_ROUNDS):
        updates = {name for _, norm in candidates for name in norm.updates}
        nodes = {name: path.nodes[name] for name in path.reached - updates}
        cut = {spell_tensor(edge) for _, norm in candidates for edge in (norm.mean, norm.variance)}
        still = find_ancestors(nodes, map(spell_tensor, path.outputs), stop_at=cut)
        kept = [(pair, norm) for pair, norm in candidates if not {edge.node for edge in pair.raw} & still]
        if len(kept) == len(candidates):
            return [norm for _, norm in kept]
        candidates = kept
    return []


def _read_dtype(variable: Any) -> int:
    number: int = variable.attr["dtype"].type
    return number
