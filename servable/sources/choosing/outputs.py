"""ROOM 1: which answers of a graph to serve, or that it is not clear.

What passes through: families of groups come in; the groups to serve go out, with a doubt where two choices
are as good as each other. A wrong choice in silence is worse than a question. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from servable.graphs.graph import Edge
from servable.sources.choosing.branches import judge_node
from servable.sources.choosing.graph_feeds import find_needed_feeds
from servable.sources.choosing.heads import Answer, Family, Group
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_loss, is_pipeline

_MAX_ENDS = 64

_REASONS = {
    Answer.PROBABILITIES: "a softmax or sigmoid at the net's end",
    Answer.CLASSES: "a class, or what is decoded from one",
    Answer.VALUES: "computed at the net's end",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What to serve.

    Attributes:
        groups: The answers, the main one first.
        doubt: Why the choice is not clear, or "".
    """

    groups: tuple[Group, ...]
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Pick:
    """The choice within one family; a strong one has more for it than being left over."""

    family: Family
    groups: tuple[Group, ...]
    is_strong: bool
    doubt: str = ""


def choose_outputs(graph: TrainingGraph, families: Sequence[Family], known: Collection[Edge]) -> Choice:
    """Chooses among the ends of a graph.

    Args:
        graph: The graph.
        families: Its ends.
        known: Tensors that need not be fed, such as switches.
    """
    based = [family for family in families if family.has_weights] or list(families)
    if len(based) > _MAX_ENDS:
        return Choice((), f"the graph ends in {len(based)} places")
    based = _drop_training_twins(graph, based)
    aside = [named for family in families if family not in based and (named := _keep_named_answers(family))]
    picks = [pick for family in [*based, *aside] if (pick := _pick(family)) is not None]
    strong = [pick for pick in picks if pick.is_strong] or picks
    if not strong:
        return Choice((), "no tensor looks like an answer")
    groups = tuple(group for pick in strong for group in pick.groups)
    if any(_compares_itself(graph, name) for pick in strong for name in pick.family.nodes):
        return Choice(groups, "a loss compares two tensors of the net with each other")
    doubts = [pick.doubt for pick in strong if pick.doubt]
    if doubts:
        return Choice(groups, doubts[0])
    if len(groups) > _MAX_ENDS:
        return Choice(groups, f"the graph has {len(groups)} answers")
    if len(strong) > 1 and not all(pick.is_strong for pick in strong):
        return Choice(groups, "several ends of the net look alike, and none is named")
    mains = [pick.groups for pick in strong]
    mains += [(group,) for group in groups if group.kind is Answer.PROBABILITIES]
    if len({_list_inputs(graph, main, known) for main in mains}) > 1:
        return Choice(groups, "there is more than one net, each with inputs of its own")
    shared = [pick.family.variables for pick in strong if pick.family.variables]
    if len(set(shared)) < len(shared):
        return Choice(groups, "the same weights end several nets")
    return Choice(groups)


def _keep_named_answers(family: Family) -> Family | None:
    """Of a branch before the last weights, only what is open and named like an answer is one."""
    answers = tuple(g for g in family.groups if g.is_open and g.reads_as_output)
    return replace(family, groups=answers) if answers and not family.has_weights else None


def _pick(family: Family) -> _Pick | None:
    groups = family.groups
    sure = [g for g in groups if g.kind is Answer.PROBABILITIES and (g.is_open or g.is_named or g.feeds_loss)]
    values = [g for g in groups if g.kind is Answer.VALUES]
    named = [g for g in values if g.is_open and g.is_named]
    bare = [g for g in values if g.is_open and not g.is_named]
    judged = [g for g in values if g.meets_labels]
    classes = [
        g for g in groups if g.kind is Answer.CLASSES and (g.is_named or (g.is_open and not g.meets_labels))
    ]
    if sure:
        best = _keep_best(sure)
        equal = len(best) == 1 or all(g.is_open and g.is_named for g in best)
        doubt = "" if equal else "two softmaxes or sigmoids are as likely as each other"
        return _Pick(family, (*best, *named, *classes), is_strong=True, doubt=doubt)
    main, doubt = _choose_values(named, bare, judged, values)
    if not all(g.is_layout_known for g in main):
        doubt = "the graph notes no shapes, and the loss takes its operand in another layout"
    if not main and not classes:
        return None
    strong = bool(classes) or any(g.is_named or g.meets_labels for g in main)
    return _Pick(family, (*main, *classes), is_strong=strong, doubt=doubt)


