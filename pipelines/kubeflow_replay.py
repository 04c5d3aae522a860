"""A compiled pipeline, run here without a cluster, as Kubeflow Pipelines' own backend would run it.

What passes through: a PipelineSpec comes in; its tasks are walked in the order of their dependencies, their
parameters and artifacts resolved, the cache asked with Kubeflow's own key, and the container commands of what
is not in it executed, in processes or in this one. What became of each task goes out. A failed task takes
down what depends on it, and nothing else. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pipelines.kubeflow_replay_pod import CommandRunner, Pod

Artifact = dict[str, Any]


class TaskState(StrEnum):
    """What became of a task."""

    MISS = "miss"  # not in the cache, or not to be asked for: executed
    HIT = "hit"  # an earlier task's outputs were taken
    FAILED = "failed"
    SKIPPED = "skipped"  # it depends on one that failed


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task of a run.

    Attributes:
        state: What became of it.
        parameters: Output parameters.
        artifacts: Output artifacts, each with the name that the backend gave it.
        attempts: How often it was executed.
    """

    state: TaskState
    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    attempts: int = 0


class ReplayedBackend:
    """A backend with its object store, its records and its cache, kept from run to run.

    The cache key is that of kubeflow/pipelines (backend/src/v2/cacheutils/cache.go, `GenerateCacheKey`), the
    places of files that of its launcher (backend/src/v2/component/launcher_v2.go).

    Args:
        folder: Takes the object store and the file systems of the tasks.
        run_command: Executes a container's command.
        pipeline_root: Address below which artifacts are named.
        name_prefix: Of the names of artifacts: on Vertex AI they are resource names.

    Example:
        >>> backend = ReplayedBackend(Path("replay"), run_in_process)
        >>> results = backend.run(compile_settings(settings, runner)["pipelineSpec"])
        >>> results["convert-ranker"].state
        <TaskState.MISS: 'miss'>
    """

    def __init__(
        self,
        folder: Path,
        run_command: CommandRunner,
        *,
        pipeline_root: str = "minio://mlpipeline/v2/artifacts",
        name_prefix: str = "",
    ) -> None:
        self._folder = folder
        self._run_command = run_command
        self._pipeline_root = pipeline_root
        self._name_prefix = name_prefix
        self._cache: dict[str, TaskResult] = {}
        self._count = 0

    def run(
        self, spec: Mapping[str, Any], parameters: Mapping[str, Any] | None = None
    ) -> dict[str, TaskResult]:
        """Runs a pipeline.

        Args:
            spec: PipelineSpec as plain data.
            parameters: Of the pipeline itself; others have their defaults.

        Returns:
            Results by name of the task, in the order in which they ran.

        Raises:
            KeyError: The pipeline refers to something that is not there.
            CycleError: Its tasks depend on one another.
        """
        tasks = spec["root"]["dag"]["tasks"]
        given = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        values = {name: one["defaultValue"] for name, one in given.items() if "defaultValue" in one}
        values |= parameters or {}
        results: dict[str, TaskResult] = {}
        graph = {name: list_dependencies(task) for name, task in tasks.items()}
        for name in TopologicalSorter(graph).static_order():
            if any(results[one].state in (TaskState.FAILED, TaskState.SKIPPED) for one in graph[name]):
                results[name] = TaskResult(TaskState.SKIPPED)
                continue
            results[name] = self._run_task(spec, name, values, results)
        return results

    def find_local_path(self, uri: str) -> Path:
        """Finds where the object store keeps an artifact."""
        return self._folder / "store" / uri.replace("://", "/")

    def _run_task(
        self,
        spec: Mapping[str, Any],
        name: str,
        values: Mapping[str, Any],
        results: Mapping[str, TaskResult],
    ) -> TaskResult:
        task = spec["root"]["dag"]["tasks"][name]
        component = spec["components"][task["componentRef"]["name"]]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        message = {
            "inputs": _resolve_inputs(task, component, values, results),
            "outputs": self._provision_outputs(name, component),
        }
        key = make_cache_key(message, component, container)
        if task.get("cachingOptions", {}).get("enableCache") and key in self._cache:
            cached = self._cache[key]
            return TaskResult(TaskState.HIT, cached.parameters, cached.artifacts)
        attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(1, attempts + 1):
            pod = Pod(self._folder / "pod", self.find_local_path)
            output = pod.execute(container, message, self._run_command)
            if output is not None:
                result = self._record(message, component, output, attempt)
                if task.get("cachingOptions", {}).get("enableCache"):
                    self._cache[key] = result
                return result
        return TaskResult(TaskState.FAILED, attempts=attempts)

    def _provision_outputs(self, task: str, component: Mapping[str, Any]) -> dict[str, Any]:
        definitions = component.get("outputDefinitions", {})
        root = f"{self._pipeline_root}/{task}/{secrets.token_hex(8)}"
        local_root = "/" + root.replace("://", "/")
        return {
            "artifacts": {
                key: {
                    "artifacts": [{"name": key, "uri": f"{root}/{key}", "type": one["artifactType"]}],
                }
                for key, one in definitions.get("artifacts", {}).items()
            },
            "parameters": {
                key: {"outputFile": f"{local_root}/parameters/{key}"}
                for key in definitions.get("parameters", {})
            },
            "outputFile": f"{local_root}/output_metadata.json",
        }

    def _record(
        self,
        message: Mapping[str, Any],
        component: Mapping[str, Any],
        output: Mapping[str, Any],
        attempts: int,
    ) -> TaskResult:
        """Records artifacts under new names, and metadata as what ML Metadata makes of JSON."""
        artifacts = {}
        for key, listed in message["outputs"]["artifacts"].items():
            artifact = dict(listed["artifacts"][0])
            for told in output.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                artifact["uri"] = told.get("uri") or artifact["uri"]
                artifact["metadata"] = {**artifact.get("metadata", {}), **told.get("metadata", {})}
            self._count += 1
            artifacts[key] = {**artifact, "name": f"{self._name_prefix}{self._count}"}
        parameters = {
            **{name: next(iter(one.values())) for name, one in output.get("parameters", {}).items()},
            **output.get("parameterValues", {}),
        }
        missing = sorted(set(component.get("outputDefinitions", {}).get("parameters", {})) - set(parameters))
        if missing:
            raise KeyError(f"output parameters that the task did not write: {', '.join(missing)}")
        return TaskResult(TaskState.MISS, parameters, artifacts, attempts)


