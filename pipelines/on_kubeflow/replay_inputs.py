"""What a replayed task takes from those before it, and the key under which its result is kept.

What passes through: a task of a PipelineSpec and the results so far come in, the inputs of its message and
the key of its cache go out. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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


def resolve_inputs(
    task: Mapping[str, Any],
    component: Mapping[str, Any],
    values: Mapping[str, Any],
    results: Mapping[str, TaskResult],
) -> dict[str, Any]:
    """Resolves parameters and artifacts.

    Args:
        task: Of the pipeline.
        component: Of the task.
        values: Parameters of the pipeline itself.
        results: Of the tasks before.

    Returns:
        `inputs` of an ExecutorInput.

    Raises:
        KeyError: Something is not there.
    """
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
