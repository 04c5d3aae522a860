"""A report as one self-contained HTML page, for people.

What passes through: a `Report` comes in, HTML text goes out. Every text of a report may be chosen by
whoever made the model, so that nothing in it is taken as markup, runs backwards or hides. No TensorFlow here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from servable.plain_text import make_plain
from servable.report import Finding, Report, Severity
from servable.report_page.charts import HEIGHT, WIDTH
from servable.report_page.sections import make_sections
from servable.report_page.units import name_fact, show_value
from servable.report_words import describe_check

_TEMPLATE = "page.html.jinja"
_RANKS = (Severity.INFO, Severity.WARNING, Severity.ERROR)
# What a pipeline knows of where a model comes from; shown by itself.
_LINEAGE = "lineage"


@dataclass(frozen=True, slots=True)
class _Row:
    """One check in the table."""

    check: str
    outcome: str  # "passed", "warning", "failed" or "skipped": also the name of its style
    note: str


def render_page(report: Report, *, title: str) -> str:
    """Renders a report as a page that needs no other file, and no JavaScript.

    Args:
        report: Of any origin; its texts are escaped.
        title: Heading, such as the model's name.

    Returns:
        HTML5 text.
    """
    # A pipeline that takes everything from its cache renders no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        # Not by the template's name: the page is HTML whatever the file is called.
        loader=PackageLoader("servable.report_page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_plainly,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdict, _, reason = report.summarize().partition(": ")
    sections, shown = make_sections(report.facts)
    lineage = report.facts.get(_LINEAGE)
    others = {key: value for key, value in report.facts.items() if key not in {*shown, _LINEAGE}}
    return environment.get_template(_TEMPLATE).render(
        title=title,
        subject=report.subject,
        passed=report.passed,
        verdict=verdict,
        reason=reason,
        counts=_count(report),
        rows=_make_rows(report),
        findings=sorted(report.findings, key=lambda f: -_RANKS.index(f.severity)),
        sections=sections,
        lineage=_flatten(lineage) if isinstance(lineage, Mapping) else [],
        facts=_flatten(others),
        width=WIDTH,
        height=HEIGHT,
    )


def _show_plainly(value: Any) -> Any:
    return (
        make_plain(value, keep_lines=True)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _count(report: Report) -> list[tuple[str, int, str]]:
    """Gives a style, a number and its name for each of the figures below the verdict."""
    found = Counter(finding.severity for finding in report.findings)
    passed = sum(row.outcome == "passed" for row in _make_rows(report))
    return [
        ("passed", passed, "passed"),
        ("failed", found[Severity.ERROR], "errors"),
        ("warning", found[Severity.WARNING], "warnings"),
        ("skipped", len(report.skipped), "skipped"),
    ]


def _make_rows(report: Report) -> list[_Row]:
    rows = [_make_row(check, [f for f in report.findings if f.check == check]) for check in report.checked]
    return rows + [_Row(skipped.check, "skipped", skipped.reason) for skipped in report.skipped]


def _make_row(check: str, findings: list[Finding]) -> _Row:
    worst = max(findings, key=lambda f: _RANKS.index(f.severity), default=None)
    if worst is None:
        return _Row(check, "passed", describe_check(check))
    outcome = {Severity.ERROR: "failed", Severity.WARNING: "warning", Severity.INFO: "passed"}[worst.severity]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return _Row(check, outcome, worst.message + more)


def _flatten(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Lists facts as pairs of name and text; nested ones as "outer / inner"."""
    lines = []
    for key, value in facts.items():
        here = (*path, str(key))
        if isinstance(value, Mapping):
            lines += _flatten(value, here)
        else:
            # The model's maker chose names below the library's own; only of the latter is a unit read.
            name = here[-1] if here[0] in _OWN_NAMES else here[0]
            lines.append((" / ".join((name_fact(here[0]), *here[1:])), show_value(name, value)))
    return lines


# Facts whose inner names are the library's own, too.
_OWN_NAMES = frozenset({"cost", _LINEAGE})
