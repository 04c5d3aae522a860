"""A report as SARIF 2.1.0, the form in which code hosts and editors take findings.

What passes through: a `Report` comes in, plain JSON values go out. A check is a rule, a finding a result, and
a check that was not made a notification. No TensorFlow here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from servable import __version__
from servable.report import Finding, Report, Severity
from servable.report_words import describe_check

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Mapping[Severity, str] = MappingProxyType(
    {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
)
# What a URI reference may hold as it stands (RFC 3986); the colon of a scheme among them.
_URI_SAFE: Final = "/:@!$&'()*+,;=~"


def write_sarif(report: Report) -> str:
    """Writes a report as SARIF text.

    Args:
        report: Of any origin.

    Returns:
        One SARIF log with one run. A model that passed every check has a run without results.

    Example:
        >>> json.loads(write_sarif(Report("digits/1", checked=("layout",))))["runs"][0]["results"]
        []
    """
    return json.dumps(make_sarif(report), indent=2)


def make_sarif(report: Report) -> dict[str, Any]:
    """Gives a report as the plain JSON values of a SARIF log."""
    names = dict.fromkeys(
        [*report.checked, *(f.check for f in report.findings), *(s.check for s in report.skipped)]
    )
    places = {name: position for position, name in enumerate(names)}
    run = {
        "tool": {
            "driver": {
                "name": "tfx-servable",
                "version": __version__,
                "rules": [_make_rule(name) for name in names],
            }
        },
        "invocations": [
            {
                # A model that is not fit to serve is what the tool is there to find.
                "executionSuccessful": bool(report.checked),
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "message": {"text": f"not made: {skip.reason}"},
                        "associatedRule": {"id": skip.check, "index": places[skip.check]},
                    }
                    for skip in report.skipped
                ],
            }
        ],
        "results": [_make_result(finding, report.subject, places) for finding in report.findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _make_rule(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": describe_check(name)},
        "defaultConfiguration": {"level": "error"},
    }


def _make_result(finding: Finding, subject: str, places: Mapping[str, int]) -> dict[str, Any]:
    text = finding.message + (f"\nNext: {finding.advice}" if finding.advice else "")
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _write_uri(subject)}},
    }
    if finding.where:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.where}]
    return {
        "ruleId": finding.check,
        "ruleIndex": places[finding.check],
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [location],
    }


def _write_uri(subject: str) -> str:
    """Writes a path or an address as a URI reference."""
    written = quote(subject, safe=_URI_SAFE, errors="surrogateescape")
    if "://" in subject:
        return written
    if subject.startswith("/"):
        return f"file://{written}"
    # A colon in the first segment of a relative reference would end a scheme.
    head, slash, rest = written.partition("/")
    return head.replace(":", "%3A") + slash + rest
