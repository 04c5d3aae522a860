"""Shows history and lineage: as text or JSON on standard output, and as a drawing in a file.

What passes through: what a command line names comes in; everything that both front doors, `servable` and
`python -m pipelines`, print goes out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.history.options import Place
from pipelines.history.text import render_history, write_json
from pipelines.history.tracing import choose_pipeline, find_skipped, list_steps, trace_history
from pipelines.lineage.graph import draw_history, draw_lineage
from pipelines.lineage.model_lineage import Lineage, render_lineage
from pipelines.lineage.versions import FoundVersion, find_version
from pipelines.rendering.graph import Graph, write_graph

EXIT_DONE: Final = 0
EXIT_CHANGED: Final = 1


def show_history(place: Place, arguments: argparse.Namespace) -> int:
    """Shows every model of a pipeline.

    Args:
        place: Which metadata and pipeline.
        arguments: `model`, `last`, `graph`, `json`.

    Raises:
        SettingsError: There is no such metadata or pipeline.
    """
    pipeline = place.pipeline or choose_pipeline(place.location, None)
    lineages = trace_history(place.location, pipeline)
    present = _list_present(place)
    lineages = find_skipped(lineages, present)
    waiting = _find_waiting(lineages, present)
    if arguments.model:
        lineages = tuple(one for one in lineages if one.model == arguments.model)
        waiting = {name: steps for name, steps in waiting.items() if name == arguments.model}
    if arguments.last:
        lineages = lineages[-arguments.last :]
    _draw(arguments.graph, draw_history(lineages, pipeline))
    if arguments.json:
        _print_json(
            {
                "pipeline": pipeline,
                "models": [write_json(one) for one in lineages],
                "waiting_steps": waiting,
            }
        )
    else:
        _print(render_history(lineages, waiting))
    return EXIT_DONE


def show_version(place: Place, wanted: str, arguments: argparse.Namespace) -> int:
    """Shows which model a version is.

    Args:
        place: Which metadata, and perhaps which pipeline.
        wanted: A version directory, or a version's number.
        arguments: `model`, `graph`, `json`.

    Returns:
        1 when what lies there is not what was pushed there, else 0.

    Raises:
        ServableError: Nothing that was pushed matches.
    """
    from pipelines.lineage.model_lineage import look_at_pushed

    found = find_version(place.location, wanted, pipeline=place.pipeline, model=arguments.model)
    found = tuple(FoundVersion(look_at_pushed(one.lineage), one.note) for one in found)
    lineages = [one.lineage for one in found]
    _draw(arguments.graph, draw_lineage(lineages))
    if arguments.json:
        _print_json([{**write_json(one.lineage), "note": one.note} for one in found])
    else:
        _print("\n\n".join(_render_found(one) for one in found))
    changed = any(one.pushed_digest and one.saved_model_digest and not one.is_intact for one in lineages)
    return EXIT_CHANGED if changed else EXIT_DONE


def show_lineages(lineages: Sequence[Lineage], arguments: argparse.Namespace) -> int:
    """Shows lineages that were traced already.

    Args:
        lineages: Oldest first.
        arguments: `graph`, `json`.
    """
    _draw(arguments.graph, draw_lineage(lineages))
    if arguments.json:
        _print_json([write_json(one) for one in lineages])
    else:
        _print(render_lineage(tuple(lineages)))
    return EXIT_DONE


def _render_found(found: FoundVersion) -> str:
    text = render_lineage((found.lineage,))
    return f"{text}\n  {'found':<10} {found.note}" if found.note else text


def _list_present(place: Place) -> dict[str, tuple[int, ...]]:
    models = place.settings.models if place.settings else ()
    return {model.name: list_steps(model.source) for model in models if model.step is None}


def _find_waiting(
    lineages: Sequence[Lineage], present: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    last: dict[str, int] = {}
    for one in lineages:
        if one.source_step is not None:
            last[one.model] = max(one.source_step, last.get(one.model, one.source_step))
    return {
        name: tuple(step for step in steps if step > last[name])
        for name, steps in present.items()
        if name in last and any(step > last[name] for step in steps)
    }


def _draw(path: Path | None, graph: Graph) -> None:
    if path is not None:
        write_graph(graph, path)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=2, sort_keys=True) + "\n")
