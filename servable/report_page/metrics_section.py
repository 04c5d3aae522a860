"""The part of a page about labelled examples: from the facts of `metrics` to rows.

What passes through: facts come in as a report has them, rows for the template go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from servable.report_page.units import show_seconds

# Side of the facts to its heading, in the order of the columns.
_SIDES: Final = {
    "candidate": "this model",
    "source": "the source's own answers",
    "previous": "the previous model",
}


@dataclass(frozen=True, slots=True)
class MetricsView:
    """What was measured on labelled examples.

    Attributes:
        sentence: Task, label and how many rows.
        sides: Headings of the columns.
        figures: Name and one value for each side, "" where there is none.
        rows: What failed in words, how many rows, some of them by name.
    """

    sentence: str
    sides: tuple[str, ...]
    figures: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[tuple[str, str, str], ...]


def view_metrics(facts: Mapping[str, Any]) -> list[MetricsView]:
    """Makes the one view; the facts may be of any version.

    Raises:
        LookupError: A fact is missing.
        TypeError: A fact has another form.
    """
    sides = [side for side in _SIDES if isinstance(facts.get(side), Mapping)]
    names = list(dict.fromkeys(name for side in sides for name in facts[side]))
    figures = [(name, tuple(_show(facts[side].get(name)) for side in sides)) for name in names]
    times = facts.get("times", {})
    for key, title in (("request_p50_s", "half of the requests"), ("request_p99_s", "99 of 100 requests")):
        values = tuple(_show_time(times.get(side, {}).get(key)) for side in sides)
        if any(values):
            figures.append((title, values))
    failing = [
        (f"{key}: differs from the source's own answer", one["differing_rows"], one["samples"])
        for key, one in facts.get("differences", {}).items()
        if one["differing_rows"]
    ]
    failing += [(reason, one["rows"], one["samples"]) for reason, one in facts.get("unusable", {}).items()]
    usable = facts["rows"] - facts["unusable_rows"]
    label = f" by label {facts['label']}" if facts["label"] else ""
    return [
        MetricsView(
            f"{facts['task']}{label}, signature {facts['signature']}: {usable:,} of {facts['rows']:,} rows.",
            tuple(_SIDES[side] for side in sides),
            tuple(figures),
            tuple((what, f"{count:,}", ", ".join(samples)) for what, count, samples in failing),
        )
    ]


def _show(value: float | None) -> str:
    # Budgets of what may be lost are small: three digits would hide it.
    return "" if value is None else f"{value:.6g}"


def _show_time(value: float | None) -> str:
    return "" if value is None else show_seconds(value)
