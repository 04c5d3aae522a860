"""ROOM 1: which of several tensors that hold the same answer to serve, and what a loss does with them.

What passes through: members of a group at a net's end come in, a root, a rank or a count goes out. An answer
is reshaped, renamed and flattened on its way to a loss; what a server wants is the one with examples in
rows. No TensorFlow here.
"""

from __future__ import annotations

from math import prod

from servable.graphs.graph import Edge
from servable.sources.choosing.net_ends import NetEnds
from servable.sources.choosing.tensor_names import is_named, is_named_as_output
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_loss, is_weighted, lies_in_loss_scope

RESHAPING_OPS = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StopGradient", "Snapshot", "Cast"}
)
_PASSING_OPS = frozenset({"CheckNumerics", "Print", "PreventGradient"})
# What a loss makes of a prediction before it meets the label.
_LOSS_STEPS = frozenset({"Log", "Log1p", "Neg", "Abs", "Square", "ZerosLike", "Softplus"})
# Ops that give several answers at once: how many, or which attribute says so.
_COUNTS = {"TopK": 2, "TopKV2": 2, "CTCGreedyDecoder": 3, "CombinedNonMaxSuppression": 4}
_COUNT_ATTRS = {"Unpack": "num", "Split": "num_split", "SplitV": "num_split"}
_MAX_OUTPUTS = 64
_LONG = 1_000_000  # stands for a dimension whose length is free


def find_root(ending: NetEnds, name: str, inside: set[str], known: dict[str, str]) -> str:
    """Goes back through ops that change an answer's shape, type or name only.

    Args:
        ending: Of the net.
        name: Where to begin.
        inside: Nodes of the net.
        known: Roots found before, to which those of this way are added: each op is passed once.
    """
    graph = ending.graph
    current = name
    seen = {name}
    while (
        current not in known
        and graph.nodes[current].op in RESHAPING_OPS | _PASSING_OPS
        and current not in ending.weighted
    ):
        before = graph.inputs[current][0].node
        if before not in inside or before in seen or count_outputs(graph, before) > 1:
            break
        seen.add(before)
        current = before
    root = known.get(current, current)
    known.update(dict.fromkeys(seen, root))
    return root


def rank_member(
    ending: NetEnds, name: str, reaches_open: set[str], is_class: bool, is_whole: bool
) -> tuple[int, ...]:
    """The member to serve: open, well named, and not a loss's own reshaping."""
    graph = ending.graph
    readers = ending.find_real_readers(name)
    named = is_named(graph, name)
    # Classes that are handed on, to be decoded, have been given their shape for it.
    handed_on = name in reaches_open and not any(graph.nodes[r].op in RESHAPING_OPS for r in readers)
    return (
        not _reshapes_for_loss(ending, name),
        not readers,
        is_class and handed_on,
        named and is_named_as_output(name),
        named,
        *_rank_shape(graph, name),
        meets_labels(ending, name),
        is_whole,
        graph.nodes[name].op not in RESHAPING_OPS,
    )


def _reshapes_for_loss(ending: NetEnds, name: str) -> bool:
    """Whether a loss gave itself this shape, in its own scope."""
    graph = ending.graph
    if graph.nodes[name].op not in RESHAPING_OPS:
        return False
    scope = name.rpartition("/")[0]
    losses = [reader for reader in ending.find_real_readers(name) if is_loss(graph.nodes[reader])]
    inside = any(loss == scope or loss.startswith(f"{scope}/") for loss in losses if scope)
    return inside or lies_in_loss_scope(name)


def _rank_shape(graph: TrainingGraph, name: str) -> tuple[bool, int]:
    """With the batch in front, and before a loss flattens it so that rows are no longer examples."""
    shape = graph.read_shape(Edge(name, 0))
    if not shape:
        return False, 0
    size = prod(length or 1 for length in shape[1:])
    if None in shape[1:]:
        size = size * _LONG if len(shape) > 2 else 0
    return shape[0] is None, size


def knows_layout(ending: NetEnds, shown: str, members: list[str]) -> bool:
    """Without shapes nobody can tell a batch of sequences from one that a loss has flattened."""
    graph = ending.graph
    if graph.read_shape(Edge(shown, 0)) is not None or not ending.find_real_readers(shown):
        return True
    return not any(
        graph.nodes[name].op == "Reshape" and not _reshapes_for_loss(ending, name) for name in members
    )


def meets_labels(ending: NetEnds, name: str) -> bool:
    """Whether a loss takes it beside labels; what a loss computes on its way does not count."""
    graph = ending.graph
    readers = ending.find_real_readers(name)
    if any(is_loss(graph.nodes[reader]) for reader in readers):
        return True
    step = graph.nodes[name].op in _LOSS_STEPS and not is_named(graph, name)
    if step or lies_in_loss_scope(name):
        return False
    # Where labels choose the weights that it meets, it is the loss that is computed, not its operand.
    return any(reader in ending.labelled and not is_weighted(graph.nodes[reader]) for reader in readers)


def count_outputs(graph: TrainingGraph, name: str) -> int:
    """How many answers an op gives that belong together."""
    node = graph.nodes[name]
    attr = _COUNT_ATTRS.get(node.op)
    if attr is not None and attr in node.attr:
        return min(int(node.attr[attr].i), _MAX_OUTPUTS)
    return _COUNTS.get(node.op, 1)
