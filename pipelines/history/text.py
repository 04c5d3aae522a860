"""A pipeline's history as a table for people, and lineages as plain JSON values. No TFX here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, Final

from pipelines.lineage.model_lineage import Lineage
from servable.plain_text import make_plain

_DIGEST_CHARS: Final = 12
_COLUMNS: Final = ("when (UTC)", "model", "source", "step", "digest", "target", "verdict", "version")


def render_history(lineages: Sequence[Lineage], waiting: Mapping[str, Sequence[int]] | None = None) -> str:
    """Writes a table, a row for each push, refusal or unfinished model, oldest first.

    Args:
        lineages: Oldest first.
        waiting: Steps that are there and newer than what was converted last, by model.

    Returns:
        Lines free of what would act on a terminal.
    """
    if not lineages:
        return "No model was made yet."
    rows = [_COLUMNS, *(_write_row(one) for one in lineages)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = []
    for number, row in enumerate(rows):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        skipped = lineages[number - 1].skipped_steps if number else ()
        if skipped:
            lines.append(f"{'':<{widths[0]}}  never converted: step {_join(skipped)}")
    for model, steps in (waiting or {}).items():
        if steps:
            lines.append(f"{make_plain(model)}: step {_join(steps)} is there for the next run")
    return "\n".join(lines)


def _write_row(one: Lineage) -> tuple[str, ...]:
    cells = (
        f"{one.finished_at:%Y-%m-%d %H:%M:%S}",
        one.model,
        PurePath(one.source_path).name,
        "" if one.source_step is None else str(one.source_step),
        one.source_digest[:_DIGEST_CHARS],
        one.target,
        str(one.verdict),
        one.pushed_version or "not pushed",
    )
    return tuple(make_plain(cell) for cell in cells)


def _join(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps))


def write_json(one: Lineage) -> dict[str, Any]:
    """Gives a lineage as plain JSON values: paths and times as texts, lists for steps."""
    data = asdict(one)
    data["pushed_path"] = str(one.pushed_path) if one.pushed_path else None
    data["report_path"] = str(one.report_path) if one.report_path else None
    data["finished_at"] = one.finished_at.isoformat()
    data["verdict"] = str(one.verdict)
    data["is_intact"] = one.is_intact if one.pushed_digest else None
    return data
