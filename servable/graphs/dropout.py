"""Dropout that is built into a graph, found by what it computes and not by how an era spelled it.

What passes through: the path that signatures reach comes in, pairs of tensors go out: what a dropout gives
and what it was given. From TensorFlow 0.x to 2.21 a dropout draws from a uniform distribution, compares with
a constant share, and multiplies or selects; it scales so that the expected output is its input. All of that
is checked, in whatever order it stands, so that a sampler that is part of the model is never taken for one:
Bernoulli samples of a computed probability, additive noise and the like do not add up. No TensorFlow here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from servable.graphs.graph import Edge
from servable.graphs.served_path import HANDING_OPS, ServedPath, read_data_edges

# random_ops.cc, stateless_random_ops*.cc, stateful_random_ops.cc: all draw from [0, 1).
_UNIFORM_OPS = frozenset(
    {"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2", "StatefulUniform"}
)
_ADD_OPS = frozenset({"Add", "AddV2"})
_DIVIDE_OPS = frozenset({"Div", "RealDiv"})
_SELECT_OPS = frozenset({"Select", "SelectV2"})
_ABOVE_OPS = frozenset({"Greater", "GreaterEqual"})
_BELOW_OPS = frozenset({"Less", "LessEqual"})
_ENTERING_OPS = frozenset({"Switch", "Enter"})

_MAX_STEPS = 32  # from a draw to the dropout's output; the longest spelling takes ten
_MAX_SCALINGS = 4
_TOLERANCE = 5e-3  # of the expected value: 1 / keep_prob is rounded, in bfloat16 to 0.4 %


@dataclass(frozen=True, slots=True)
class Dropout:
    """One dropout.

    Attributes:
        output: The tensor that it gives.
        source: The tensor that it was given, which it gives in inference.
        keep_share: Which share of the elements it keeps.
    """

    output: Edge
    source: Edge
    keep_share: float


@dataclass(frozen=True, slots=True)
class _Draw:
    """Uniform over low to high."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Mask:
    """`scale`, or True, with probability `share`; else 0, or False."""

    share: float
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class _Masked:
    """`source * mask`."""

    source: Edge
    mask: _Mask


_Value = _Draw | _Mask | _Masked


def find_dropouts(path: ServedPath) -> tuple[Dropout, ...]:
    """Finds every dropout whose random numbers go into nothing else that is served.

    Args:
        path: What the signatures reach.

    Returns:
        In the graph's own order.
    """
    found: dict[Edge, Dropout] = {}
    for name, node in path.nodes.items():
        if name in path.reached and node.op in _UNIFORM_OPS:
            dropouts = _follow(path, Edge(name, 0), _Draw(0.0, 1.0), _MAX_STEPS)
            # The draw is as good as gone only where all that became of it is understood.
            for dropout in dropouts or ():
                if dropout.output.node not in path.open_nodes:
                    found[dropout.output] = dropout
    return tuple(found.values())


def _follow(path: ServedPath, edge: Edge, value: _Value, steps: int) -> list[Dropout] | None:
    """Follows a value to all its readers; None when any of them is not part of a dropout."""
    if isinstance(value, _Masked) and (dropout := _complete(path, edge, value)) is not None:
        return [dropout]
    readers = path.find_readers(edge)
    if path.is_end(edge) or not readers or steps == 0:
        return None
    found: list[Dropout] = []
    for node, position in readers:
        result = _apply(path, node, position, value)
        if result is None:
            return None
        outputs = [Edge(node.name, 0)]
        if node.op == "Switch":
            outputs = [e for e in (Edge(node.name, 0), Edge(node.name, 1)) if path.find_readers(e)]
        for output in outputs:
            more = _follow(path, output, result, steps - 1)
            if more is None:
                return None
            found += more
    return found


def _complete(path: ServedPath, edge: Edge, value: _Masked) -> Dropout | None:
    """Takes off what scales the source until the expected output is the source itself."""
    source, scale = value.source, value.mask.scale
    for _ in range(_MAX_SCALINGS + 1):
        if abs(scale * value.mask.share - 1) < _TOLERANCE:
            return Dropout(edge, source, value.mask.share)
        node = path.find_producer(source)
        scaling = None if node is None or source.output else _read_scaling(path, node)
        if scaling is None:
            return None
        source, factor = scaling
        scale *= factor
    return None


