"""Nodes as the tasks of Airflow run them: cache, failed and killed attempts. TFX is imported once for all."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.rejection import ModelRejectedError
from pipelines.metadata.store import open_store
from pipelines.on_airflow.compiling import describe_dag, write_dag
from pipelines.on_airflow.runner_file import AirflowSettings
from pipelines.settings_file import load_settings

if importlib.util.find_spec("airflow") is None:
    pytest.skip("Airflow has an environment of its own: nox -s airflow", allow_module_level=True)

# Airflow 2.11 and what it is made of warn of their own future when they are imported.
pytestmark = [pytest.mark.airflow, pytest.mark.tfx, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))


class Project:
    """Two trained models, their settings, and a way to run their nodes."""

    def __init__(self, folder: Path, config_path: Path) -> None:
        self.folder, self.config_path = folder, config_path
        self.description = describe_dag(load_settings(config_path), AirflowSettings(), config_path)

    def run(self, run_id: str, *node_ids: str) -> None:
        from pipelines.on_airflow.node import run_node

        settings = load_settings(self.config_path)
        for node in self.description.nodes:
            if not node_ids or node.id in node_ids:
                run_node(settings.select(node.model), node.id, run_id)

    def read_states(self, run_id: str) -> dict[str, str]:
        """State of each node's newest attempt in a run."""
        executions = sorted(self.read_executions(run_id), key=lambda item: int(item.id))
        return {
            item.properties["component_id"].string_value: item.properties["state"].string_value
            for item in executions
        }

    def read_executions(self, run_id: str) -> list[Any]:
        store = open_store(self.folder / "metadata.sqlite")
        return [item for item in store.get_executions() if item.properties["run_id"].string_value == run_id]

    def list_versions(self, model: str) -> list[Path]:
        pushed = self.folder / "pushed" / model
        return sorted(pushed.iterdir()) if pushed.is_dir() else []


@pytest.fixture
def project(tmp_path, settings_writer, checkpoint_saver, keras_saver) -> Project:
    checkpoint_saver(tmp_path / "training", np.ones((3, 2), np.float32))
    keras_saver(tmp_path / "model.keras")
    return Project(tmp_path, settings_writer(tmp_path))


def test_the_cache_knows_contents(project, checkpoint_saver):
    nodes = [node.id for node in project.description.nodes]
    project.run("r1")
    assert project.read_states("r1") == dict.fromkeys(nodes, "complete")
    assert [len(project.list_versions(name)) for name in ("linear_tf1", "dense_keras")] == [1, 1]

    project.run("r2")
    assert project.read_states("r2") == dict.fromkeys(nodes, "cached")
    assert [len(project.list_versions(name)) for name in ("linear_tf1", "dense_keras")] == [1, 1]

    # The same step, with other contents.
    checkpoint_saver(project.folder / "training", np.full((3, 2), 2, np.float32))
    project.run("r3")
    assert project.read_states("r3") == {
        node: "complete" if node.endswith("linear_tf1") else "cached" for node in nodes
    }
    assert [len(project.list_versions(name)) for name in ("linear_tf1", "dense_keras")] == [2, 1]


@pytest.mark.parametrize("error", [RuntimeError("no memory"), SystemExit(143), KeyboardInterrupt()])
def test_a_failed_attempt_is_repeated(project, monkeypatch, error):
    from components.checkpoint_importer.executor import Executor

    good = Executor.Do
    half = "half-written"

    def fail(self, input_dict, output_dict, exec_properties):
        Path(output_dict["model"][0].uri, half).write_text("")
        raise error

    monkeypatch.setattr(Executor, "Do", fail)
    with pytest.raises(type(error)):
        project.run("r1", "convert_linear_tf1")
    assert project.read_states("r1") == {"convert_linear_tf1": "failed"}
    assert not list(project.folder.rglob(half))
    # The other model's branch has nothing to do with it.
    project.run("r1", "convert_dense_keras", "validate_dense_keras", "push_dense_keras")
    assert len(project.list_versions("dense_keras")) == 1

    monkeypatch.setattr(Executor, "Do", good)
    project.run("r1", "convert_linear_tf1", "validate_linear_tf1", "push_linear_tf1")
    attempts = [
        item.properties["state"].string_value
        for item in project.read_executions("r1")
        if item.properties["component_id"].string_value == "convert_linear_tf1"
    ]
    assert attempts == ["failed", "complete"]
    [artifact_dir] = (project.folder / "pipeline" / "convert_linear_tf1" / "model").iterdir()
    assert (artifact_dir / "Format-Serving" / "saved_model.pb").is_file()
    assert len(project.list_versions("linear_tf1")) == 1
    live = [
        item
        for item in open_store(project.folder / "metadata.sqlite").get_artifacts_by_type("Model")
        if item.name.startswith("convert_linear_tf1:") and item.state == item.LIVE
    ]
    assert len(live) == 1


