"""Findings and reports, a word that every room may use.

What passes through: checks put findings in, people and pipelines read the report. A failed check is a
Finding; an exception would mean that the check could not be made. No TensorFlow here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from servable.errors import SettingsError

# Of `report.schema.json`. Raised when a key goes or changes its meaning, not when one is added.
SCHEMA_VERSION: Final = 1


class Severity(StrEnum):
    """How much a finding weighs: only an error keeps a model from being blessed."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        check: Name of the check, such as "weights".
        severity: How much it weighs.
        message: What is so, with expected and received values.
        where: File, key, node or tensor.
        advice: What to do next; may be empty.
    """

    check: str
    severity: Severity
    message: str
    where: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A check that was not made, and why: it is neither passed nor failed."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, what was found, what was skipped.

    Attributes:
        subject: Path of what was looked at.
        checked: Names of the checks that were made, in order.
        findings: In the order they were found.
        skipped: Checks that were not made.
        facts: Plain JSON values worth knowing, such as variable bytes or worst differences.
    """

    subject: str
    checked: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when something was checked and no finding is an error."""
        return bool(self.checked) and not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the model from being blessed."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    def summarize(self) -> str:
        """Says the outcome in one plain sentence."""
        if not self.checked:
            return "Nothing was checked."
        if self.errors:
            first = self.errors[0]
            more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            return f"Not fit to serve: {first.check}: {first.message}{more}"
        warnings = sum(f.severity is Severity.WARNING for f in self.findings)
        made = f"{len(self.checked)} checks made, {warnings} warnings, {len(self.skipped)} skipped"
        return f"Fit to serve: {made}."

    def to_dict(self) -> dict[str, Any]:
        """Turns the report into plain JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "subject": self.subject,
            "passed": self.passed,
            "summary": self.summarize(),
            "checked": list(self.checked),
            "findings": [
                {
                    "check": f.check,
                    "severity": f.severity.value,
                    "message": f.message,
                    "where": f.where,
                    "advice": f.advice,
                }
                for f in self.findings
            ],
            "skipped": [{"check": s.check, "reason": s.reason} for s in self.skipped],
            "facts": dict(self.facts),
        }

    def to_json(self) -> str:
        """Writes the report as JSON text with sorted keys, as `report.schema.json` describes it."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            SettingsError: A newer version of this library wrote it, in a form that is not known here.
        """
        data = json.loads(text)
        if (version := data.get("schema_version", SCHEMA_VERSION)) != SCHEMA_VERSION:
            raise SettingsError(
                "This report has another form than this version reads.",
                expected=f"schema_version {SCHEMA_VERSION}",
                received=str(version),
                advice="read it with the version of tfx-servable that wrote it",
            )
        return cls(
            subject=data["subject"],
            checked=tuple(data["checked"]),
            findings=tuple(
                Finding(f["check"], Severity(f["severity"]), f["message"], f["where"], f["advice"])
                for f in data["findings"]
            ),
            skipped=tuple(Skipped(s["check"], s["reason"]) for s in data["skipped"]),
            facts=data["facts"],
        )


def merge_reports(subject: str, reports: Iterable[Report]) -> Report:
    """Joins the reports of several checks on one subject into one."""
    parts = list(reports)
    return Report(
        subject=subject,
        checked=tuple(name for part in parts for name in part.checked),
        findings=tuple(finding for part in parts for finding in part.findings),
        skipped=tuple(skip for part in parts for skip in part.skipped),
        facts={key: value for part in parts for key, value in part.facts.items()},
    )
