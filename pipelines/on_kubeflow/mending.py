"""What TFX's compiler leaves undone in a compiled pipeline, done: names, references, defaults.

What passes through: a PipelineSpec, as plain data, comes in and is changed in place. Neither TensorFlow nor
TFX here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from servable.errors import SettingsError

INPUTS_SPEC: Final = "--json_serialized_inputs_spec_args"
_TASK_SUFFIX: Final = "_task"
# Kubeflow's backend makes tasks of Argo of them (argo-workflows, workflow/validate, `workflowFieldNameFmt`),
# with this behind the name of each.
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9-]+")
_LONGEST_NAME: Final = 128 - len("-driver")

Spec = dict[str, Any]


def get_tasks(spec: Spec) -> dict[str, Any]:
    """Gets the tasks by name."""
    tasks: dict[str, Any] = spec["root"]["dag"]["tasks"]
    return tasks


def get_container(spec: Spec, component: str) -> dict[str, Any] | None:
    """Gets the container of a component; None where it has none, such as TFX's Importer."""
    label = spec["components"][component].get("executorLabel")
    container: dict[str, Any] | None = spec["deploymentSpec"]["executors"].get(label, {}).get("container")
    return container


def mend_producers(spec: Spec) -> None:
    """Points references to other tasks' parameters at tasks that are there.

    TFX writes ``<id>_task`` where the task is named ``<id>`` (tfx/orchestration/kubeflow/v2/step_builder.py).
    """
    tasks = get_tasks(spec)
    for task in tasks.values():
        for parameter in task.get("inputs", {}).get("parameters", {}).values():
            reference = parameter.get("taskOutputParameter")
            if reference is None or reference["producerTask"] in tasks:
                continue
            name = reference["producerTask"].removesuffix(_TASK_SUFFIX)
            if name in tasks:
                reference["producerTask"] = name
                add_dependency(task, name)


def add_dependency(task: dict[str, Any], name: str) -> None:
    """Makes a task wait for another."""
    task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), name})


def write_defaults(spec: Spec, defaults: Mapping[str, Any]) -> None:
    """Gives the pipeline's own parameters the defaults that TFX drops.

    Args:
        spec: In schema 2.1; 2.0 has no place for them but the job.
        defaults: By name of the parameter.
    """
    given = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, value in defaults.items():
        if "parameterType" in given.get(name, {}):
            given[name]["defaultValue"] = value


def write_inputs_specs(spec: Spec) -> None:
    """Tells every executor of all its parameters, also of those that TFX's compiler knows nothing of."""
    for component, definition in spec["components"].items():
        arguments = (get_container(spec, component) or {}).get("args", [])
        if INPUTS_SPEC in arguments[:-1]:
            inputs = definition.get("inputDefinitions", {})
            arguments[arguments.index(INPUTS_SPEC) + 1] = json.dumps(inputs, sort_keys=True)


def make_valid_name(name: str) -> str:
    """Gives the name that a backend takes for a task: letters, digits and hyphens."""
    return _FORBIDDEN.sub("-", name).strip("-")


def rename_tasks(spec: Spec) -> None:
    """Gives tasks, components and executors the names that every backend takes.

    A task's title is made its name: older backends find the producers of parameters by title.

    Raises:
        SettingsError: Two would have the same name, or one is too long.
    """
    names = sorted({*get_tasks(spec), *spec["components"]})
    valid = {name: make_valid_name(name) for name in names}
    by_name: dict[str, list[str]] = {}
    for name, new in valid.items():
        by_name.setdefault(new, []).append(name)
    wrong = [old for new, old in by_name.items() if len(old) > 1 or len(new) > _LONGEST_NAME]
    if wrong:
        raise SettingsError(
            "Kubeflow does not take these names of nodes.",
            expected=f"at most {_LONGEST_NAME} letters, digits and -, and no two that differ in _ and -",
            received="; ".join(" and ".join(old) for old in wrong),
            advice="give the models other names",
        )
    root = spec["root"]["dag"]
    for name, task in get_tasks(spec).items():
        task["taskInfo"] = {**task.get("taskInfo", {}), "name": valid[name]}
        if "dependentTasks" in task:
            task["dependentTasks"] = sorted(valid[name] for name in task["dependentTasks"])
        task["componentRef"]["name"] = valid[task["componentRef"]["name"]]
        _rename_producers(task, lambda name: valid.get(name, name))
    for definition in spec["components"].values():
        if "executorLabel" in definition:
            definition["executorLabel"] = make_valid_name(definition["executorLabel"])
    executors = spec["deploymentSpec"]["executors"]
    spec["deploymentSpec"]["executors"] = {make_valid_name(label): one for label, one in executors.items()}
    root["tasks"] = {valid[name]: task for name, task in root["tasks"].items()}
    spec["components"] = {valid[name]: one for name, one in spec["components"].items()}


def _rename_producers(task: dict[str, Any], rename: Callable[[str], str]) -> None:
    inputs = task.get("inputs", {})
    for kind, key in (("parameters", "taskOutputParameter"), ("artifacts", "taskOutputArtifact")):
        for value in inputs.get(kind, {}).values():
            if key in value:
                value[key]["producerTask"] = rename(value[key]["producerTask"])
