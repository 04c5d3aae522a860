"""The description of a DAG and the file that Airflow parses, without Airflow."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.on_airflow.compiling import describe_dag, measure_parsing, write_dag
from pipelines.on_airflow.description import DagDescription, NodeDescription
from pipelines.on_airflow.runner_file import AirflowSettings, load_airflow_settings
from pipelines.settings_file import load_settings
from servable.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def config_path(tmp_path, settings_writer):
    return settings_writer(tmp_path)


@pytest.fixture
def description(config_path):
    return describe_dag(load_settings(config_path), AirflowSettings(retries=5), config_path)


def test_every_model_has_a_branch_of_its_own(description):
    assert description.nodes == (
        NodeDescription("convert_linear_tf1", "linear_tf1"),
        NodeDescription("validate_linear_tf1", "linear_tf1", ("convert_linear_tf1",)),
        NodeDescription("push_linear_tf1", "linear_tf1", ("validate_linear_tf1",)),
        NodeDescription("convert_dense_keras", "dense_keras"),
        NodeDescription("validate_dense_keras", "dense_keras", ("convert_dense_keras",)),
        NodeDescription("push_dense_keras", "dense_keras", ("validate_dense_keras",)),
    )


def test_the_settings_and_the_runner_file_are_in_it(description, config_path):
    assert (description.dag_id, description.pipeline_name) == ("two_models", "two_models")
    assert description.config_path == str(config_path)
    assert description.interpreter == sys.executable
    assert (description.schedule, description.timezone, description.retries) == (None, "UTC", 5)


def test_the_schedule_comes_from_the_settings(tmp_path, config_path):
    text = config_path.read_text().replace(
        "{name: two_models,", "{name: two_models, schedule: '5 4 * * sun',"
    )
    config_path.write_text(text)
    described = describe_dag(load_settings(config_path), AirflowSettings(), config_path)
    assert described.schedule == "5 4 * * sun"


def test_one_model_makes_a_dag_of_another_name(config_path):
    settings = load_settings(config_path).select("dense_keras")
    described = describe_dag(settings, AirflowSettings(), config_path, model="dense_keras")
    assert described.dag_id == "two_models.dense_keras"
    assert {node.model for node in described.nodes} == {"dense_keras"}


def test_it_comes_back_from_its_json(description):
    assert DagDescription.from_json(description.to_json(), "x.json") == description


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "nodes": []}'])
def test_another_json_is_told(text):
    with pytest.raises(SettingsError, match=r"x\.json.*write it anew|write it anew") as raised:
        DagDescription.from_json(text, "x.json")
    assert "x.json" in str(raised.value)


def test_a_node_that_is_not_there_is_told(description):
    assert description.find_node("push_dense_keras").upstream == ("validate_dense_keras",)
    with pytest.raises(SettingsError, match="no such node"):
        description.find_node("push_dense")


def test_the_dag_file_is_tiny_and_beside_its_description(description, tmp_path):
    dag_path = write_dag(description, tmp_path / "dags")
    imported = [
        node.module for node in ast.walk(ast.parse(dag_path.read_text())) if isinstance(node, ast.ImportFrom)
    ]
    assert imported == ["pathlib", "pipelines.airflow_dag"]
    # Airflow passes over files without these two words.
    assert "airflow" in dag_path.read_text().lower()
    assert "dag" in dag_path.read_text().lower()
    assert json.loads(dag_path.with_suffix(".json").read_text())["dag_id"] == "two_models"


def test_writing_again_leaves_nothing_else(description, tmp_path):
    for _ in range(2):
        write_dag(description, tmp_path / "dags")
    assert sorted(path.name for path in (tmp_path / "dags").iterdir()) == ["two_models.json", "two_models.py"]


def test_a_name_with_dots_keeps_its_description(config_path, tmp_path):
    described = describe_dag(
        load_settings(config_path), AirflowSettings(dag_id="team.models.v1"), config_path
    )
    dag_path = write_dag(described, tmp_path / "dags")
    assert dag_path.with_suffix(".json").is_file()


def test_the_command_writes_the_dag(config_path, tmp_path, capsys):
    assert main(["airflow", str(config_path), "--dags-folder", str(tmp_path / "dags"), "--no-measuring"]) == 0
    assert "DAG two_models: 6 tasks, run by hand" in capsys.readouterr().out
    assert (tmp_path / "dags" / "two_models.py").is_file()


def test_the_command_tells_a_wrong_runner_file(config_path, tmp_path, capsys):
    runner = tmp_path / "runner.yaml"
    runner.write_text("retrys: 3\n")
    words = ["airflow", str(config_path), "--dags-folder", str(tmp_path / "dags"), "--runner", str(runner)]
    assert main(words) == 2
    assert "line 1: retrys" in capsys.readouterr().err
    assert not (tmp_path / "dags").exists()


def test_a_python_without_airflow_is_told(description, tmp_path):
    blocked = tmp_path / "airflow_is_missing.py"
    blocked.write_text("raise ModuleNotFoundError('no airflow here')\n")
    with pytest.raises(SettingsError, match="cannot import the DAG file") as raised:
        measure_parsing(blocked, sys.executable)
    assert "requirements/airflow" in str(raised.value)


def test_the_runner_file_of_the_repository_holds_the_defaults():
    assert load_airflow_settings(REPOSITORY / "configs" / "airflow.yaml") == AirflowSettings()
    assert load_airflow_settings(None) == AirflowSettings()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("retries: -1", "retries"),
        ("retries: yes", "retries"),
        ("timezone: Mars/Olympus", "not the name of a timezone"),
        ("dag_id: a/b", "dag_id"),
        ("max_active_tasks: 0", "max_active_tasks"),
        ("environment: {A: 1}", "environment.A"),
        ("- 1", "the file"),
        ("retries: 1\nretries: 2", "given twice"),
    ],
)
def test_faults_of_the_runner_file(tmp_path, line, told):
    path = tmp_path / "runner.yaml"
    path.write_text(line + "\n")
    with pytest.raises(SettingsError, match=told):
        load_airflow_settings(path)


def test_paths_of_the_runner_file_are_taken_from_its_folder(tmp_path):
    path = tmp_path / "runner.yaml"
    path.write_text("interpreter: venv/bin/python\nenvironment: {TF_NUM_INTEROP_THREADS: '2'}\n")
    loaded = load_airflow_settings(path)
    assert loaded.interpreter == tmp_path / "venv" / "bin" / "python"
    assert loaded.environment == {"TF_NUM_INTEROP_THREADS": "2"}
