"""What an Airflow DAG needs to know of a pipeline, as a small JSON file.

What passes through: `compiling.py` writes it from the settings, `airflow_dag.py` reads it each time that
Airflow parses its DAGs. The standard library alone: neither TensorFlow nor TFX, Airflow nor pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from servable.errors import SettingsError

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """One node of the pipeline, which is one task of the DAG.

    Attributes:
        id: In the pipeline, and of the task.
        model: The model of the settings whose branch it belongs to.
        upstream: Ids of the nodes that have to succeed before it.
    """

    id: str
    model: str
    upstream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """What may be given anew for one run of the DAG.

    Attributes:
        name: "enable_cache", or model and key as in "ranker.step".
        schema: JSON schema of its values; null leaves the settings as they are.
        text: One sentence for the person who triggers a run.
    """

    name: str
    schema: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class DagDescription:
    """A pipeline as Airflow sees it.

    Attributes:
        dag_id: Name of the DAG.
        pipeline_name: Name of the pipeline in ML Metadata.
        config_path: Absolute path of the settings file, which is read again by every task.
        interpreter: Absolute path of the Python that runs the tasks, with TFX and Airflow.
        schedule: Five fields as of cron; None for runs by hand.
        timezone: In which the schedule is meant.
        nodes: In an order in which they can run.
        parameters: What may be given anew for one run.
        retries: How often a task that could not do its work is tried again.
        retry_delay_s: Pause before that, seconds.
        task_timeout_s: After so many seconds a task is killed.
        max_active_tasks: How many tasks of the DAG run at once, where the executor can.
        tags: Of the DAG.
        environment: Variables that the tasks' processes get.
    """

    dag_id: str
    pipeline_name: str
    config_path: str
    interpreter: str
    schedule: str | None
    timezone: str
    nodes: tuple[NodeDescription, ...]
    parameters: tuple[ParameterDescription, ...]
    retries: int
    retry_delay_s: int
    task_timeout_s: int
    max_active_tasks: int
    tags: tuple[str, ...]
    environment: Mapping[str, str]

    def find_node(self, node_id: str) -> NodeDescription:
        """Gets a node by its id.

        Raises:
            SettingsError: There is none.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise SettingsError(
            "There is no such node in the pipeline.",
            expected=", ".join(node.id for node in self.nodes),
            received=node_id,
            advice="write the DAG anew: python -m pipelines airflow CONFIG",
        )

    def to_json(self) -> str:
        """Writes it; equal descriptions give equal text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Reads what `to_json` wrote.

        Args:
            text: JSON.
            where: For the error: where it was read.

        Raises:
            SettingsError: Another release wrote it, or somebody changed it.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                raise ValueError("another format")
            nodes = tuple(
                NodeDescription(node["id"], node["model"], tuple(node["upstream"])) for node in data["nodes"]
            )
            parameters = tuple(ParameterDescription(**parameter) for parameter in data["parameters"])
            data |= {"nodes": nodes, "parameters": parameters, "tags": tuple(data["tags"])}
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SettingsError(
                "The description of the DAG cannot be read.",
                expected=f"what this release writes (format {FORMAT})",
                received=f"{type(error).__name__}: {error}",
                where=where,
                advice="write it anew: python -m pipelines airflow CONFIG",
            ) from error
