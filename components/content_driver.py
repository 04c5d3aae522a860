"""Drivers that put contents and versions into TFX's cache key.

What passes through: a node's execution properties come in before the cache is asked; exact files, digests and
the toolchain are added. A checkpoint that was overwritten in place is then new, an unchanged one is not, and
an upgrade of the library is never answered with an older one's result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_driver
from tfx.dsl.io import fileio
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import value_artifact

from components.options import read_options
from components.runtimes_here import describe_runtimes_here
from components.source_content import SOURCE_FAULT, TOOLCHAIN, describe_toolchain, pin_source
from components.source_locating import open_located
from servable.errors import ServableError

Artifacts = Mapping[str, Sequence[Any]]


class ToolchainDriver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the toolchain to the cache key, on runners of both of TFX's stacks.

    `LocalDagRunner` and `BeamDagRunner` call `run`; `AirflowDagRunner` calls `resolve_exec_properties` and
    `_prepare_output_artifacts`. `KubeflowV2DagRunner` runs no driver at all: there the executors pin the
    source themselves.
    """

    def __init__(self, metadata_handle: Any) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)
        self._resolved_inputs: dict[str, list[Any]] = {}

    def resolve_external(self, exec_properties: Mapping[str, Any], input_dict: Artifacts) -> dict[str, str]:
        """Finds the execution properties to add.

        Args:
            exec_properties: As the node was given them.
            input_dict: Resolved input artifacts.
        """
        return {TOOLCHAIN: describe_toolchain()} | describe_runtimes_here(exec_properties)

    def run(self, execution_info: Any) -> Any:
        """Answers the portable stack (Local, Beam) with the properties to add.

        A fault of the source is handed on to the executor, which raises it: an exception here would leave the
        execution RUNNING in ML Metadata for ever.
        """
        try:
            added = self.resolve_external(execution_info.exec_properties, execution_info.input_dict or {})
        except (ServableError, OSError) as error:
            logging.error("%s", error)
            added = {SOURCE_FAULT: str(error)}
        output = driver_output_pb2.DriverOutput()
        for key, value in added.items():
            data_types_utils.set_metadata_value(output.exec_properties[key], value)
        return output

    def pre_execution(
        self,
        input_dict: dict[str, Any],
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
        driver_args: Any,
        pipeline_info: Any,
        component_info: Any,
    ) -> Any:
        """Resolves the inputs first: the older stack (Airflow) asks for the properties before it does."""
        self._resolved_inputs = self.resolve_input_artifacts(
            input_dict, exec_properties, driver_args, pipeline_info
        )
        return super().pre_execution(
            input_dict, output_dict, exec_properties, driver_args, pipeline_info, component_info
        )

    def resolve_exec_properties(
        self, exec_properties: dict[str, Any], pipeline_info: Any, component_info: Any
    ) -> dict[str, Any]:
        """Answers the older stack (Airflow), before it registers an execution."""
        return {**exec_properties, **self.resolve_external(exec_properties, self._resolved_inputs)}

    def _prepare_output_artifacts(
        self,
        input_artifacts: dict[str, list[Any]],
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
        execution_id: int,
        pipeline_info: Any,
        component_info: Any,
    ) -> dict[str, list[Any]]:
        """Gives output artifacts names of their own and empty directories.

        The older stack names an artifact after output key and run alone. ML Metadata wants names to be
        unique within a type, so a retry, or a second node with the same output key, could never register.
        """
        prepared: dict[str, list[Any]] = super()._prepare_output_artifacts(
            input_artifacts, output_dict, exec_properties, execution_id, pipeline_info, component_info
        )
        for key, artifacts in prepared.items():
            for index, artifact in enumerate(artifacts):
                artifact.name = f"{component_info.component_id}:{key}:{index}:{pipeline_info.run_id}"
                earlier = self._metadata_handle.store.get_artifact_by_type_and_name(
                    artifact.type_name, artifact.name
                )
                if earlier is not None:
                    artifact.id = earlier.id
                is_file = isinstance(artifact, value_artifact.ValueArtifact)
                directory = os.path.dirname(artifact.uri) if is_file else artifact.uri  # noqa: PTH120 - a URI
                if fileio.exists(directory):
                    fileio.rmtree(directory)
                fileio.makedirs(directory)
        return prepared


class ContentDriver(ToolchainDriver):
    """Adds a conversion's exact source and the digest of everything that it reads."""

    def resolve_external(self, exec_properties: Mapping[str, Any], input_dict: Artifacts) -> dict[str, str]:
        """Pins the source.

        Raises:
            SourceError: There is nothing complete and known at the source.
            SettingsError: The options are wrong or name files that are not there.
        """
        added = super().resolve_external(exec_properties, input_dict)
        options = read_options(exec_properties.get("options"), signatures=exec_properties.get("signatures"))
        with open_located(exec_properties, input_dict, step=options.source.step) as source:
            if source is not None:
                added |= pin_source(source.path, options, address=source.address).to_properties()
        return added
