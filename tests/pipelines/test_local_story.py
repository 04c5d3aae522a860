"""The whole story of two models on LocalDagRunner with TFX's stock Pusher, told once and asked many times."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lineage.model_lineage import render_lineage, trace_lineage
from pipelines.local import run_local
from pipelines.metadata.records import read_executions
from pipelines.outcome import State
from pipelines.settings_file import load_settings
from servable.formats.digest import digest_tree

pytestmark = pytest.mark.tfx

TF1_NODES = ("convert_linear_tf1", "validate_linear_tf1", "push_linear_tf1")
KERAS_NODES = ("convert_dense_keras", "validate_dense_keras", "push_dense_keras")
OTHER_WEIGHTS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], np.float32)


def list_versions(push_dir: Path) -> list[str]:
    return sorted(path.name for path in push_dir.iterdir()) if push_dir.is_dir() else []


@pytest.fixture(scope="module")
def story(tmp_path_factory, checkpoint_saver, keras_saver, settings_writer) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("story")
    settings = load_settings(settings_writer(folder))
    training, kept = folder / "training", folder / "kept"
    tf1_dir, keras_dir = (model.push_dir for model in settings.models)
    told = SimpleNamespace(
        settings=settings, folder=folder, tf1_dir=tf1_dir, keras_dir=keras_dir, versions={}
    )
    told.weights = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 4.0]], np.float32)

    def run(name: str) -> None:
        setattr(told, name, run_local(settings))
        told.versions[name] = (list_versions(tf1_dir), list_versions(keras_dir))

    checkpoint_saver(training, told.weights)
    keras_saver(folder / "model.keras")
    shutil.copytree(training, kept)
    run("first")
    run("unchanged")
    checkpoint_saver(training, OTHER_WEIGHTS)
    run("overwritten")
    shutil.rmtree(training)
    shutil.copytree(kept, training)
    run("back")
    run("back_again")
    checkpoint_saver(training, np.where(OTHER_WEIGHTS == 2, np.nan, OTHER_WEIGHTS).astype(np.float32))
    run("poisoned")
    run("poisoned_again")
    for data in training.glob("*.data-*"):
        data.write_bytes(data.read_bytes()[:-4])
    run("broken")
    shutil.rmtree(training)
    shutil.copytree(kept, training)
    (folder / "model.keras").rename(folder / "moved.keras")
    run("vanished")
    (folder / "moved.keras").rename(folder / "model.keras")
    shutil.rmtree(keras_dir)
    run("emptied")
    return told


def test_first_run_pushes_both(story):
    for outcome, nodes in ((story.first.models[0], TF1_NODES), (story.first.models[1], KERAS_NODES)):
        assert outcome.state is State.PUSHED, outcome.message
        assert outcome.executed == nodes
        assert outcome.report_path.is_file()
    assert [len(versions) for versions in story.versions["first"]] == [1, 1]
    assert story.first.exit_code == 0


def test_pushed_model_answers_as_trained(story):
    import tensorflow as tf

    served = tf.saved_model.load(str(story.first.find("linear_tf1").pushed_path))
    rows = np.array([[1, 2, 3], [0, -1, 1]], np.float32)
    scores = served.signatures["predict_rows"](rows=tf.constant(rows))["scores"].numpy()
    np.testing.assert_allclose(scores, rows @ story.weights + np.array([0.5, -0.5]), rtol=1e-6)


def test_unchanged_run_executes_nothing(story):
    for outcome in story.unchanged.models:
        assert outcome.state is State.UNCHANGED
        assert outcome.executed == ()
        assert len(outcome.cached) == 3
    assert story.versions["unchanged"] == story.versions["first"]


def test_checkpoint_overwritten_in_place_runs_its_branch_only(story):
    tf1, keras = story.overwritten.models
    assert (tf1.state, tf1.executed) == (State.PUSHED, TF1_NODES)
    assert (keras.state, keras.executed) == (State.UNCHANGED, ())
    assert [len(versions) for versions in story.versions["overwritten"]] == [2, 1]
    assert digest_tree(tf1.pushed_path) != digest_tree(story.first.models[0].pushed_path)


def test_earlier_contents_are_pushed_again_without_converting_again(story):
    tf1 = story.back.find("linear_tf1")
    assert (tf1.state, tf1.executed) == (State.PUSHED, ("push_linear_tf1",))
    assert tf1.pushed_path.name == max(story.versions["back"][0], key=int)
    assert digest_tree(tf1.pushed_path) == digest_tree(story.first.models[0].pushed_path)
    assert story.back_again.find("linear_tf1").state is State.UNCHANGED
    assert story.versions["back_again"] == story.versions["back"]


@pytest.mark.parametrize("run", ["poisoned", "poisoned_again"])
def test_nan_weights_are_refused_and_nothing_pushed_is_touched(story, run):
    tf1, keras = getattr(story, run).models
    assert tf1.state is State.REFUSED
    assert tf1.pushed_path is None
    assert "NaN" in tf1.message
    assert keras.state is State.UNCHANGED
    assert getattr(story, run).exit_code == 1
    assert story.versions[run] == story.versions["back"]
    report = json.loads(tf1.report_path.with_suffix(".json").read_text())
    assert report["passed"] is False
    assert {finding["check"] for finding in report["findings"] if finding["severity"] == "error"} >= {
        "weights"
    }


def test_broken_source_fails_its_branch_alone(story):
    tf1, keras = story.broken.models
    assert tf1.state is State.FAILED
    assert ".data-00000-of-00001" in tf1.message
    assert tf1.executed == ()
    assert keras.state is State.UNCHANGED
    assert story.broken.exit_code == 2
    assert story.versions["broken"] == story.versions["back"]


def test_failed_execution_is_recorded_as_failed(story):
    executions = read_executions(
        story.settings.pipeline.metadata, story.settings.pipeline.name, run_id=story.broken.run_id
    )
    assert {item.node_id: item.state for item in executions}["convert_linear_tf1"] == "failed"


def test_source_that_is_gone_fails_its_branch_alone(story):
    tf1, keras = story.vanished.models
    assert (keras.state, keras.executed) == (State.FAILED, ())
    assert str(story.folder / "model.keras") in keras.message
    assert tf1.state is State.UNCHANGED
    assert story.versions["vanished"] == story.versions["back"]


def test_version_that_somebody_deleted_is_pushed_again(story):
    keras = story.emptied.find("dense_keras")
    assert (keras.state, keras.executed) == (State.PUSHED, ("push_dense_keras",))
    assert (keras.pushed_path / "saved_model.pb").is_file()
    assert story.emptied.find("linear_tf1").state is State.UNCHANGED


def test_lineage_leads_from_source_to_push(story):
    lineages = [item for item in trace_lineage(story.settings) if item.model == "linear_tf1"]
    first, second, third, refused = lineages
    assert first.source_digest == third.source_digest != second.source_digest
    assert first.source_path == str(story.folder / "training" / "model.ckpt-7")
    assert (first.source_step, first.source_format) == (7, "tf1-saver")
    assert {item.target for item in lineages} == {"kserve (TensorFlow 2.6.5)"}
    assert [item.is_intact for item in lineages] == [True, True, True, False]
    assert (refused.blessed, refused.pushed_path) == (False, None)
    assert "NaN" in refused.blessing_message
    text = render_lineage((third, refused))
    assert third.source_digest in text
    assert str(third.pushed_path) in text
    assert "kserve (TensorFlow 2.6.5)" in text


def test_what_was_checked_names_the_target_in_metadata(story):
    executions = read_executions(
        story.settings.pipeline.metadata, story.settings.pipeline.name, run_id=story.first.run_id
    )
    outputs = {item.node_id: item.outputs for item in executions}
    for model, target, version in (("linear_tf1", "kserve", "2.6.5"), ("dense_keras", "current", "2.21.0")):
        made, checked = outputs[f"convert_{model}"], outputs[f"validate_{model}"]
        for artifact in (made["model"], made["baseline"], checked["blessing"], checked["report"]):
            assert (artifact.get_text("target"), artifact.get_text("target_version")) == (target, version)
