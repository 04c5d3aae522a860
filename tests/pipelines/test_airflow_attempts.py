"""Attempts in ML Metadata as TFX's older stack leaves them: failed, retired, found. TFX is not needed."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.metadata.store import open_store
from pipelines.on_airflow.attempts import fail_attempt, find_attempt, retire_attempt

RUN = "p.r1"
NODE = "p.r1.convert_a"


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "metadata.sqlite", read_only=False)


class Recorder:
    """Writes executions and artifacts as the older stack does, and remembers what was to be removed."""

    def __init__(self, store: Any) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.pb, self.store, self.removed = pb, store, []
        self.context_types = {
            name: store.put_context_type(pb.ContextType(name=name)) for name in ("run", "component_run")
        }
        execution_type = pb.ExecutionType(name="Converter")
        for name in ("state", "component_id", "pipeline_root"):
            execution_type.properties[name] = pb.STRING
        self.execution_type = store.put_execution_type(execution_type)
        self.artifact_type = store.put_artifact_type(pb.ArtifactType(name="Model"))

    def put_attempt(self, state: str, known_state: int, *, outputs: tuple[tuple[str, int], ...] = ()) -> int:
        """Records an attempt of `NODE`, with outputs as URI and state."""
        pb = self.pb
        execution = pb.Execution(type_id=self.execution_type, last_known_state=known_state)
        execution.properties["state"].string_value = state
        execution.properties["component_id"].string_value = "convert_a"
        execution.properties["pipeline_root"].string_value = "root"
        pairs = []
        for uri, artifact_state in outputs:
            event = pb.Event(type=pb.Event.OUTPUT)
            event.path.steps.add().key = "model"
            pairs.append((pb.Artifact(type_id=self.artifact_type, uri=uri, state=artifact_state), event))
        contexts = [self._get_context("run", RUN), self._get_context("component_run", NODE)]
        execution_id, _, _ = self.store.put_execution(execution, pairs, contexts)
        return int(execution_id)

    def _get_context(self, kind: str, name: str) -> Any:
        found = self.store.get_context_by_type_and_name(kind, name)
        return found or self.pb.Context(type_id=self.context_types[kind], name=name)

    def remove(self, node_uri: str, execution_id: int) -> None:
        self.removed.append((node_uri, execution_id))

    def read_state(self, execution_id: int) -> tuple[str, str]:
        [execution] = self.store.get_executions_by_id([execution_id])
        known = self.pb.Execution.State.Name(execution.last_known_state)
        return execution.properties["state"].string_value, known

    def list_artifacts(self) -> dict[str, str]:
        return {item.uri: self.pb.Artifact.State.Name(item.state) for item in self.store.get_artifacts()}


@pytest.fixture
def recorder(store):
    return Recorder(store)


def test_a_killed_attempt_is_closed(store, recorder):
    pb = recorder.pb
    attempt = recorder.put_attempt(
        "new", pb.Execution.RUNNING, outputs=(("root/model/1", pb.Artifact.UNKNOWN),)
    )
    assert fail_attempt(store, NODE, recorder.remove)
    assert recorder.read_state(attempt) == ("failed", "FAILED")
    assert recorder.removed == [("root/convert_a", attempt)]
    assert recorder.list_artifacts() == {"root/model/1": "ABANDONED"}


def test_closing_twice_does_nothing_more(store, recorder):
    pb = recorder.pb
    attempt = recorder.put_attempt(
        "new", pb.Execution.RUNNING, outputs=(("root/model/1", pb.Artifact.UNKNOWN),)
    )
    assert fail_attempt(store, NODE, recorder.remove)
    assert not fail_attempt(store, NODE, recorder.remove)
    assert recorder.removed == [("root/convert_a", attempt)]


@pytest.mark.parametrize(("state", "known"), [("complete", "COMPLETE"), ("cached", "CACHED")])
def test_what_has_succeeded_is_left_alone(store, recorder, state, known):
    pb = recorder.pb
    attempt = recorder.put_attempt(
        state, pb.Execution.State.Value(known), outputs=(("root/model/1", pb.Artifact.LIVE),)
    )
    assert not fail_attempt(store, NODE, recorder.remove)
    assert recorder.read_state(attempt) == (state, known)
    assert recorder.removed == []


def test_a_result_of_another_attempt_is_not_removed(store, recorder):
    # Killed between taking a cached result and saying so.
    pb = recorder.pb
    attempt = recorder.put_attempt("new", pb.Execution.RUNNING, outputs=(("root/model/0", pb.Artifact.LIVE),))
    assert fail_attempt(store, NODE, recorder.remove)
    assert recorder.removed == [("root/convert_a", attempt)]
    assert recorder.list_artifacts() == {"root/model/0": "LIVE"}


def test_nothing_has_begun(store, recorder):
    assert not fail_attempt(store, NODE, recorder.remove)
    retire_attempt(store, NODE, recorder.remove)
    assert find_attempt(store, RUN, "convert_a") is None
    assert store.get_contexts() == []


def test_the_next_attempt_has_room(store, recorder):
    pb = recorder.pb
    first = recorder.put_attempt("new", pb.Execution.RUNNING)
    retire_attempt(store, NODE, recorder.remove)
    second = recorder.put_attempt("complete", pb.Execution.COMPLETE)
    assert second != first
    names = sorted(context.name for context in store.get_contexts())
    assert names == [RUN, NODE, f"{NODE}.attempt-{first}"]
    assert recorder.read_state(first) == ("failed", "FAILED")


def test_the_newest_success_counts(store, recorder):
    pb = recorder.pb
    recorder.put_attempt("complete", pb.Execution.COMPLETE)
    retire_attempt(store, NODE, recorder.remove)
    newest = recorder.put_attempt("cached", pb.Execution.CACHED)
    retire_attempt(store, NODE, recorder.remove)
    recorder.put_attempt("new", pb.Execution.RUNNING)
    assert find_attempt(store, RUN, "convert_a") == newest
    assert find_attempt(store, RUN, "convert_b") is None
    assert find_attempt(store, "p.r2", "convert_a") is None


def test_an_open_attempt_of_a_cleared_task(store, recorder):
    # Airflow's "clear" runs a task again that has succeeded: its result stays what it is.
    pb = recorder.pb
    done = recorder.put_attempt(
        "complete", pb.Execution.COMPLETE, outputs=(("root/model/1", pb.Artifact.LIVE),)
    )
    retire_attempt(store, NODE, recorder.remove)
    assert recorder.read_state(done) == ("complete", "COMPLETE")
    assert recorder.removed == []
