"""ROOM 1: which graph of a SavedModel is meant. No TensorFlow here.

What passes through: a SavedModel message and the user's tags come in, one MetaGraphDef goes out. Trainers
write several graphs into one file, for training and for serving; TF-Hub's modules tag the one for inference
with nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError, SettingsError
from servable.graphs.saved_model_parts import SERVE_TAG
from servable.report import Finding, Severity


def choose_meta_graph(
    saved_model: Any, tags: tuple[str, ...] | None, *, where: Path
) -> tuple[Any, tuple[Finding, ...]]:
    """Picks one graph.

    Args:
        saved_model: A SavedModel message.
        tags: Exactly the tags of the graph; None for the one tagged `serve`, or with nothing at all. A graph
            with other tags may be one for training, and is taken only by name.
        where: The file, for errors.

    Returns:
        The MetaGraphDef, and a note where it was not plain which one is meant.

    Raises:
        BrokenSourceError: There is no graph, an empty one, two with the same tags, or none that is plainly
            meant.
        SettingsError: No graph has the tags that were asked for.
    """
    graphs = list(saved_model.meta_graphs)
    if not graphs or not any(graph.graph_def.node for graph in graphs):
        raise BrokenSourceError(
            "The SavedModel holds no graph.",
            expected="a SavedModel message with at least one graph",
            received=f"{len(graphs)} graphs, without nodes" if graphs else "none",
            where=str(where),
            advice="copy the folder again from where it was written",
        )
    tag_sets = [frozenset(graph.meta_info_def.tags) for graph in graphs]
    doubled = sorted({_spell(tag_set) for tag_set in tag_sets if tag_sets.count(tag_set) > 1})
    if doubled:
        raise BrokenSourceError(
            "Several graphs of the SavedModel have the same tags, so that no loader can tell them apart.",
            expected="each set of tags once",
            received=", ".join(doubled),
            where=str(where),
            advice="save the model again with other tags for each graph",
        )
    wanted = _choose_tags(tag_sets, None if tags is None else frozenset(tags), where)
    chosen = graphs[tag_sets.index(wanted)]
    if not chosen.graph_def.node:
        raise BrokenSourceError(
            f"The graph tagged {_spell(wanted)} is empty.",
            expected="a graph with nodes",
            received=f"{len(graphs)} graphs tagged {', '.join(map(_spell, tag_sets))}",
            where=str(where),
            advice=_advise(
                [tags for tags, graph in zip(tag_sets, graphs, strict=True) if graph.graph_def.node]
            ),
        )
    return chosen, _note_choice(wanted, tag_sets, asked=tags is not None, where=where)


def _choose_tags(tag_sets: list[frozenset[str]], asked: frozenset[str] | None, where: Path) -> frozenset[str]:
    shown = ", ".join(map(_spell, tag_sets))
    if asked is not None:
        if asked not in tag_sets:
            raise SettingsError(
                "No graph of the SavedModel has these tags.",
                expected=f"exactly the tags of one of {shown}",
                received=_spell(asked),
                where=str(where),
                advice=_advise(tag_sets),
            )
        return asked
    exact = [tags for tags in tag_sets if tags == {SERVE_TAG}]
    serving = [tags for tags in tag_sets if SERVE_TAG in tags]
    for candidates in (exact, serving, [tags for tags in tag_sets if not tags]):
        if len(candidates) == 1:
            return candidates[0]
    raise BrokenSourceError(
        "No graph of the SavedModel says that it is the one to be served.",
        expected=f"one that is tagged {_spell({SERVE_TAG})}",
        received=shown,
        where=str(where),
        advice=_advise(tag_sets),
    )


def _note_choice(
    chosen: frozenset[str], tag_sets: list[frozenset[str]], *, asked: bool, where: Path
) -> tuple[Finding, ...]:
    others = ", ".join(_spell(tags) for tags in tag_sets if tags != chosen)
    if asked or (chosen == {SERVE_TAG} and not others):
        return ()
    text = f"took the graph tagged {_spell(chosen)}"
    text += f" and left out {others}" if others else ", the only one"
    return (Finding("source", Severity.INFO, text, str(where)),)


def _advise(tag_sets: list[frozenset[str]]) -> str:
    return "name its tags: " + " or ".join(f"--tags '{','.join(sorted(tags))}'" for tags in tag_sets)


def _spell(tags: Iterable[str]) -> str:
    return "{" + ", ".join(sorted(tags)) + "}"
