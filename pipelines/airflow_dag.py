"""The DAG that Airflow parses, and the operator of its tasks. Neither TensorFlow nor TFX is imported here.

What passes through: a description comes in, a DAG goes out; when a task runs, its node goes to a Python of
its own (`on_airflow/node.py`), and the node's log into the task's log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.models import DAG, BaseOperator
from airflow.models.param import Param

from pipelines.on_airflow.description import DagDescription, NodeDescription
from pipelines.on_airflow.process import run_process

# Any date in the past will do: nothing is caught up on.
_START: Final = (2024, 1, 1)
_EXIT_CODES_OF_NO_USE_TO_REPEAT: Final = {
    1: "the model was refused",
    4: "the settings or the run's parameters are wrong",
}
_REASON_LINES: Final = 12


class NodeOperator(BaseOperator):  # type: ignore[misc]
    """Runs one node of the pipeline in a new process.

    Args:
        description_path: JSON file of the DAG.
        interpreter: Python that runs the node.
        environment: Variables for it, beside those of this process.
    """

    ui_color = "#e8f0fe"

    def __init__(
        self, *, description_path: str, interpreter: str, environment: Mapping[str, str], **options: Any
    ) -> None:
        super().__init__(on_failure_callback=self.close_attempt, **options)
        self.description_path = description_path
        self.interpreter = interpreter
        self.environment = dict(environment)

    def execute(self, context: Any) -> None:
        """Runs the node.

        Raises:
            AirflowFailException: The model was refused, or the settings are wrong: trying again is of no use.
            AirflowException: The node could not do its work.
        """
        run = context["dag_run"]
        # Airflow puts unknown keys of a trigger among the parameters without a word; the node refuses them.
        given = {**dict(context["params"]), **(run.conf or {})}
        last_lines: list[str] = []

        def take_line(line: str) -> None:
            self._log_line(line)
            last_lines.append(line)
            del last_lines[:-_REASON_LINES]

        code = self._call("--parameters", json.dumps(given), run_id=run.run_id, take_line=take_line)
        if code == 0:
            return
        if code in _EXIT_CODES_OF_NO_USE_TO_REPEAT:
            raise AirflowFailException(f"{_EXIT_CODES_OF_NO_USE_TO_REPEAT[code]}:\n" + "\n".join(last_lines))
        how = f"a signal ended it ({-code})" if code < 0 else f"it ended with code {code}"
        raise AirflowException(f"Node {self.task_id} could not do its work, {how}:\n" + "\n".join(last_lines))

    def close_attempt(self, context: Any) -> None:
        """Marks what a killed attempt left in ML Metadata as failed, when no other attempt will do so."""
        self._call("--close", run_id=context["dag_run"].run_id, take_line=self._log_line)

    def _log_line(self, line: str) -> None:
        self.log.info("%s", line)

    def _call(self, *words: str, run_id: str, take_line: Any) -> int:
        # -P: nothing that lies in the working directory shadows a package.
        command = [self.interpreter, "-P", "-u", "-m", "pipelines.on_airflow.node", self.description_path]
        command += [f"--node={self.task_id}", f"--run-id={run_id}", *words]
        return run_process(command, take_line, environment=os.environ | self.environment)


def read_dag(description_path: Path) -> Any:
    """Makes the DAG of a description.

    Args:
        description_path: JSON file, as `python -m pipelines airflow` writes it.

    Returns:
        `airflow.models.DAG`, one task a node.

    Raises:
        SettingsError: The description cannot be read.
    """
    text = description_path.read_text(encoding="utf-8")
    description = DagDescription.from_json(text, str(description_path))
    dag = DAG(
        dag_id=description.dag_id,
        description=f"Convert, check and push the models of {description.config_path}",
        schedule=description.schedule,
        start_date=datetime(*_START, tzinfo=ZoneInfo(description.timezone)),
        catchup=False,
        # Two runs at once would only ask the same questions, and push in any order.
        max_active_runs=1,
        max_active_tasks=description.max_active_tasks,
        tags=list(description.tags),
        params={
            parameter.name: Param(None, description=parameter.text, **parameter.schema)
            for parameter in description.parameters
        },
    )
    tasks: dict[str, NodeOperator] = {}
    for node in description.nodes:
        tasks[node.id] = _make_task(node, description, description_path, dag)
        for earlier in node.upstream:
            tasks[node.id].set_upstream(tasks[earlier])
    return dag


def _make_task(node: NodeDescription, description: DagDescription, path: Path, dag: Any) -> NodeOperator:
    return NodeOperator(
        task_id=node.id,
        dag=dag,
        description_path=str(path),
        interpreter=description.interpreter,
        environment=description.environment,
        retries=description.retries,
        retry_delay=timedelta(seconds=description.retry_delay_s),
        execution_timeout=timedelta(seconds=description.task_timeout_s),
    )
