"""A refused model as an error that leaves its report where TFX does not remove it."""

from __future__ import annotations

import pytest

from components.artifacts import find_local_dir, fresh_output_dirs
from components.rejection import ModelRejectedError, keep_report
from pipelines.outcome import State, describe_outcome
from pipelines.settings import ModelSettings
from servable.report import Finding, Report, Severity

REPORT = Report("m", ("weights",), (Finding("weights", Severity.ERROR, "3 NaN"),))


def refuse(artifact, text):
    with fresh_output_dirs({"report": [artifact]}):
        report_dir = find_local_dir(artifact.uri)
        (report_dir / "report.html").write_text(text)
        raise ModelRejectedError(REPORT, keep_report(report_dir))


@pytest.mark.parametrize("attempts", [1, 2])
def test_report_outlives_the_clean_up(make_artifact, tmp_path, attempts):
    artifact = make_artifact(tmp_path / "report" / "7")
    for attempt in range(attempts):
        with pytest.raises(ModelRejectedError) as caught:
            refuse(artifact, f"attempt {attempt}")
    assert list((tmp_path / "report" / "7").iterdir()) == []
    kept = tmp_path / "report" / "7-rejected"
    assert caught.value.report_dir == kept
    assert (kept / "report.html").read_text() == f"attempt {attempts - 1}"
    assert str(kept) in str(caught.value)
    assert "weights: 3 NaN" in str(caught.value)


def test_a_run_tells_it_from_a_failure(tmp_path):
    model = ModelSettings(name="m", source=tmp_path / "s", push=tmp_path / "pushed", raise_on_rejection=True)
    outcome = describe_outcome(model, [], error=ModelRejectedError(REPORT, tmp_path / "7-rejected"))
    assert outcome.state is State.REFUSED
    assert outcome.report_path == tmp_path / "7-rejected" / "report.html"
    assert "weights: 3 NaN" in outcome.message
