"""A compiled pipeline, run here without a cluster, as Kubeflow Pipelines' own backend would run it.

What passes through: a PipelineSpec comes in; its tasks are walked in the order of their dependencies, their
parameters and artifacts resolved, the cache asked with Kubeflow's own key, and the container commands of what
is not in it executed, in processes or in this one. What became of each task goes out. A failed task takes
down what depends on it, and nothing else. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pipelines.on_kubeflow.replay_inputs import (
    TaskResult,
    TaskState,
    list_dependencies,
    make_cache_key,
    resolve_inputs,
)
from pipelines.on_kubeflow.replay_pod import CommandRunner, Pod


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
            "inputs": resolve_inputs(task, component, values, results),
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
