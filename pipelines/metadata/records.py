"""What ML Metadata has written down about a pipeline, as plain values.

What passes through: a runner asks what one run did, `pipelines/lineage` where a model comes from. Values come
from `reading.py`, which knows how TFX's two stacks lay them out. TFX is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = int | float | str


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """One artifact.

    Attributes:
        id: In ML Metadata.
        type_name: Such as "Model" or "PushedModel".
        uri: Where it lies.
        properties: Custom properties; numbers, texts.
    """

    id: int
    type_name: str
    uri: str
    properties: Mapping[str, Value]

    def get_text(self, key: str) -> str:
        """Gives a custom property as text, "" when it is not there."""
        return str(self.properties.get(key, ""))

    def get_flag(self, key: str) -> bool:
        """Says whether a custom property is 1."""
        return self.properties.get(key) == 1


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution of one node.

    Attributes:
        id: In ML Metadata; later executions have larger ones.
        node_id: The node's id in the pipeline.
        run_id: The pipeline run it belongs to.
        state: "complete", "cached", "failed", "running", ...
        finished_ms: Last change, milliseconds since 1970.
        inputs: Artifacts by input key.
        outputs: Artifacts by output key; of a cached execution those of the earlier one.
        type_name: The component's class, such as "tfx.components.pusher.component.Pusher".
        pipeline: The pipeline's name.
    """

    id: int
    node_id: str
    run_id: str
    state: str
    finished_ms: int
    inputs: Mapping[str, ArtifactRecord]
    outputs: Mapping[str, ArtifactRecord]
    type_name: str = ""
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a pipeline.

    Attributes:
        run_id: Its id.
        properties: What was noted about it, such as `config_path`.
    """

    run_id: str
    properties: Mapping[str, Value] = field(default_factory=dict)

    def get_text(self, key: str) -> str:
        """Gives a note as text, "" when it is not there."""
        return str(self.properties.get(key, ""))


def read_executions(
    location: Path | str, pipeline_name: str, *, run_id: str | None = None
) -> list[ExecutionRecord]:
    """Reads executions of a pipeline, oldest first.

    Args:
        location: Where ML Metadata is kept: a SQLite file, which is opened read-only, or an address.
        pipeline_name: Name of the pipeline.
        run_id: Of one run alone; None for all runs.

    Raises:
        SettingsError: There is no such store, or it does not let us in.
    """
    from pipelines.metadata.reading import MetadataReader

    return MetadataReader.open(location).read_executions(pipeline_name, run_id=run_id)
