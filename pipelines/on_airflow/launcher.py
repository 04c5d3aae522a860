"""A launcher for TFX's AirflowDagRunner with which attempts can be repeated and outputs can be named alike.

What passes through: a node of any pipeline comes in, is driven, executed and published by TFX's own code, and
what a failed attempt left is cleared away. TFX is imported here.

TFX's own launcher leaves a failed execution RUNNING, can never register the next attempt, and fails for the
second node of a run that has an output of the same key and type: ML Metadata wants names to be unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.orchestration import metadata
from tfx.orchestration.launcher import in_process_component_launcher

from pipelines.on_airflow.attempts import fail_attempt, find_attempt, retire_attempt


class AttemptLauncher(in_process_component_launcher.InProcessComponentLauncher):  # type: ignore[misc]
    """Launches a node so that it may fail, be killed, and be launched again.

    Example:
        >>> from tfx.orchestration.airflow.airflow_dag_runner import AirflowDagRunner, AirflowPipelineConfig
        >>> config = AirflowPipelineConfig(supported_launcher_classes=[AttemptLauncher])
        >>> DAG = AirflowDagRunner(config).run(pipeline)
    """

    def __init__(self, **options: Any) -> None:
        options["metadata_connection"] = AttemptMetadata(options["metadata_connection"].connection_config)
        spec = options["component"].executor_spec
        if isinstance(spec, executor_spec.BeamExecutorSpec):
            # TFX takes a node's own ones on every other runner; of two that contradict, the later wins.
            own = [word for word in spec.beam_pipeline_args if isinstance(word, str)]
            options["beam_pipeline_args"] = [*(options.get("beam_pipeline_args") or ()), *own]
        super().__init__(**options)

    def launch(self) -> Any:
        """Drives, executes and publishes the node.

        Raises:
            BaseException: Whatever was raised; the execution is marked as failed, its directories are gone.
        """
        try:
            return super().launch()
        except BaseException:
            with self._metadata_connection as connection:
                fail_attempt(
                    connection.store, self._component_info.component_run_context_name, remove_outputs
                )
            raise


class AttemptMetadata(metadata.Metadata):  # type: ignore[misc]
    """TFX's door to ML Metadata, with an execution for each attempt and names that occur once."""

    def register_execution(
        self,
        pipeline_info: Any,
        component_info: Any,
        contexts: list[Any],
        exec_properties: dict[str, Any] | None = None,
        input_artifacts: dict[str, list[Any]] | None = None,
    ) -> Any:
        """Registers a new execution, also when there was an attempt in this run before."""
        retire_attempt(self.store, component_info.component_run_context_name, remove_outputs)
        return super().register_execution(
            pipeline_info, component_info, contexts, exec_properties, input_artifacts
        )

    def update_execution(
        self,
        execution: Any,
        component_info: Any,
        input_artifacts: dict[str, list[Any]] | None = None,
        output_artifacts: Mapping[str, Sequence[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Names the outputs that have no row yet, and updates the execution."""
        for key, artifacts in (output_artifacts or {}).items():
            for index, artifact in enumerate(artifacts):
                if not artifact.id:
                    run_id = component_info.pipeline_info.run_id
                    artifact.name = f"{component_info.component_id}:{key}:{index}:{run_id}:{execution.id}"
        super().update_execution(execution, component_info, input_artifacts, output_artifacts, **options)

    def search_artifacts(
        self, artifact_name: str, pipeline_info: Any, producer_component_id: str
    ) -> list[Any]:
        """Finds the outputs of a node's newest attempt that succeeded, by output key.

        Raises:
            RuntimeError: The node has not succeeded in this run.
        """
        execution_id = find_attempt(
            self.store, pipeline_info.pipeline_run_context_name, producer_component_id
        )
        if execution_id is None:
            message = f"node {producer_component_id} has not succeeded in run {pipeline_info.run_id}"
            raise RuntimeError(message)
        outputs = self.get_outputs_of_execution(execution_id) or {}
        return list(outputs.get(artifact_name, ()))


def remove_outputs(node_uri: str, execution_id: int) -> None:
    """Removes what an execution has written, on any of TFX's file systems.

    Args:
        node_uri: Directory of the node, which holds one of each output key.
        execution_id: Name of the directories below these.
    """
    for key in fileio.listdir(node_uri) if fileio.exists(node_uri) else ():
        # Some file systems end the names of directories with a slash.
        directory = f"{node_uri}/{key.rstrip('/')}/{execution_id}"
        if fileio.exists(directory):
            logging.info("Removing what an attempt left at %s", directory)
            fileio.rmtree(directory)
