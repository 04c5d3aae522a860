import json

import pytest

from servable.errors import SettingsError
from servable.report import Finding, Report, Severity, Skipped, merge_reports


def test_report_survives_json():
    report = Report(
        "model/1",
        ("layout", "weights"),
        (Finding("weights", Severity.WARNING, "3 zeros", where="w", advice="look"),),
        (Skipped("batch", "no free batch"),),
        {"variable_bytes": 12},
    )
    assert Report.from_json(report.to_json()) == report


def test_only_an_error_fails():
    warning = Finding("weights", Severity.WARNING, "odd")
    error = Finding("weights", Severity.ERROR, "NaN")
    assert Report("m", ("weights",), (warning,)).passed
    assert not Report("m", ("weights",), (warning, error)).passed


def test_nothing_checked_is_not_passed():
    assert not Report("m").passed
    assert Report("m").summarize() == "Nothing was checked."


def test_summary_names_the_first_error_and_counts_the_rest():
    errors = tuple(Finding("ops", Severity.ERROR, text) for text in ("PyFunc", "ReadFile"))
    assert Report("m", ("ops",), errors).summarize() == "Not fit to serve: ops: PyFunc (and 1 more)"


def test_merge_keeps_order_and_facts():
    one = Report("m", ("a",), (), (), {"x": 1})
    two = Report("m", ("b",), (Finding("b", Severity.ERROR, "no"),), (Skipped("c", "late"),), {"y": 2})
    merged = merge_reports("m", [one, two])
    assert merged.checked == ("a", "b")
    assert merged.facts == {"x": 1, "y": 2}
    assert not merged.passed


def test_written_report_keeps_to_its_schema(report_faults):
    report = Report(
        "model/1",
        ("layout",),
        (Finding("layout", Severity.ERROR, "a link leads out", where="assets/v", advice="copy it"),),
        (Skipped("batch", "no free batch"),),
        {"variable_bytes": 12, "worst_differences": {"s": {"y": None}}},
    )
    written = json.loads(report.to_json())
    assert written["schema_version"] == 1
    assert report_faults(written) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema_version", 2),
        ("passed", 1),
        ("findings", [{"check": "ops"}]),
        ("skipped", [{"check": "ops", "reason": None}]),
        ("facts", {"variable_bytes": "12"}),
        ("facts", {"worst_differences": {"s": {"y": "none"}}}),
    ],
)
def test_schema_refuses_another_form(report_faults, key, value):
    written = Report("m", ("layout",)).to_dict()
    assert report_faults({**written, key: value})


def test_report_of_a_newer_form_is_not_guessed_at():
    written = Report("m", ("layout",)).to_dict()
    with pytest.raises(SettingsError, match="schema_version 1"):
        Report.from_json(json.dumps({**written, "schema_version": 2}))


def test_report_of_before_the_schema_is_read():
    written = Report("m", ("layout",)).to_dict()
    del written["schema_version"]
    assert Report.from_json(json.dumps(written)) == Report("m", ("layout",))
