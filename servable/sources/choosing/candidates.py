"""ROOM 1: what of a training graph a signature might want: inputs, outputs and switches, each with a reason.

What passes through: a MetaGraphDef comes in, ranked candidates go out, and the choice where it is clear. A
training graph holds far more than the model: gradients, savers, summaries, losses and metrics are left out
by what they do. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from servable.graphs.graph import Edge, spell_tensor
from servable.signature import TensorSpec
from servable.sources.choosing.graph_feeds import Feeds, find_feeds
from servable.sources.choosing.heads import Family, find_families
from servable.sources.choosing.named_collections import find_noted_inputs, find_noted_outputs
from servable.sources.choosing.outputs import Choice, choose_outputs, explain_group, score_group
from servable.sources.choosing.switch_values import Switch
from servable.sources.choosing.tensor_names import is_named, is_named_as_output
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_pipeline

_MAX_SHOWN = 12
_MAX_FOLLOWED = 256
_NOTED_SCORE = 200
_INNER_SCORE = 12
_INNER_OPS = frozenset({"Softmax", "Sigmoid", "Tanh"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One tensor that a signature might want, or a switch that serving should freeze.

    Attributes:
        tensor: Its name, such as "probabilities:0".
        spec: Type and shape as far as the graph says.
        score: Higher is likelier.
        reason: Why, in words.
    """

    tensor: str
    spec: TensorSpec | None
    score: int
    reason: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ranked, best first."""

    inputs: tuple[Candidate, ...]
    outputs: tuple[Candidate, ...]
    switches: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """What a graph is fed with and where it ends.

    Attributes:
        feeds: Its inputs and labels.
        families: Its ends.
        choice: The outputs to serve, or why there are none.
    """

    feeds: Feeds
    families: tuple[Family, ...]
    choice: Choice


def find_ends(graph: TrainingGraph, switches: Collection[Switch], given: Collection[Edge] = ()) -> Ends:
    """Finds where a graph begins and ends.

    Args:
        graph: The graph.
        switches: Its training switches.
        given: Inputs that the user named; outputs then depend on nothing else.
    """
    names = {switch.edge.node for switch in switches} - {edge.node for edge in given}
    feeds = find_feeds(graph, names, given)
    families = tuple(find_families(graph, feeds))
    known = [switch.edge for switch in switches if switch.edge.node in names]
    return Ends(feeds, families, choose_outputs(graph, families, [*known, *given]))


def list_candidates(graph: TrainingGraph, switches: Collection[Switch], ends: Ends) -> Candidates:
    """Puts what was found into ranked lists, with reasons."""
    return Candidates(
        inputs=tuple(_list_inputs(graph, ends)),
        outputs=tuple(_list_outputs(graph, ends)),
        switches=tuple(_describe(graph, s.edge, 10, s.reason) for s in switches),
    )


def _list_inputs(graph: TrainingGraph, ends: Ends) -> list[Candidate]:
    noted = find_noted_inputs(graph)
    found = []
    for edge in ends.feeds.inputs[:_MAX_FOLLOWED]:
        reached = graph.reach([edge], blocked=graph.machinery)
        if not reached or (graph.computed and graph.computed.isdisjoint(reached)):
            continue
        pipeline = is_pipeline(graph.nodes[edge.node])
        reason = "handed over by the input pipeline" if pipeline else "a placeholder"
        reason += ", noted in a collection" if edge in noted else ""
        found.append(_describe(graph, edge, _NOTED_SCORE if edge in noted else 10, reason))
    return sorted(found, key=lambda candidate: -candidate.score)


def _list_outputs(graph: TrainingGraph, ends: Ends) -> list[Candidate]:
    found = {
        edge: _describe(graph, edge, _NOTED_SCORE, "noted in a collection")
        for edge in find_noted_outputs(graph)
    }
    chosen = {edge for group in ends.choice.groups for edge in group.edges}
    for family in ends.families:
        for group in family.groups:
            score = score_group(group) + 100 * bool(chosen.intersection(group.edges))
            for edge in group.edges:
                found.setdefault(edge, _describe(graph, edge, score, explain_group(group)))
    for edge in _find_inner(graph, ends):
        found.setdefault(edge, _describe(graph, edge, _INNER_SCORE, "inside the net, what follows takes it"))
    ranked = sorted(found.values(), key=lambda candidate: -candidate.score)
    return ranked[:_MAX_SHOWN]


def _find_inner(graph: TrainingGraph, ends: Ends) -> list[Edge]:
    """A generator's picture or an encoder's code may be wanted, but only if somebody asks."""
    labelled = graph.reach(ends.feeds.labels, blocked=graph.machinery)
    outside = labelled | graph.batch_results
    return [
        Edge(name, 0)
        for name, node in graph.nodes.items()
        if name in graph.computed and name not in outside
        if node.op in _INNER_OPS
        or (is_named(graph, name) and (node.op == "Identity" or is_named_as_output(name)))
    ][-_MAX_SHOWN:]


def _describe(graph: TrainingGraph, edge: Edge, score: int, reason: str) -> Candidate:
    spec = graph.read_spec(edge)
    return Candidate(spell_tensor(edge), spec if spec.dtype else None, score, reason)
