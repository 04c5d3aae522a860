"""HOW on Kubeflow: the pipeline compiled for Kubeflow Pipelines 2.x or Vertex AI, its cache on contents.

What passes through: `Settings` and the runner file's values come in, the compiled job goes out as plain data.
TFX's own compiler does the work (`KubeflowV2DagRunner`); what it leaves undone is done on its result. TFX is
imported when a pipeline is compiled, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipelines.on_kubeflow.mending import (
    Spec,
    get_container,
    get_tasks,
    make_valid_name,
    mend_producers,
    rename_tasks,
    write_defaults,
    write_inputs_specs,
)
from pipelines.on_kubeflow.probes import add_probes, find_probes
from pipelines.on_kubeflow.runner_file import Backend, KubeflowSettings, Resources, SchemaVersion
from pipelines.settings import Settings
from servable.errors import SettingsError
from servable.formats.remote import is_remote

# TFX's own entry point cannot: it hands addresses to executors that need a file system.
_COMMAND: Final = ("python", "-m", "pipelines.on_kubeflow.task")
_PROBE_PREFIX: Final = "probe_"
# Where Vertex AI mounts all buckets (components/source_probe/staging.py).
_BUCKETS: Final = "/gcs"


def compile_settings(settings: Settings, runner: KubeflowSettings) -> dict[str, Any]:
    """Compiles the pipeline of all models in the settings.

    Args:
        settings: Their paths must be those that the tasks see.
        runner: How the tasks run.

    Returns:
        A PipelineJob as `google.protobuf.json_format` reads it; `pipelineSpec` in it is what Kubeflow takes.

    Raises:
        SettingsError: A path lies where no task finds it, or a name is not one of Kubeflow's.
        SourceError: A model has no `kind` and its source tells none.
    """
    from pipelines.conversion import create_pipeline

    _check_paths(settings, runner)
    pipeline = settings.pipeline.model_copy(
        update={
            "name": runner.pipeline_name or make_valid_name(settings.pipeline.name).lower(),
            "root": runner.pipeline_root or settings.pipeline.root,
            # Kubeflow keeps records of its own.
            "metadata": Path("metadata.sqlite"),
        }
    )
    return compile_pipeline(create_pipeline(settings.model_copy(update={"pipeline": pipeline})), runner)


def compile_pipeline(pipeline: Any, runner: KubeflowSettings) -> dict[str, Any]:
    """Compiles any pipeline of TFX, with stock components and ours.

    Args:
        pipeline: `tfx.orchestration.pipeline.Pipeline`.
        runner: How the tasks run.

    Returns:
        As `compile_settings`.

    Raises:
        SettingsError: Names of nodes are not ones of Kubeflow's.
    """
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    config = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
        default_image=runner.image,
        default_commands=list(_COMMAND),
        use_pipeline_spec_2_1=runner.schema_version is SchemaVersion.V2_1,
    )
    defaults = dict(_find_defaults(pipeline.components))
    job: dict[str, Any] = kubeflow_v2_dag_runner.KubeflowV2DagRunner(config=config).run(
        pipeline, parameter_values=defaults, write_out=False
    )
    spec = job["pipelineSpec"]
    mend_producers(spec)
    write_defaults(spec, defaults)
    add_probes(spec, list(find_probes(pipeline.components)), runner.cache_key)
    write_inputs_specs(spec)
    _add_resources(spec, runner)
    rename_tasks(spec)
    if runner.pipeline_root is None:
        job["runtimeConfig"].pop("gcsOutputDirectory", None)
    else:
        spec["defaultPipelineRoot"] = runner.pipeline_root
    return job


def make_platform_spec(spec: Spec, runner: KubeflowSettings) -> dict[str, Any] | None:
    """Says what only Kubernetes knows: the volumes of the tasks.

    Returns:
        A PlatformSpec, the second document of Kubeflow's YAML file; None without volumes.
    """
    if not runner.volumes:
        return None
    # `constant` is the older name of `pvcNameParameter`, and the one that every version of the backend reads.
    mounts = [{"constant": volume.claim, "mountPath": volume.mount} for volume in runner.volumes]
    labels = sorted(spec["deploymentSpec"]["executors"])
    executors = {label: {"pvcMount": mounts} for label in labels}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _find_defaults(nodes: Any) -> Iterator[tuple[str, Any]]:
    from tfx.orchestration.data_types import RuntimeParameter

    for node in nodes:
        for value in node.exec_properties.values():
            if isinstance(value, RuntimeParameter) and isinstance(value.default, str | int | float):
                yield value.name, value.default


def _add_resources(spec: Spec, runner: KubeflowSettings) -> None:
    for name, task in get_tasks(spec).items():
        if runner.retries:
            task["retryPolicy"] = {
                "maxRetryCount": runner.retries,
                "backoffDuration": f"{runner.retry_delay_s}s",
            }
        container = get_container(spec, task["componentRef"]["name"])
        if container is None:
            continue
        is_probe = name.startswith(_PROBE_PREFIX)
        resources = runner.node_resources.get(name, runner.probe_resources if is_probe else runner.resources)
        container["resources"] = _write_resources(resources)
        if runner.environment:
            container["env"] = [
                {"name": key, "value": value} for key, value in sorted(runner.environment.items())
            ]


def _write_resources(resources: Resources) -> dict[str, float]:
    return {"cpuLimit": float(resources.cpu), "memoryLimit": float(resources.memory_gb)}


def _check_paths(settings: Settings, runner: KubeflowSettings) -> None:
    seen = [_BUCKETS] if runner.backend is Backend.VERTEX else [volume.mount for volume in runner.volumes]
    hidden = []
    for model in settings.models:
        paths = {
            "source": model.source,
            "push": model.push,
            "inputs": model.inputs,
            "examples": model.examples,
            "architecture": model.architecture,
            "module": model.module,
            "custom_objects": model.custom_objects,
            "pack.to": model.pack.to if model.pack else None,
            "pack.signing_key": model.pack.signing_key if model.pack else None,
            **{f"assets.{name}": path for name, path in model.assets.items()},
            **{f"replace_layers.{name}": layer.file for name, layer in model.replace_layers.items()},
        }
        for key, path in paths.items():
            if path is None or is_remote(str(path)):
                continue
            if not any(Path(path).is_relative_to(folder) for folder in seen):
                hidden.append(f"{model.name}, {key}: {path}")
    if hidden:
        raise SettingsError(
            "No task would find what these settings name.\n    " + "\n    ".join(hidden),
            expected=f"addresses, or paths below {' or '.join(seen)}" if seen else "addresses, or volumes",
            advice="name the paths as the tasks see them, and the volumes in the runner file",
        )