def test_a_killed_attempt_is_repeated(project, monkeypatch):
    """Whatever a kill leaves: a registered execution, an artifact, half a directory, and nobody to say so."""
    from components.checkpoint_importer.executor import Executor
    from pipelines.on_airflow import launcher

    good = Executor.Do
    monkeypatch.setattr(launcher, "fail_attempt", lambda *arguments: False)
    monkeypatch.setattr(Executor, "Do", lambda *arguments: (_ for _ in ()).throw(SystemExit(9)))
    with pytest.raises(SystemExit):
        project.run("r1", "convert_linear_tf1")
    assert project.read_states("r1") == {"convert_linear_tf1": "new"}
    monkeypatch.undo()
    assert Executor.Do is good
    project.run("r1", "convert_linear_tf1", "validate_linear_tf1")
    assert [item.properties["state"].string_value for item in project.read_executions("r1")] == [
        "failed",
        "complete",
        "complete",
    ]
    assert len(list((project.folder / "pipeline" / "convert_linear_tf1" / "model").iterdir())) == 1


def test_directories_that_no_artifact_names_are_removed(project, monkeypatch):
    """TFX makes the directories first, and registers the artifacts after that."""
    from pipelines.on_airflow.launcher import AttemptMetadata

    def stop(*arguments, **options):
        raise SystemExit(9)

    monkeypatch.setattr(AttemptMetadata, "update_execution", stop)
    with pytest.raises(SystemExit):
        project.run("r1", "convert_linear_tf1")
    assert project.read_states("r1") == {"convert_linear_tf1": "failed"}
    assert list((project.folder / "pipeline" / "convert_linear_tf1" / "model").iterdir()) == []


def test_a_cleared_task_runs_again(project, checkpoint_saver):
    project.run("r1", "convert_linear_tf1", "validate_linear_tf1")
    project.run("r1", "convert_linear_tf1", "validate_linear_tf1")
    assert project.read_states("r1") == {"convert_linear_tf1": "cached", "validate_linear_tf1": "cached"}
    checkpoint_saver(project.folder / "training", np.full((3, 2), 3, np.float32))
    project.run("r1", "convert_linear_tf1", "validate_linear_tf1", "push_linear_tf1")
    assert set(project.read_states("r1").values()) == {"complete"}
    assert len(project.list_versions("linear_tf1")) == 1


def test_a_version_that_is_gone_is_pushed_again(project):
    import shutil

    project.run("r1")
    [version] = project.list_versions("dense_keras")
    shutil.rmtree(version)
    project.run("r2", *(f"{work}_dense_keras" for work in ("convert", "validate", "push")))
    [again] = project.list_versions("dense_keras")
    assert (again / "saved_model.pb").is_file()


def test_a_refused_model_is_told(project):
    text = project.config_path.read_text()
    project.config_path.write_text(
        text.replace(
            "source: model.keras",
            "source: model.keras\n    raise_on_rejection: true\n    policy: {load_time_s: 0.000001}",
        )
    )
    project.run("r1", "convert_dense_keras")
    with pytest.raises(ModelRejectedError) as raised:
        project.run("r1", "validate_dense_keras")
    assert (raised.value.report_dir / "report.html").is_file()
    assert project.read_states("r1") == {"convert_dense_keras": "complete", "validate_dense_keras": "failed"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dense_keras.stp": 3}, "dense_keras.step is"),
        ({"dense_keras.step": -3}, "dense_keras.step"),
        ({"enable_cache": "no"}, "takes true or false"),
    ],
)
def test_wrong_parameters_are_told_before_anything_runs(project, tmp_path, capsys, given, told):
    from pipelines.on_airflow.node import main

    dag_path = write_dag(project.description, tmp_path / "dags")
    words = [str(dag_path.with_suffix(".json")), "--node=convert_dense_keras", "--run-id=r1"]
    assert main([*words, "--parameters", json.dumps(given)]) == 4
    assert told in capsys.readouterr().err
    assert not (tmp_path / "metadata.sqlite").exists()


def test_closing_marks_what_a_kill_left(project, tmp_path, monkeypatch, capsys):
    from components.keras_converter.executor import Executor
    from pipelines.on_airflow import launcher
    from pipelines.on_airflow.node import main

    monkeypatch.setattr(launcher, "fail_attempt", lambda *arguments: False)
    monkeypatch.setattr(Executor, "Do", lambda *arguments: (_ for _ in ()).throw(SystemExit(9)))
    with pytest.raises(SystemExit):
        project.run("r1", "convert_dense_keras")
    dag_path = write_dag(project.description, tmp_path / "dags")
    words = [str(dag_path.with_suffix(".json")), "--node=convert_dense_keras", "--run-id=r1", "--close"]
    assert main(words) == 0
    assert "is marked as failed" in capsys.readouterr().err
    assert project.read_states("r1") == {"convert_dense_keras": "failed"}
    assert list((project.folder / "pipeline" / "convert_dense_keras" / "model").iterdir()) == []
