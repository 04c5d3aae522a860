"""The compiled pipeline, replayed without a cluster: what is executed, what is cached, what is pushed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.kubeflow_v2 import compile_settings
from pipelines.on_kubeflow.replay import ReplayedBackend
from pipelines.on_kubeflow.replay_inputs import TaskResult, TaskState
from pipelines.on_kubeflow.replay_pod import run_in_process, run_in_subprocess
from pipelines.on_kubeflow.runner_file import KubeflowSettings
from pipelines.settings_file import load_settings
from servable.formats.digest import digest_tree

pytestmark = pytest.mark.tfx

TF1, KERAS = "linear-tf1", "dense-keras"
STAGES = ("convert", "validate", "push")
RESOURCE = "projects/1/locations/eu/metadataStores/default/artifacts/"
WEIGHTS = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 4.0]], np.float32)
NEW_WEIGHTS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], np.float32)


def make_runner(folder: Path, **values: Any) -> KubeflowSettings:
    volume = {"claim": "models", "mount": str(folder)}
    return KubeflowSettings.model_validate({"image": "servable:1", "volumes": [volume], **values})


def get_states(results: dict[str, TaskResult], model: str) -> list[str]:
    return [str(results[f"{stage}-{model}"].state) for stage in STAGES]


def list_versions(push_dir: Path) -> list[str]:
    return sorted(path.name for path in push_dir.iterdir()) if push_dir.is_dir() else []


def save_step(saver: Any, folder: Path, step: int, weights: np.ndarray) -> None:
    """Saves beside, and moves the files in under another step, `checkpoint` last, as a trainer does."""
    beside = folder.with_name("beside")
    saver(beside, weights)
    for path in beside.glob("model.ckpt-7.*"):
        shutil.move(path, folder / path.name.replace("-7.", f"-{step}."))
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')
    shutil.rmtree(beside)


def prepare(folder: Path, settings_writer: Any, checkpoint_saver: Any, keras_saver: Any) -> Any:
    """Trains both models; the first is measured beside the version that is served."""
    path = settings_writer(folder)
    text = path.read_text().replace("target: kserve\n", "target: kserve\n    compare_with_served: true\n")
    path.write_text(text.replace("  - name: dense_keras\n", "  - name: dense_keras\n    kind: keras\n"))
    checkpoint_saver(folder / "training", WEIGHTS)
    keras_saver(folder / "model.keras")
    return load_settings(path)


@pytest.fixture(scope="module")
def story(tmp_path_factory, checkpoint_saver, keras_saver, settings_writer) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("kubeflow")
    settings = prepare(folder, settings_writer, checkpoint_saver, keras_saver)
    job = compile_settings(settings, make_runner(folder))
    backend = ReplayedBackend(folder / "replay", run_in_process, name_prefix=RESOURCE)
    training, push_dir = folder / "training", folder / "pushed"
    told = SimpleNamespace(folder=folder, settings=settings, job=job, backend=backend, runs={}, versions={})

    def run(name: str) -> None:
        told.runs[name] = backend.run(job["pipelineSpec"])
        told.versions[name] = [list_versions(push_dir / model) for model in ("linear_tf1", "dense_keras")]

    run("first")
    run("unchanged")
    # The trainer is in the middle of step 8: values, and no index yet.
    shutil.copyfile(
        training / "model.ckpt-7.data-00000-of-00001", training / "model.ckpt-8.data-00000-of-00001"
    )
    run("half_written")
    (training / "model.ckpt-8.data-00000-of-00001").unlink()
    checkpoint_saver(training, NEW_WEIGHTS)
    run("overwritten")
    # A step whose model cannot be served, while the other model's file is damaged.
    save_step(checkpoint_saver, training, 9, np.where(WEIGHTS == 4, np.nan, WEIGHTS).astype(np.float32))
    (folder / "model.keras").write_bytes(b"PK\x03\x04 half a file")
    run("refused")
    return told


def test_the_first_run_executes_everything_and_stock_pusher_pushes(story):
    first = story.runs["first"]
    assert {result.state for result in first.values()} == {TaskState.MISS}
    assert sorted(first) == sorted(
        f"{stage}-{model}" for stage in (*STAGES, "probe-convert", "probe-validate") for model in (TF1, KERAS)
    )
    assert [len(versions) for versions in story.versions["first"]] == [1, 1]
    model = first[f"convert-{TF1}"].artifacts["model"]
    stored_dir = story.backend.find_local_path(model["uri"]) / "Format-Serving"
    pushed_dir = story.folder / "pushed" / "linear_tf1" / story.versions["first"][0][0]
    assert digest_tree(stored_dir) == digest_tree(pushed_dir) == model["metadata"]["saved_model_digest"]


def test_what_the_probe_found_is_what_was_converted(story):
    found = story.runs["first"][f"probe-convert-{TF1}"].parameters
    metadata = story.runs["first"][f"convert-{TF1}"].artifacts["model"]["metadata"]
    assert metadata["source_path"] == str(story.folder / "training" / "model.ckpt-7")
    assert (found["resolved_source"], found["source_digest"], found["toolchain"]) == (
        metadata["source_path"],
        metadata["source_digest"],
        metadata["toolchain"],
    )


def test_nothing_new_is_looked_for_and_nothing_executed(story):
    for name in ("unchanged", "half_written"):
        run = story.runs[name]
        assert run[f"probe-convert-{TF1}"].state is TaskState.MISS
        assert get_states(run, TF1) == get_states(run, KERAS) == ["hit", "hit", "hit"]
        assert story.versions[name] == story.versions["first"]


def test_a_checkpoint_that_was_overwritten_in_place_is_new_and_the_other_model_is_not(story):
    run = story.runs["overwritten"]
    assert get_states(run, TF1) == ["miss", "miss", "miss"]
    assert get_states(run, KERAS) == ["hit", "hit", "hit"]
    assert [len(versions) for versions in story.versions["overwritten"]] == [2, 1]


def test_the_new_model_is_measured_beside_the_one_that_is_served(story):
    served = story.runs["overwritten"][f"probe-validate-{TF1}"].parameters["served_version"]
    assert served == str(story.folder / "pushed" / "linear_tf1" / story.versions["first"][0][0])
    assert story.runs["first"][f"probe-validate-{TF1}"].parameters["served_version"] == "none"


def test_a_refused_model_is_not_pushed(story):
    run = story.runs["refused"]
    assert get_states(run, TF1) == ["miss", "miss", "miss"]
    assert run[f"validate-{TF1}"].artifacts["blessing"]["metadata"]["blessed"] == 0
    assert run[f"push-{TF1}"].artifacts["pushed_model"]["metadata"]["pushed"] == 0
    assert story.versions["refused"] == story.versions["overwritten"]


def test_a_model_that_fails_takes_down_nothing_but_its_own_branch(story):
    run = story.runs["refused"]
    assert run[f"probe-convert-{KERAS}"].state is TaskState.FAILED
    assert run[f"probe-convert-{KERAS}"].attempts == 2
    assert get_states(run, KERAS) == ["skipped", "skipped", "skipped"]


def test_the_blessing_names_the_model_as_the_backend_does(story):
    for name in ("first", "overwritten"):
        run = story.runs[name]
        model = run[f"convert-{TF1}"].artifacts["model"]
        metadata = run[f"validate-{TF1}"].artifacts["blessing"]["metadata"]
        assert metadata["current_model_id"] == model["name"]
        assert model["name"].startswith(RESOURCE)
        assert metadata["current_model"] == model["uri"]


@pytest.mark.skipif(
    not os.environ.get("TEST_KUBEFLOW"),
    reason="twenty-one processes, minutes; nox -s kubeflow runs it",
)
@pytest.mark.timeout(3600)
def test_every_container_command_runs_as_a_process(tmp_path, checkpoint_saver, keras_saver, settings_writer):
    settings = prepare(tmp_path, settings_writer, checkpoint_saver, keras_saver)
    spec = compile_settings(settings, make_runner(tmp_path))["pipelineSpec"]
    backend = ReplayedBackend(tmp_path / "replay", run_in_subprocess)
    first = backend.run(spec)
    assert {result.state for result in first.values()} == {TaskState.MISS}
    blessing = first[f"validate-{TF1}"].artifacts["blessing"]["metadata"]
    assert blessing["current_model_id"] == first[f"convert-{TF1}"].artifacts["model"]["name"]
    assert get_states(backend.run(spec), TF1) == ["hit", "hit", "hit"]
    checkpoint_saver(tmp_path / "training", NEW_WEIGHTS)
    again = backend.run(spec)
    assert (get_states(again, TF1), get_states(again, KERAS)) == (["miss"] * 3, ["hit"] * 3)
    assert [len(list_versions(tmp_path / "pushed" / name)) for name in ("linear_tf1", "dense_keras")] == [
        2,
        1,
    ]
