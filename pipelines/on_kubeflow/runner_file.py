"""The runner file of Kubeflow: how the tasks run, beside the settings, which say what runs.

What passes through: `configs/kubeflow.yaml`, or a file like it, comes in, frozen values go out. Neither
TensorFlow nor TFX here.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from pipelines.yaml_file import KeyPath, read_yaml
from servable.errors import SettingsError

# kubeflow/pipelines takes these addresses alone as a pipeline root (backend/src/v2/objectstore/config.go).
_ROOT = r"^(gs|minio|s3)://[^/?]+(/[^?]*)?$"
_PIPELINE_NAME = r"^[a-z0-9][a-z0-9-]{0,127}$"

Amount = Annotated[StrictFloat | StrictInt, Field(gt=0)]


class Backend(StrEnum):
    """What runs the compiled pipeline."""

    KFP = "kfp"  # Kubeflow Pipelines 2.x on one's own cluster
    VERTEX = "vertex"  # Vertex AI Pipelines


class SchemaVersion(StrEnum):
    """Of the compiled pipeline."""

    V2_0 = "2.0"
    V2_1 = "2.1"


class CacheKey(StrEnum):
    """How contents come into the backend's cache key."""

    PROBE = "probe"  # a task before the node
    PRE_CACHE_CHECK = "pre_cache_check"  # a command of the node itself, which Vertex AI runs


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(_Section):
    """What a task may use.

    Attributes:
        cpu: Number of processors.
        memory_gb: Gigabytes.
    """

    cpu: Amount
    memory_gb: Amount


class Volume(_Section):
    """A volume of the cluster that every task sees.

    Attributes:
        claim: Name of a PersistentVolumeClaim.
        mount: Absolute path in the tasks.
    """

    claim: Annotated[StrictStr, Field(min_length=1)]
    mount: Annotated[StrictStr, Field(pattern=r"^/.+$")]


class KubeflowSettings(_Section):
    """How Kubeflow runs a pipeline.

    Attributes:
        image: Container image of every task, made with docker/Dockerfile.
        backend: What runs the compiled pipeline.
        schema_version: Of the compiled pipeline; Kubeflow's own backend wants 2.1.
        pipeline_name: None for that of the settings, in the small letters that Kubeflow takes.
        pipeline_root: Address that takes every artifact; None for the installation's own.
        cache_key: How contents come into the cache key.
        resources: Of nodes.
        probe_resources: Of the tasks that look whether there is anything new.
        node_resources: Of single nodes, by their id, such as ``convert_ranker``.
        volumes: With the sources and the pushed models.
        retries: How often a task that failed is tried again.
        retry_delay_s: Pause before that, seconds.
        environment: Variables that the tasks get.
    """

    image: Annotated[StrictStr, Field(min_length=1)]
    backend: Backend = Backend.KFP
    schema_version: SchemaVersion = SchemaVersion.V2_1
    pipeline_name: Annotated[StrictStr, Field(pattern=_PIPELINE_NAME)] | None = None
    pipeline_root: Annotated[StrictStr, Field(pattern=_ROOT)] | None = None
    cache_key: CacheKey = CacheKey.PROBE
    resources: Resources = Resources(cpu=2, memory_gb=8)
    probe_resources: Resources = Resources(cpu=1, memory_gb=2)
    node_resources: dict[StrictStr, Resources] = Field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    retries: Annotated[StrictInt, Field(ge=0)] = 1
    retry_delay_s: Annotated[StrictInt, Field(ge=0)] = 60
    environment: dict[StrictStr, StrictStr] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_backend(self) -> Self:
        if self.backend is Backend.KFP:
            if self.schema_version is not SchemaVersion.V2_1:
                raise ValueError("schema_version 2.0 is for backend vertex; Kubeflow Pipelines takes 2.1")
            if self.cache_key is not CacheKey.PROBE:
                raise ValueError("cache_key pre_cache_check is for backend vertex; others do not run it")
            return self
        if self.volumes:
            raise ValueError("volumes are for backend kfp; Vertex AI sees buckets below /gcs")
        if self.pipeline_root is None or not self.pipeline_root.startswith("gs://"):
            raise ValueError("backend vertex needs a pipeline_root in Cloud Storage, gs://BUCKET/FOLDER")
        return self


def load_kubeflow_settings(path: Path) -> KubeflowSettings:
    """Reads a runner file.

    Args:
        path: YAML.

    Raises:
        SettingsError: The file has faults; all of them are listed, each with its line.
    """
    file = read_yaml(path)
    faults: list[tuple[int | None, KeyPath, str]] = [
        (line, key_path, "is given twice") for key_path, line in file.duplicates
    ]
    try:
        settings = KubeflowSettings.model_validate({} if file.data is None else file.data)
    except ValidationError as error:
        faults += [
            (file.find_line(tuple(fault["loc"])), tuple(fault["loc"]), _describe_fault(str(fault["msg"])))
            for fault in error.errors(include_url=False)
        ]
    if not faults:
        return settings
    listed = [
        f"line {line}: {'.'.join(map(str, key_path)) or 'the file'}: {message}"
        for line, key_path, message in faults
    ]
    raise SettingsError(
        "The runner file has faults.\n    " + "\n    ".join(listed),
        expected=f"keys as in configs/kubeflow.yaml: {', '.join(KubeflowSettings.model_fields)}",
        where=str(path),
        advice="correct what is named; nothing was written",
    )


def _describe_fault(message: str) -> str:
    return message.removeprefix("Value error, ")
