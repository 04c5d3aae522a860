"""Runs one node for a task of Airflow: `python -m pipelines.on_airflow.node DESCRIPTION --node ID ...`.

What passes through: a description, a node's id and a run's parameters come in; the node is run by TFX's
AirflowDagRunner, and an exit code goes out. TFX and Airflow are imported once the parameters are right.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.rejection import ModelRejectedError
from pipelines.commands.common import EXIT_COULD_NOT, EXIT_DONE, EXIT_REFUSED, EXIT_USAGE
from pipelines.conversion import Branch, create_pipeline
from pipelines.lean_imports import lighten_imports
from pipelines.lineage.config import note_config
from pipelines.metadata.records import ExecutionRecord, read_executions
from pipelines.metadata.store import open_store
from pipelines.on_airflow.attempts import fail_attempt
from pipelines.on_airflow.description import DagDescription
from pipelines.on_airflow.parameters import apply_parameters
from pipelines.on_airflow.process import die_with_parent
from pipelines.outcome import must_push_again
from pipelines.settings import Settings
from pipelines.settings_file import load_settings
from servable.errors import ServableError, SettingsError


@dataclass(frozen=True, slots=True)
class StandInRun:
    """What the operator hears of a DAG run: TFX asks its task instance for this and no more."""

    run_id: str

    def get_dagrun(self) -> StandInRun:
        """Gives the run of this task instance, which is all in one here."""
        return self


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a node, or closes what a killed attempt of it left.

    Args:
        arguments: Without the program's name; those of this process by default.

    Returns:
        0; 1 when the model was refused, 2 when the node could not do its work, 4 for wrong settings or
        parameters.
    """
    options = _make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        description = DagDescription.from_json(options.description.read_text(), str(options.description))
        node = description.find_node(options.node)
        settings = load_settings(Path(description.config_path)).select(node.model)
        if options.close:
            return _close(settings, options.node, options.run_id)
        given = _choose_own(json.loads(options.parameters), description, node.model)
        settings = apply_parameters(settings, given)
    except (SettingsError, OSError) as error:
        return _complain(error, EXIT_USAGE)
    die_with_parent()
    try:
        run_node(settings, options.node, options.run_id)
    except ModelRejectedError as error:
        return _complain(error, EXIT_REFUSED)
    except SettingsError as error:
        return _complain(error, EXIT_USAGE)
    except ServableError as error:
        return _complain(error, EXIT_COULD_NOT)
    except Exception:
        logging.exception("Node %s could not do its work.", options.node)
        return EXIT_COULD_NOT
    return EXIT_DONE


def run_node(settings: Settings, node_id: str, run_id: str) -> None:
    """Runs a node with TFX's AirflowDagRunner, in this process.

    Args:
        settings: With the node's model alone; the other models' sources are not looked at.
        node_id: Of the node.
        run_id: Of the DAG run.

    Raises:
        ServableError: What the node itself raised.
    """
    started = time.monotonic()
    _import_quietly()
    imported = time.monotonic()
    logging.info("Airflow and TFX were imported in %.0f s.", imported - started)
    _launch(settings, node_id, run_id)
    if settings.config_path is not None:
        where, name = settings.pipeline.metadata, settings.pipeline.name
        note_config(where, name, run_id=run_id, config_path=settings.config_path, is_legacy=True)
    if node_id == Branch.from_model(settings.models[0]).push and _must_push_again(settings, node_id, run_id):
        logging.info("What was pushed earlier is not what a server loads now: it is pushed again.")
        pipeline = settings.pipeline.model_copy(update={"cache": False})
        _launch(settings.model_copy(update={"pipeline": pipeline}), node_id, run_id)
    logging.info("Node %s took %.1f s.", node_id, time.monotonic() - imported)


def _import_quietly() -> None:
    """Keeps its lines out of the task's log, and leaves out what a node without work does not need."""
    logging.disable(logging.INFO)
    try:
        lighten_imports()
        from tfx.components.pusher import component  # noqa: F401
        from tfx.orchestration.airflow import airflow_dag_runner  # noqa: F401
    finally:
        logging.disable(logging.NOTSET)


def _launch(settings: Settings, node_id: str, run_id: str) -> None:
    from tfx.orchestration.airflow.airflow_dag_runner import AirflowDagRunner, AirflowPipelineConfig

    from pipelines.on_airflow.launcher import AttemptLauncher

    config = AirflowPipelineConfig(
        airflow_dag_config={"schedule": None}, supported_launcher_classes=[AttemptLauncher]
    )
    operator = AirflowDagRunner(config).run(create_pipeline(settings)).get_task(node_id)
    # As the operator's own `execute` does, without the templates: braces in an option are no template here.
    operator.python_callable(**operator.op_kwargs, ti=StandInRun(run_id))


def _must_push_again(settings: Settings, node_id: str, run_id: str) -> bool:
    pushes = [item for item in _read_records(settings) if item.node_id == node_id]
    own = [item for item in pushes if item.run_id == run_id]
    return must_push_again(own[-1] if own else None, pushes)


def _read_records(settings: Settings) -> list[ExecutionRecord]:
    return read_executions(settings.pipeline.metadata, settings.pipeline.name)


def _close(settings: Settings, node_id: str, run_id: str) -> int:
    """Marks a killed attempt as failed; TFX is not imported."""
    location = settings.pipeline.metadata
    if isinstance(location, Path) and not location.is_file():
        return EXIT_DONE
    store = open_store(location, read_only=False)
    name = f"{settings.pipeline.name}.{run_id}.{node_id}"
    if fail_attempt(store, name, _remove_local_outputs):
        sys.stderr.write(f"The killed attempt of {node_id} is marked as failed.\n")
    return EXIT_DONE


def _remove_local_outputs(node_dir: str, execution_id: int) -> None:
    for path in Path(node_dir).glob(f"*/{execution_id}"):
        shutil.rmtree(path, ignore_errors=True)


def _choose_own(given: dict[str, Any], description: DagDescription, model: str) -> dict[str, Any]:
    """Takes the parameters of other models away, once their names are known to be right."""
    others = {
        parameter.name
        for parameter in description.parameters
        if "." in parameter.name and parameter.name.rpartition(".")[0] != model
    }
    return {name: value for name, value in given.items() if name not in others}


def _complain(error: Exception, exit_code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return exit_code


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.on_airflow.node", description=__doc__)
    parser.add_argument("description", type=Path, help="JSON file of the DAG")
    parser.add_argument("--node", required=True, help="id of the node")
    parser.add_argument("--run-id", required=True, help="id of the DAG run")
    parser.add_argument("--parameters", default="{}", help="JSON object: what the run was triggered with")
    parser.add_argument("--close", action="store_true", help="only mark a killed attempt as failed")
    return parser


if __name__ == "__main__":
    # TensorFlow's C++ side reads it once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