def list_dependencies(task: Mapping[str, Any]) -> set[str]:
    """Names the tasks that a task waits for: those that it says, and those whose outputs it takes."""
    names = set(task.get("dependentTasks", ()))
    inputs = task.get("inputs", {})
    for kind, key in (("parameters", "taskOutputParameter"), ("artifacts", "taskOutputArtifact")):
        names |= {one[key]["producerTask"] for one in inputs.get(kind, {}).values() if key in one}
    return names


def make_cache_key(
    message: Mapping[str, Any], component: Mapping[str, Any], container: Mapping[str, Any]
) -> str:
    """Makes the key with which Kubeflow asks its cache."""
    inputs, outputs = message["inputs"], message["outputs"]
    key = {
        "inputArtifactNames": {
            name: [artifact["name"] for artifact in listed["artifacts"]]
            for name, listed in inputs["artifacts"].items()
        },
        "inputParameterValues": inputs.get("parameterValues") or inputs.get("parameters", {}),
        "outputArtifactsSpec": {
            name: {part: value for part, value in listed["artifacts"][0].items() if part != "uri"}
            for name, listed in outputs["artifacts"].items()
        },
        "outputParametersSpec": component.get("outputDefinitions", {}).get("parameters", {}),
        "containerSpec": {
            "image": container["image"],
            "cmdArgs": [*container.get("command", ()), *container.get("args", ())],
        },
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _resolve_inputs(
    task: Mapping[str, Any],
    component: Mapping[str, Any],
    values: Mapping[str, Any],
    results: Mapping[str, TaskResult],
) -> dict[str, Any]:
    given = task.get("inputs", {})
    definitions = component.get("inputDefinitions", {})
    artifacts = {}
    for key, one in given.get("artifacts", {}).items():
        source = one["taskOutputArtifact"]
        artifact = results[source["producerTask"]].artifacts[source["outputArtifactKey"]]
        artifacts[key] = {"artifacts": [artifact]}
    plain: dict[str, Any] = {}
    typed: dict[str, Any] = {}
    for name, one in given.get("parameters", {}).items():
        if name not in definitions.get("parameters", {}):
            raise KeyError(f"parameter {name} that the component does not know")
        constant = one.get("runtimeValue", {})
        if "constantValue" in constant:
            typed[name] = constant["constantValue"]
            continue
        if "componentInputParameter" in one:
            value = values[one["componentInputParameter"]]
        elif "taskOutputParameter" in one:
            source = one["taskOutputParameter"]
            value = results[source["producerTask"]].parameters[source["outputParameterKey"]]
        else:
            value = constant["constant"]
        if "type" in definitions["parameters"][name]:
            typed[name] = {"stringValue": value}
        else:
            plain[name] = value
    inputs: dict[str, Any] = {"artifacts": artifacts}
    if plain:
        inputs["parameterValues"] = plain
    if typed:
        inputs["parameters"] = typed
    return inputs
