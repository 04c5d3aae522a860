"""Records out of both of TFX's layouts, and of both in one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.make_metadata import RunStory, write_runs
from pipelines.metadata.reading import MetadataReader
from pipelines.metadata.records import read_executions

RUNS = 5
NODES = ("convert_ranker", "validate_ranker", "push_ranker")


@pytest.fixture(scope="module", params=[False, True], ids=["portable", "legacy"])
def store(request, tmp_path_factory) -> tuple[Path, list[str]]:
    path = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    story = RunStory(RUNS, unchanged_every=3, is_legacy=request.param)
    return path, write_runs(path, story, pipeline="p")


def test_every_execution_knows_its_place(store):
    path, run_ids = store
    records = read_executions(path, "p")
    assert [(item.run_id, item.node_id) for item in records] == [
        (run_id, node) for run_id in run_ids for node in NODES
    ]
    assert {item.pipeline for item in records} == {"p"}
    assert [item.state for item in records[6:9]] == ["cached"] * 3
    assert records[2].type_name == "tfx.components.pusher.component.Pusher"


def test_a_cached_execution_has_the_artifacts_of_the_one_before(store):
    records = read_executions(store[0], "p")
    before, cached = records[5], records[8]
    assert cached.outputs["pushed_model"] == before.outputs["pushed_model"]
    assert before.inputs.keys() == {"model", "model_blessing"}
    assert before.outputs["pushed_model"].get_text("pushed_version") == "1700000001"


def test_one_run_is_read_alone(store):
    path, run_ids = store
    records = read_executions(path, "p", run_id=run_ids[3])
    assert [(item.run_id, item.node_id) for item in records] == [(run_ids[3], node) for node in NODES]
    assert read_executions(path, "p", run_id="never") == []
    assert read_executions(path, "other") == []


def test_makers_and_users_are_found_by_events(store):
    reader = MetadataReader.open(store[0])
    records = reader.read_executions("p")
    model = records[0].outputs["model"]
    assert reader.find_makers([model.id]) == {model.id: records[0].id}
    assert reader.find_users([model.id]) == {model.id: [records[1].id, records[2].id]}
    assert reader.read_executions_by_id([records[4].id]) == [records[4]]
    # A cached execution is no maker.
    again = records[8].outputs["pushed_model"]
    assert reader.find_makers([again.id]) == {again.id: records[5].id}


def test_questions_are_few(store):
    reader = MetadataReader.open(store[0])
    asked = []
    real = reader._store

    class Counting:
        def __getattr__(self, name):
            asked.append(name)
            return getattr(real, name)

    reader._store = Counting()
    reader.read_executions("p")
    assert asked.count("get_contexts_by_execution") == 0
    assert asked.count("get_executions_by_context") <= 1 + len(NODES) + RUNS
    assert len(asked) <= RUNS + 20


def test_both_layouts_and_two_pipelines_may_share_a_store(tmp_path):
    path = tmp_path / "metadata.sqlite"
    portable = write_runs(path, RunStory(2), pipeline="p")
    legacy = write_runs(path, RunStory(2, is_legacy=True), pipeline="p")
    # The same run ids as of the first pipeline, and a name that begins alike.
    write_runs(path, RunStory(2), pipeline="p.q")
    records = read_executions(path, "p")
    assert [item.run_id for item in records[::3]] == portable + legacy
    assert {item.node_id for item in records} == set(NODES)
    assert len(read_executions(path, "p", run_id=portable[0])) == 3
    assert {item.pipeline for item in read_executions(path, "p.q", run_id=portable[0])} == {"p.q"}
    assert MetadataReader.open(path).list_pipelines() == ["p", "p.q"]
