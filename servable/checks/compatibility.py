"""The room's third door: `describe_compatibility` asks every known target about a SavedModel.

What passes through: a SavedModel's graph comes in, facts for a report go out. They are no verdict: only the
target that the model is for has a check of its own. Nothing is run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from servable.checks.target import report_obstacles
from servable.errors import SourceError
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.report import Report
from servable.targets.catalog import list_targets
from servable.targets.comparing import judge_all


def describe_compatibility(saved_model_dir: Path) -> list[dict[str, Any]]:
    """Says what each target makes of the graph that a server takes.

    Args:
        saved_model_dir: The folder with `saved_model.pb`.

    Returns:
        `target`, `tensorflow` (its version), `loads`, `runs` and `obstacle`, the first one in words; nothing
        for a model that has no such graph, which is for the checks to say.
    """
    try:
        graphs = read_model_file(find_model_file(saved_model_dir)).meta_graphs
    except SourceError:
        return []
    graph = next((graph for graph in graphs if set(graph.meta_info_def.tags) == {SERVE_TAG}), None)
    if graph is None:
        return []
    rows = []
    for verdict in judge_all(graph, list_targets()):
        found = report_obstacles(verdict.obstacles, verdict.target)
        rows.append(
            {
                "target": verdict.target.name,
                "tensorflow": verdict.target.version,
                "loads": verdict.loads,
                "runs": verdict.runs,
                "obstacle": found[0].message if found else "",
            }
        )
    return rows


def add_compatibility(report: Report, saved_model_dir: Path) -> Report:
    """Adds these facts to a report, for whoever reads it: it takes a second or two."""
    rows = describe_compatibility(saved_model_dir)
    return dataclasses.replace(report, facts={**report.facts, "compatibility": rows}) if rows else report
