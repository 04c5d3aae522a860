"""The DAG as Airflow itself sees it, and the commands of Airflow that people use."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.__main__ import main
from pipelines.metadata.store import open_store
from pipelines.on_airflow.compiling import describe_dag, measure_parsing, write_dag
from pipelines.on_airflow.runner_file import AirflowSettings
from pipelines.settings_file import load_settings

if importlib.util.find_spec("airflow") is None:
    pytest.skip("Airflow has an environment of its own: nox -s airflow", allow_module_level=True)

# Airflow 2.11 and what it is made of warn of their own future when they are imported.
pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory) -> Path:
    """Airflow's folder, with a database, in this process's environment."""
    home = tmp_path_factory.mktemp("airflow")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
    }
    call_airflow("db", "migrate")
    return home


def call_airflow(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def config_path(tmp_path, settings_writer, checkpoint_saver, keras_saver):
    checkpoint_saver(tmp_path / "training", np.ones((3, 2), np.float32))
    keras_saver(tmp_path / "model.keras")
    path = settings_writer(tmp_path)
    path.write_text(
        path.read_text().replace("{name: two_models,", "{name: two_models, schedule: '15 3 * * *',")
    )
    return path


def read_dag(airflow_home: Path) -> Any:
    from airflow.models import DagBag

    bag = DagBag(str(airflow_home / "dags"), include_examples=False, read_dags_from_db=False)
    assert bag.import_errors == {}
    return bag.dags["two_models"]


def test_the_dag_has_what_the_settings_say(airflow_home, config_path):
    runner = AirflowSettings(retries=3, retry_delay_s=7, timezone="Europe/Berlin", max_active_tasks=2)
    write_dag(describe_dag(load_settings(config_path), runner, config_path), airflow_home / "dags")
    dag = read_dag(airflow_home)
    assert (dag.catchup, dag.max_active_runs, dag.max_active_tasks) == (False, 1, 2)
    assert dag.timetable.summary == "15 3 * * *"
    assert dag.timezone.name == "Europe/Berlin"
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "convert_linear_tf1": set(),
        "validate_linear_tf1": {"convert_linear_tf1"},
        "push_linear_tf1": {"validate_linear_tf1"},
        "convert_dense_keras": set(),
        "validate_dense_keras": {"convert_dense_keras"},
        "push_dense_keras": {"validate_dense_keras"},
    }
    assert {(task.retries, task.retry_delay.total_seconds()) for task in dag.tasks} == {(3, 7)}
    assert dag.params.dump()["linear_tf1.step"] is None


def test_the_scheduler_can_store_it(airflow_home, config_path):
    from airflow.serialization.serialized_objects import SerializedDAG

    write_dag(describe_dag(load_settings(config_path), AirflowSettings(), config_path), airflow_home / "dags")
    stored = SerializedDAG.to_dict(read_dag(airflow_home))
    assert len(SerializedDAG.from_dict(stored).tasks) == 6


def test_it_parses_at_once(airflow_home, config_path):
    dag_path = write_dag(
        describe_dag(load_settings(config_path), AirflowSettings(), config_path), airflow_home / "dags"
    )
    measured = min(measure_parsing(dag_path, sys.executable).dag_s for _ in range(2))
    print(f"parsed in {measured:.2f} s")  # noqa: T201
    assert measured < 2


@pytest.mark.tfx
def test_nodes_and_edges_are_those_of_the_pipeline(config_path):
    from pipelines.conversion import create_pipeline

    settings = load_settings(config_path)
    described = describe_dag(settings, AirflowSettings(), config_path)
    edges = {node.id: set(node.upstream) for node in described.nodes}

    def reach(node_id: str) -> set[str]:
        return {far for near in edges[node_id] for far in (near, *reach(near))}

    nodes = create_pipeline(settings).components
    assert {node.id for node in nodes} == set(edges)
    for node in nodes:
        # Whatever TFX wants before a node is before it, and nothing else is.
        wanted = {upstream.id for upstream in node.upstream_nodes}
        assert wanted <= reach(node.id)
        assert set(edges[node.id]) <= wanted


@pytest.mark.tfx
@pytest.mark.timeout(1800)
def test_a_killed_task_is_repeated(airflow_home, config_path, tmp_path, capsys):
    """`airflow dags test`, with a kill -9 in the middle of a conversion; six processes that import TFX."""
    runner = tmp_path / "runner.yaml"
    runner.write_text("retries: 1\nretry_delay_s: 1\n")
    dags_dir = airflow_home / "dags"
    assert main(["airflow", str(config_path), "--dags-folder", str(dags_dir), "--runner", str(runner)]) == 0
    assert "It parses in" in capsys.readouterr().out
    assert "No data found" in call_airflow("dags", "list-import-errors")
    log_path = tmp_path / "dags_test.log"
    with log_path.open("w") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "airflow", "dags", "test", "two_models"], stdout=log, stderr=log
        )
        models_dir = tmp_path / "pipeline" / "convert_linear_tf1" / "model"
        kill_when(models_dir.exists, "--node=convert_linear_tf1", run)
        assert run.wait() == 0
    text = log_path.read_text()
    assert "a signal ended it (9)" in text
    assert "DagRun Finished" in text.splitlines()[-1]
    assert "state=success" in text.splitlines()[-1]
    for name in ("linear_tf1", "dense_keras"):
        [version] = (tmp_path / "pushed" / name).iterdir()
        assert (version / "saved_model.pb").is_file()
    store = open_store(tmp_path / "metadata.sqlite")
    states = sorted(
        execution.properties["state"].string_value
        for execution in store.get_executions()
        if execution.properties["component_id"].string_value == "convert_linear_tf1"
    )
    assert states == ["complete", "failed"]
    assert len(list(models_dir.iterdir())) == 1


def kill_when(is_time: Any, word: str, run: subprocess.Popen[str]) -> None:
    """Kills the process with `word` on its command line, below `run`, once it is time."""
    while run.poll() is None:
        if is_time():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes().decode().split("\0")
                except OSError:
                    continue
                if word in words and "pipelines.on_airflow.node" in words:
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return
        time.sleep(0.02)
    pytest.fail("the run ended before the task could be killed")
