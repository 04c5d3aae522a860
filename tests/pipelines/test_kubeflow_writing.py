"""The files that Kubeflow and Vertex AI take, and the command that writes them. Without TFX."""

from __future__ import annotations

import json

import pytest
import yaml

from pipelines.__main__ import main
from pipelines.on_kubeflow.runner_file import KubeflowSettings
from pipelines.on_kubeflow.writing import write_job
from servable.errors import SettingsError

JOB = {
    "displayName": "p",
    "pipelineSpec": {
        "pipelineInfo": {"name": "p"},
        "root": {"dag": {"tasks": {"a": {}, "b": {}}}},
        "deploymentSpec": {"executors": {"a-executor": {}, "b-executor": {}}},
    },
}


def make_runner(**values) -> KubeflowSettings:
    return KubeflowSettings.model_validate({"image": "i", **values})


def test_kubeflow_gets_the_pipeline_and_then_its_volumes(tmp_path):
    path = tmp_path / "new" / "p.yaml"
    write_job(JOB, make_runner(volumes=[{"claim": "models", "mount": "/mnt/m"}]), path)
    spec, platform = yaml.safe_load_all(path.read_text())
    assert spec == JOB["pipelineSpec"]
    mounts = {"pvcMount": [{"constant": "models", "mountPath": "/mnt/m"}]}
    assert platform == {
        "platforms": {
            "kubernetes": {"deploymentSpec": {"executors": {"a-executor": mounts, "b-executor": mounts}}}
        }
    }
    # Aliases are no part of what a backend written in Go is sure to read.
    assert "&" not in path.read_text()
    assert [one.name for one in path.parent.iterdir()] == ["p.yaml"]


def test_without_volumes_there_is_one_document(tmp_path):
    write_job(JOB, make_runner(), tmp_path / "p.yml")
    assert list(yaml.safe_load_all((tmp_path / "p.yml").read_text())) == [JOB["pipelineSpec"]]


def test_vertex_gets_the_whole_job(tmp_path):
    runner = make_runner(backend="vertex", pipeline_root="gs://b/r")
    write_job(JOB, runner, tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text()) == JOB
    with pytest.raises(SettingsError, match=r"\*\.json"):
        write_job(JOB, runner, tmp_path / "p.yaml")


def test_the_command_tells_faults_before_it_imports_tfx(tmp_path, settings_writer, capsys, monkeypatch):
    # So that a fault that is not told at once shows as another error.
    monkeypatch.setattr("pipelines.kubeflow_v2.compile_settings", None)
    settings, runner = settings_writer(tmp_path), tmp_path / "runner.yaml"
    runner.write_text("imag: i\n")
    words = ["kubeflow", str(settings), "--runner", str(runner), "--out", str(tmp_path / "p.json")]
    assert main(words) == 2
    assert "line 1: imag" in capsys.readouterr().err
    runner.write_text("image: i\n")
    assert main(words) == 2
    assert "*.yaml" in capsys.readouterr().err


def test_the_command_says_what_it_wrote_and_when_it_wants_to_run(
    tmp_path, settings_writer, capsys, monkeypatch
):
    monkeypatch.setattr("pipelines.kubeflow_v2.compile_settings", lambda settings, runner: JOB)
    monkeypatch.setattr("pipelines.commands.kubeflow.quieten_log", lambda verbose: None)
    settings, runner = settings_writer(tmp_path), tmp_path / "runner.yaml"
    settings.write_text(
        settings.read_text().replace("root: pipeline", 'schedule: "0 3 * * *", root: pipeline')
    )
    runner.write_text("image: registry/servable:1\n")
    out = tmp_path / "p.yaml"
    assert main(["kubeflow", str(settings), "--runner", str(runner), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"Pipeline p: 2 tasks, image registry/servable:1, in {out}" in told
    assert "Recurring run: cron 0 0 3 * * *" in told
    assert out.is_file()
    each = str(tmp_path / "each" / "{model}.yaml")
    assert main(["kubeflow", str(settings), "--runner", str(runner), "--out", each]) == 0
    assert {one.name for one in (tmp_path / "each").iterdir()} == {"linear_tf1.yaml", "dense_keras.yaml"}
