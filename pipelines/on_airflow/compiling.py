"""Writes the DAG of a pipeline: a description in JSON, and beside it the few lines that Airflow parses.

What passes through: `Settings` and the runner file's values come in, two files in Airflow's folder of DAGs go
out. Neither TensorFlow nor TFX nor Airflow here, so that writing takes a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.conversion import Branch
from pipelines.on_airflow.description import DagDescription, NodeDescription
from pipelines.on_airflow.parameters import list_parameters
from pipelines.on_airflow.runner_file import AirflowSettings
from pipelines.settings import Settings
from servable.errors import SettingsError

_DAG_FILE: Final = '''"""Airflow's DAG {dag_id}, written by `python -m pipelines airflow`.

Change the settings and write it anew, rather than this file. All that it says is in the JSON file beside it;
TensorFlow and TFX are imported by the tasks alone.
"""

from pathlib import Path

from pipelines.airflow_dag import read_dag

dag = read_dag(Path(__file__).with_suffix(".json"))
'''

_MEASURING: Final = """
import json, runpy, sys, time
start = time.perf_counter()
from airflow.models import DAG, BaseOperator
from airflow.models.param import Param
between = time.perf_counter()
names = runpy.run_path(sys.argv[1])
end = time.perf_counter()
heavy = sorted({"tensorflow", "tfx", "apache_beam", "keras"} & set(sys.modules))
print(json.dumps({"airflow_s": between - start, "dag_s": end - between, "heavy": heavy}))
"""
_MEASURING_LIMIT_S: Final = 300


@dataclass(frozen=True, slots=True)
class ParseTime:
    """How long Airflow takes to parse a DAG file.

    Attributes:
        airflow_s: Import of Airflow itself, seconds; it is done once by each of Airflow's processes.
        dag_s: What the DAG file adds to it, seconds.
    """

    airflow_s: float
    dag_s: float


def describe_dag(
    settings: Settings, runner: AirflowSettings, config_path: Path, *, model: str | None = None
) -> DagDescription:
    """Describes the DAG of a pipeline.

    Args:
        settings: All models, or one of them.
        runner: How the tasks run.
        config_path: The settings file, which every task reads again.
        model: The one model, where the settings hold no others; the DAG is named after it.
    """
    nodes = []
    for one in settings.models:
        earlier: tuple[str, ...] = ()
        for node_id in Branch.from_model(one).node_ids:
            nodes.append(NodeDescription(node_id, one.name, earlier))
            earlier = (node_id,)
    name = settings.pipeline.name
    return DagDescription(
        dag_id=runner.dag_id or (name if model is None else f"{name}.{model}"),
        pipeline_name=name,
        config_path=str(config_path.absolute()),
        interpreter=str(runner.interpreter or sys.executable),
        schedule=settings.pipeline.schedule,
        timezone=runner.timezone,
        nodes=tuple(nodes),
        parameters=list_parameters(settings),
        retries=runner.retries,
        retry_delay_s=runner.retry_delay_s,
        task_timeout_s=runner.task_timeout_s,
        max_active_tasks=runner.max_active_tasks,
        tags=runner.tags,
        environment=dict(runner.environment),
    )


def write_dag(description: DagDescription, dags_dir: Path) -> Path:
    """Writes description and DAG file.

    Args:
        description: Of the DAG.
        dags_dir: Airflow's folder of DAGs; made when it is missing.

    Returns:
        The DAG file. Files of an earlier writing are replaced, each in one move.

    Raises:
        OSError: The folder cannot be written.
    """
    dags_dir.mkdir(parents=True, exist_ok=True)
    dag_path = dags_dir / f"{description.dag_id}.py"
    # Not with_suffix: a DAG's name may hold dots, of which the last is the file's own.
    _replace(dags_dir / f"{description.dag_id}.json", description.to_json())
    _replace(dag_path, _DAG_FILE.format(dag_id=description.dag_id))
    return dag_path


def measure_parsing(dag_path: Path, interpreter: str) -> ParseTime:
    """Parses a DAG file as Airflow does, in a process of its own, and takes the time.

    Args:
        dag_path: The DAG file.
        interpreter: A Python with Airflow.

    Raises:
        SettingsError: That Python has no Airflow, or the DAG file does not import, or it imports TensorFlow.
    """
    done = subprocess.run(
        [interpreter, "-P", "-c", _MEASURING, str(dag_path)],
        capture_output=True,
        text=True,
        timeout=_MEASURING_LIMIT_S,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise SettingsError(
            "Airflow cannot import the DAG file.",
            expected="a Python with Airflow 2.11 and this package (requirements/airflow-*.txt)",
            received=done.stderr.strip()[-2000:] or f"exit code {done.returncode}",
            where=f"{interpreter}, {dag_path}",
            advice="run this in Airflow's environment, or name its Python as interpreter in the runner file",
        )
    measured = json.loads(lines[-1])
    if measured["heavy"]:
        raise SettingsError(
            "The DAG file takes TensorFlow or TFX with it when it is parsed.",
            expected="Airflow alone",
            received=", ".join(measured["heavy"]),
            where=str(dag_path),
        )
    return ParseTime(measured["airflow_s"], measured["dag_s"])


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