def _read_scaling(path: ServedPath, node: Any) -> tuple[Edge, float] | None:
    """What is scaled, and by how much, where a node does nothing else."""
    inputs = read_data_edges(node)
    if node.op in HANDING_OPS:
        return inputs[0], 1.0
    if node.op not in _DIVIDE_OPS and node.op != "Mul":
        return None
    for position, other in ((0, 1), (1, 0)) if node.op == "Mul" else ((0, 1),):
        factor = path.read_number(inputs[other])
        if factor:
            return inputs[position], factor if node.op == "Mul" else 1 / factor
    return None


def _apply(path: ServedPath, node: Any, position: int, value: _Value) -> _Value | None:
    """Says what a node makes of a value; None when that has no place in a dropout."""
    if node.op in HANDING_OPS:
        return value
    if isinstance(value, _Masked):
        scaling = _read_scaling(path, node)
        if scaling is None or scaling[0] != read_data_edges(node)[position]:
            return None
        return replace(value, mask=_Mask(value.mask.share, value.mask.scale * scaling[1]))
    if node.op == "Cast" or node.op in _ENTERING_OPS:
        # As a Switch's predicate it would decide what is run.
        return value if position == 0 else None
    if isinstance(value, _Draw):
        return _apply_to_draw(path, node, position, value)
    return _apply_to_mask(path, node, position, value)


def _apply_to_draw(path: ServedPath, node: Any, position: int, draw: _Draw) -> _Value | None:
    low, high = draw.low, draw.high
    if node.op == "Floor":
        # floor(keep_prob + uniform) is 1 or 0
        inside = low > -_TOLERANCE and high < 2 + _TOLERANCE
        return _Mask(_limit((high - 1) / (high - low))) if inside else None
    other = _read_other(path, node, position)
    if other is None:
        return None
    if node.op in _ADD_OPS:
        return _Draw(low + other, high + other)
    if node.op == "Sub":
        return _Draw(low - other, high - other) if position == 0 else _Draw(other - high, other - low)
    if node.op == "Mul" or (node.op in _DIVIDE_OPS and position == 0 and other):
        factor = other if node.op == "Mul" else 1 / other
        return _Draw(low * factor, high * factor) if factor > 0 else None
    if node.op in _ABOVE_OPS or node.op in _BELOW_OPS:
        above = _limit((high - other) / (high - low))
        return _Mask(above if (node.op in _ABOVE_OPS) == (position == 0) else 1 - above)
    return None


def _apply_to_mask(path: ServedPath, node: Any, position: int, mask: _Mask) -> _Value | None:
    if node.op == "LogicalNot":
        return _Mask(1 - mask.share)
    if node.op in _SELECT_OPS and position == 0:
        return _select(path, read_data_edges(node), mask)
    other = _read_other(path, node, position)
    if node.op == "Mul":
        if other is not None:
            return _Mask(mask.share, mask.scale * other)
        return _Masked(read_data_edges(node)[1 - position], mask)
    if node.op in _DIVIDE_OPS and position == 0 and other:
        return _Mask(mask.share, mask.scale / other)
    if node.op == "Sub" and position == 1 and other == mask.scale:
        return _Mask(1 - mask.share, mask.scale)
    return None


def _select(path: ServedPath, inputs: list[Edge], mask: _Mask) -> _Value | None:
    then, otherwise = path.read_number(inputs[1]), path.read_number(inputs[2])
    for chosen, number, rest, share in (
        (inputs[1], then, otherwise, mask.share),
        (inputs[2], otherwise, then, 1 - mask.share),
    ):
        if rest == 0:
            return _Masked(chosen, _Mask(share)) if number is None else _Mask(share, number)
    return None


def _read_other(path: ServedPath, node: Any, position: int) -> float | None:
    inputs = read_data_edges(node)
    return path.read_number(inputs[1 - position]) if len(inputs) == 2 else None


def _limit(share: float) -> float:
    return min(1.0, max(0.0, share))
