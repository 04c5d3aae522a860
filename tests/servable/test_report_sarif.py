"""SARIF, held against what the OASIS standard 2.1.0 requires of each object."""

import json
import re

import pytest

from servable.cli import main
from servable.report import Finding, Report, Severity, Skipped
from servable.report_sarif import make_sarif, write_sarif

REPORT = Report(
    "models/digits 1",
    checked=("layout", "weights", "ops"),
    findings=(
        Finding("weights", Severity.INFO, "2 constants"),
        Finding("weights", Severity.WARNING, "values are large", "variable w", "Look at them."),
        Finding("ops", Severity.ERROR, "PyFunc runs code", "node py"),
    ),
    skipped=(Skipped("fidelity", "there is no baseline"),),
)
# Section 3.27.10 of the standard.
LEVELS = {"none", "note", "warning", "error"}


def find_faults(log):
    """What sections 3.13 to 3.52 require of a log, as far as this one has such objects."""
    faults = []
    if log.get("version") != "2.1.0" or not isinstance(log.get("runs"), list):
        faults.append("3.13: version and runs")
    for run in log.get("runs", []):
        driver = run.get("tool", {}).get("driver", {})
        if not isinstance(driver.get("name"), str):
            faults.append("3.19.8: a tool component has a name")
        rules = driver.get("rules", [])
        ids = [rule.get("id") for rule in rules]
        if len(set(ids)) != len(ids) or not all(isinstance(name, str) for name in ids):
            faults.append("3.49.3: rules have ids, each its own")
        faults += [
            "3.49.9: text" for r in rules if not isinstance(r.get("shortDescription", {}).get("text"), str)
        ]
        for invocation in run.get("invocations", []):
            if not isinstance(invocation.get("executionSuccessful"), bool):
                faults.append("3.20.14: executionSuccessful")
            for note in invocation.get("toolExecutionNotifications", []):
                if not note.get("message", {}).get("text") or note.get("level", "warning") not in LEVELS:
                    faults.append("3.58: a notification has a message and a level")
                if ids[note["associatedRule"]["index"]] != note["associatedRule"]["id"]:
                    faults.append("3.52.4: id and index are of one rule")
        for result in run.get("results", []):
            if not isinstance(result.get("message", {}).get("text"), str):
                faults.append("3.27.11: a result has a message")
            if result.get("level", "warning") not in LEVELS:
                faults.append("3.27.10: level")
            if ids[result["ruleIndex"]] != result["ruleId"]:
                faults.append("3.27.6: ruleIndex is that of ruleId")
            for location in result.get("locations", []):
                uri = location["physicalLocation"]["artifactLocation"]["uri"]
                if not re.fullmatch(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", uri):
                    faults.append(f"3.4.3: {uri} is no URI reference")
                faults += ["3.33" for place in location.get("logicalLocations", []) if not place]
    return faults


def test_log_is_as_the_standard_requires():
    assert find_faults(json.loads(write_sarif(REPORT))) == []


def test_each_check_is_a_rule_and_each_finding_a_result_with_its_place():
    (run,) = make_sarif(REPORT)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["layout", "weights", "ops", "fidelity"]
    assert [result["level"] for result in run["results"]] == ["note", "warning", "error"]
    large = run["results"][1]
    assert large["message"]["text"] == "values are large\nNext: Look at them."
    assert large["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "variable w"}]
    assert large["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "models/digits%201"


def test_a_check_that_was_not_made_is_no_result():
    (run,) = make_sarif(REPORT)["runs"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "not made: there is no baseline"
    assert run["invocations"][0]["executionSuccessful"]
    assert not make_sarif(Report("m"))["runs"][0]["invocations"][0]["executionSuccessful"]


@pytest.mark.parametrize(
    ("subject", "uri"),
    [
        ("/data/ü/1", "file:///data/%C3%BC/1"),
        ("gs://bucket/a b/1", "gs://bucket/a%20b/1"),
        ("a:b/c:d", "a%3Ab/c:d"),
        ("50%/1", "50%25/1"),
        ("\udcff/1", "%FF/1"),
    ],
)
def test_paths_become_uris(subject, uri):
    log = make_sarif(Report(subject, ("ops",), (Finding("ops", Severity.ERROR, "no"),)))
    assert find_faults(log) == []
    (result,) = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_check_writes_it_beside_its_answer(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"\xff")
    code = main(["check", str(tmp_path / "m"), "--sarif", str(tmp_path / "out.sarif"), "--json"])
    printed = json.loads(capsys.readouterr().out)
    log = json.loads((tmp_path / "out.sarif").read_text())
    assert code == 1
    assert find_faults(log) == []
    assert len(log["runs"][0]["results"]) == len(printed["findings"]) > 0