def _choose_values(
    named: list[Group], bare: list[Group], judged: list[Group], values: list[Group]
) -> tuple[list[Group], str]:
    known = [g for g in judged if g.is_named and g not in named]
    if named or known:
        return [*known, *named], ""
    if judged:
        if len(judged) > 1:
            return judged, "a loss takes several tensors of the net"
        # A loss on a scaled value, and the value itself left open: either may be meant.
        others = [g for g in bare if g not in judged]
        return [*judged, *others], "a loss takes one tensor, and another is left open" if others else ""
    if bare:
        return bare, "several tensors are left open, and none is named" if len(bare) > 1 else ""
    inner = [g for g in values if g.is_named]
    best = [g for g in inner if g.reads_as_output] or inner
    return best, "several named tensors end in a loss" if len(best) > 1 else ""


def _compares_itself(graph: TrainingGraph, name: str) -> bool:
    """A teacher's answers, or another net's, stand where labels should."""
    operands = graph.inputs[name][:2]
    return is_loss(graph.nodes[name]) and all(edge.node in graph.computed for edge in operands)


def _keep_best(groups: list[Group]) -> list[Group]:
    standing = [(g.is_open, g.reads_as_output, g.is_named) for g in groups]
    best = max(standing)
    return [g for g, own in zip(groups, standing, strict=True) if own == best]


def _drop_training_twins(graph: TrainingGraph, families: list[Family]) -> list[Family]:
    """Of nets that share their last weights, those that train are left out where another one does not."""
    kept = []
    for family in families:
        twins = [
            o for o in families if family.variables and o.variables == family.variables and o is not family
        ]
        own = _trains(graph, family) if twins else False
        if not (own and any(not _trains(graph, twin) for twin in twins)):
            kept.append(family)
    return kept


def _list_inputs(graph: TrainingGraph, groups: Sequence[Group], known: Collection[Edge]) -> tuple[Edge, ...]:
    return tuple(find_needed_feeds(graph, [edge for group in groups for edge in group.edges], known))


def _trains(graph: TrainingGraph, family: Family) -> bool:
    inner = {name for name, node in graph.nodes.items() if not is_pipeline(node)} - graph.machinery
    above = graph.climb(family.nodes, within=inner) | family.nodes
    return any("training" in judge_node(graph.nodes[name]) for name in above)


def explain_group(group: Group) -> str:
    """Says in words what speaks for a group."""
    reasons = [_REASONS[group.kind]]
    if group.is_open:
        reasons.append("nothing takes it further")
    if group.meets_labels:
        reasons.append("a loss or metric compares it with labels")
    if group.reads_as_output:
        reasons.append("named like an answer")
    elif group.is_named:
        reasons.append("named by its author")
    return ", ".join(reasons)


def score_group(group: Group) -> int:
    """Ranks a group in a list; the choice itself does not count points."""
    return (
        {Answer.PROBABILITIES: 50, Answer.CLASSES: 25, Answer.VALUES: 10}[group.kind]
        + 20 * group.is_open
        + 15 * group.meets_labels * (group.kind is Answer.VALUES)
        + 10 * group.reads_as_output
        + 10 * group.is_named
    )


def name_plain_keys(graph: TrainingGraph, groups: Sequence[Group]) -> dict[Edge, str]:
    """Key of each tensor where nobody named it."""
    keys: dict[Edge, str] = {}
    for group in groups:
        for edge in group.edges:
            key = "y"
            if group.kind is Answer.PROBABILITIES:
                key = "probabilities"
            elif group.kind is Answer.CLASSES:
                key = "classes" if graph.read_spec(edge).dtype == "string" else "class_ids"
            keys[edge] = key
    return keys
