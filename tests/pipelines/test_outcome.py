"""What a run did, told from ML Metadata's records and from what a server finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.metadata.records import ArtifactRecord, ExecutionRecord
from pipelines.outcome import (
    ModelOutcome,
    RunOutcome,
    State,
    describe_outcome,
    describe_shadow,
    find_newest_version,
    must_push_again,
)
from pipelines.rendering.outcomes import render_outcome
from pipelines.settings import ModelSettings
from servable.errors import SourceError


@pytest.fixture
def model(tmp_path) -> ModelSettings:
    return ModelSettings(name="m", source=tmp_path / "s", push=tmp_path / "pushed")


def make_version(model: ModelSettings, version: int) -> Path:
    path = model.push_dir / str(version)
    path.mkdir(parents=True)
    (path / "saved_model.pb").touch()
    return path


def record(node: str, state: str, outputs: dict[str, ArtifactRecord], number: int = 1) -> ExecutionRecord:
    return ExecutionRecord(number, node, "run", state, 0, {}, outputs)


def record_push(path: Path | None, state: str = "complete", number: int = 1) -> ExecutionRecord:
    properties: dict[str, int | float | str] = {"pushed": int(path is not None)}
    if path is not None:
        properties |= {"pushed_destination": str(path), "pushed_version": path.name}
    artifact = ArtifactRecord(number, "PushedModel", "u", properties)
    return record("push_m", state, {"pushed_model": artifact}, number)


def record_check(blessed: int, state: str = "complete") -> ExecutionRecord:
    properties: dict[str, int | float | str] = {
        "blessed": blessed,
        "reasons": "" if blessed else "weights: NaN",
    }
    return record(
        "validate_m",
        state,
        {
            "blessing": ArtifactRecord(8, "ModelBlessing", "b", properties),
            "report": ArtifactRecord(9, "ModelEvaluation", "/r", {}),
        },
    )


def test_pushed(model):
    path = make_version(model, 5)
    outcome = describe_outcome(
        model, [record("convert_m", "complete", {}), record_check(1), record_push(path)]
    )
    assert (outcome.state, outcome.pushed_path) == (State.PUSHED, path)
    assert outcome.executed == ("convert_m", "validate_m", "push_m")
    assert outcome.report_path == Path("/r/report.html")
    assert str(path) in render_outcome(outcome)


def test_unchanged(model):
    path = make_version(model, 5)
    executions = [record("convert_m", "cached", {}), record_check(1, "cached"), record_push(path, "cached")]
    outcome = describe_outcome(model, executions)
    assert (outcome.state, outcome.executed) == (State.UNCHANGED, ())
    assert outcome.cached == ("convert_m", "validate_m", "push_m")


@pytest.mark.parametrize("state", ["complete", "cached"])
def test_refused_with_the_reason(model, state):
    outcome = describe_outcome(model, [record_check(0, state), record_push(None, state)])
    assert (outcome.state, outcome.message, outcome.pushed_path) == (State.REFUSED, "weights: NaN", None)
    assert "weights: NaN" in render_outcome(outcome)


def test_failed_with_the_error(model):
    error = SourceError("it is cut short", where="a.data")
    outcome = describe_outcome(model, [record("convert_m", "failed", {})], error=error)
    assert (outcome.state, outcome.executed) == (State.FAILED, ())
    assert "it is cut short" in outcome.message
    assert "a.data" in outcome.message


def test_error_of_somebody_elses_names_its_class(model):
    assert describe_outcome(model, [], error=KeyError("x")).message == "KeyError: 'x'"


def test_run_without_a_record_is_a_failure(model):
    assert describe_outcome(model, []).state is State.FAILED


def test_larger_version_of_somebody_else_is_told(model):
    path = make_version(model, 5)
    make_version(model, 10)
    assert "10" in describe_shadow(path)
    assert describe_shadow(model.push_dir / "10") == ""
    assert "10" in describe_outcome(model, [record_check(1), record_push(path)]).message


@pytest.mark.parametrize(
    ("states", "exit_code"),
    [
        ([State.PUSHED, State.UNCHANGED], 0),
        ([State.PUSHED, State.REFUSED], 1),
        ([State.REFUSED, State.FAILED], 2),
    ],
)
def test_exit_code_is_the_worst(states, exit_code):
    outcomes = tuple(ModelOutcome(str(index), state) for index, state in enumerate(states))
    assert RunOutcome("run", outcomes).exit_code == exit_code


def test_newest_version_is_the_largest_number(model):
    for version in (9, 10):
        make_version(model, version)
    (model.push_dir / "99").touch()
    (model.push_dir / "tmp-100").mkdir()
    assert find_newest_version(model.push_dir) == model.push_dir / "10"


def test_no_version(model):
    assert find_newest_version(model.push_dir) is None


def test_cached_push_that_is_still_served_is_left_alone(model):
    cached = record_push(make_version(model, 5), "cached", 2)
    assert not must_push_again(cached, [record_push(model.push_dir / "5"), cached])


def test_cached_push_that_is_gone_is_made_again(model):
    assert must_push_again(record_push(model.push_dir / "5", "cached"), [])


def test_half_copied_push_is_made_again(model):
    (model.push_dir / "5").mkdir(parents=True)
    assert must_push_again(record_push(model.push_dir / "5", "cached"), [])


def test_earlier_contents_behind_a_later_push_are_pushed_again(model):
    old, new = make_version(model, 5), make_version(model, 6)
    assert must_push_again(record_push(old, "cached", 3), [record_push(old), record_push(new, "complete", 2)])


def test_version_of_somebody_else_is_left_alone(model):
    old = make_version(model, 5)
    make_version(model, 6)
    assert not must_push_again(record_push(old, "cached", 2), [record_push(old)])


@pytest.mark.parametrize("execution", [None, record_push(None, "cached"), record_push(Path("/gone/5"))])
def test_nothing_to_push_again(execution):
    assert not must_push_again(execution, [])
