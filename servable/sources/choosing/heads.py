"""ROOM 1: where a net ends: groups of tensors behind the last weights, and what kind of answer each holds.

What passes through: a `TrainingGraph` and its feeds come in, families of groups go out. A family is what
hangs together behind one set of last weights; a group is one answer in all its shapes. No TensorFlow here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from servable.graphs.graph import VARIABLE_OPS, Edge, read_const_strings
from servable.sources.choosing.graph_feeds import Feeds
from servable.sources.choosing.group_members import (
    RESHAPING_OPS,
    count_outputs,
    find_root,
    knows_layout,
    meets_labels,
    rank_member,
)
from servable.sources.choosing.net_ends import PROBABILITY_OPS, NetEnds, gives_classes
from servable.sources.choosing.tensor_names import is_named, is_named_as_output
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import lies_in_loss_scope


class Answer(StrEnum):
    """What sort of answer a group holds."""

    PROBABILITIES = "probabilities"
    CLASSES = "classes"
    VALUES = "values"


@dataclass(frozen=True, slots=True)
class Group:
    """One answer: a computed tensor and its reshaped or renamed copies.

    Attributes:
        edges: The tensors to serve: one, or each output of an op that gives several.
        kind: What sort of answer.
        is_open: Nothing else of the graph takes it: it was made to be fetched.
        is_named: A person named it.
        reads_as_output: That name is one for what a model answers.
        meets_labels: A loss compares it with labels.
        feeds_loss: It reaches a loss, and nothing that is open.
        is_layout_known: It was not reshaped on its way to a loss, or the graph notes shapes.
    """

    edges: tuple[Edge, ...]
    kind: Answer
    is_open: bool
    is_named: bool
    reads_as_output: bool
    meets_labels: bool
    feeds_loss: bool
    is_layout_known: bool


@dataclass(frozen=True, slots=True)
class Family:
    """What hangs together behind one set of last weights.

    Attributes:
        groups: In the graph's order.
        has_weights: Whether the last weights themselves belong to it; else it branches off earlier.
        variables: Names of the variables of its last weights.
        nodes: All of its nodes.
    """

    groups: tuple[Group, ...]
    has_weights: bool
    variables: frozenset[str]
    nodes: frozenset[str]


def find_families(graph: TrainingGraph, feeds: Feeds) -> list[Family]:
    """Finds the ends of every net in a graph.

    Args:
        graph: The graph.
        feeds: Its inputs and labels; what depends on labels is no answer.
    """
    ending = NetEnds(graph, feeds)
    families = []
    for names in ending.split():
        weighted = [name for name in names if name in ending.weighted]
        families.append(
            Family(
                groups=tuple(_make_groups(ending, names)),
                has_weights=bool(weighted),
                variables=frozenset(_find_variables(graph, weighted)),
                nodes=frozenset(names),
            )
        )
    return [family for family in families if family.groups]


def _find_variables(graph: TrainingGraph, names: list[str]) -> set[str]:
    direct = {edge.node for name in names for edge in graph.inputs[name] if edge.node in graph.weights}
    return {
        name
        for name in direct | graph.climb(direct, within=graph.weights)
        if graph.nodes[name].op in VARIABLE_OPS or graph.nodes[name].op == "Const"
    }


def _make_groups(ending: NetEnds, names: list[str]) -> list[Group]:
    roots: dict[str, list[str]] = defaultdict(list)
    inside = set(names)
    known: dict[str, str] = {}
    for name in names:
        roots[find_root(ending, name, inside, known)].append(name)
    reaches_open = _find_open_paths(ending, names)
    groups = []
    for root, members in roots.items():
        if all(lies_in_loss_scope(name) for name in members) and root not in reaches_open:
            continue
        kind = _read_kind(ending, root)
        ranks = {
            name: rank_member(ending, name, reaches_open, kind is Answer.CLASSES, root.startswith(f"{name}/"))
            for name in members
        }
        shown = max(members, key=ranks.__getitem__)
        meets = any(meets_labels(ending, name) for name in members)
        named = [name for name in members if is_named(ending.graph, name)]
        if ending.graph.nodes[shown].op not in RESHAPING_OPS:
            edges = [Edge(shown, number) for number in range(count_outputs(ending.graph, shown))]
        else:
            edges = [Edge(shown, 0)]
        groups.append(
            Group(
                edges=tuple(edges),
                kind=kind,
                is_open=any(not ending.find_real_readers(name) for name in members),
                is_named=bool(named),
                reads_as_output=any(is_named_as_output(name) for name in named),
                meets_labels=meets,
                feeds_loss=not any(name in reaches_open for name in members),
                is_layout_known=knows_layout(ending, shown, members),
            )
        )
    return groups


def _find_open_paths(ending: NetEnds, names: list[str]) -> set[str]:
    """Names the members from which something open is reached, themselves included."""
    inside = set(names)
    ends = [name for name in names if not ending.find_real_readers(name)]
    return set(ends) | ending.graph.climb(ends, within=inside)


def _read_kind(ending: NetEnds, root: str) -> Answer:
    graph = ending.graph
    node = graph.nodes[root]
    if node.op in PROBABILITY_OPS:
        return Answer.PROBABILITIES
    if gives_classes(node.op):
        return Answer.CLASSES
    if node.op in ("Gather", "GatherV2", "GatherNd"):
        table = graph.nodes.get(graph.inputs[root][0].node)
        if table is not None and read_const_strings(table) is not None:
            return Answer.CLASSES
    return Answer.VALUES
