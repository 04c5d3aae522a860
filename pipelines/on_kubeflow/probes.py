"""Contents in Kubeflow's cache key: a probe before each node whose driver Kubeflow does not run.

What passes through: the nodes of a TFX pipeline and its compiled PipelineSpec come in; tasks that are never
taken from the cache are added to it, and what they find becomes parameters of the nodes that follow. Neither
TensorFlow nor TFX here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from components.source_probe.probing import ProbeKind, list_inputs, list_outputs
from pipelines.on_kubeflow.mending import Spec, add_dependency, get_container, get_tasks
from pipelines.on_kubeflow.runner_file import CacheKey

_COMMAND: Final = ("python", "-m", "components.source_probe")
_MESSAGE: Final = ("--executor_input", "{{$}}")
# By name, so that a compiled pipeline can be made of nodes without importing what the drivers import.
_KINDS: Final[Mapping[str, ProbeKind]] = MappingProxyType(
    {
        "components.content_driver.ContentDriver": ProbeKind.CONVERSION,
        "components.examples_driver.ExamplesDriver": ProbeKind.VALIDATION,
        "components.content_driver.ToolchainDriver": ProbeKind.TOOLCHAIN,
    }
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a node needs to have looked at.

    Attributes:
        node_id: The node.
        kind: Of what is looked at.
    """

    node_id: str
    kind: ProbeKind

    @property
    def task(self) -> str:
        """Name of the task."""
        return f"probe_{self.node_id}"


def find_probes(nodes: Iterable[Any]) -> Iterator[Probe]:
    """Finds the nodes that a driver of this project serves on other runners.

    Args:
        nodes: Of a TFX pipeline.
    """
    for node in nodes:
        driver = getattr(node, "driver_class", None)
        kind = None if driver is None else _KINDS.get(f"{driver.__module__}.{driver.__qualname__}")
        if kind is not None:
            yield Probe(node.id, kind)


def add_probes(spec: Spec, probes: Iterable[Probe], cache_key: CacheKey) -> None:
    """Adds them to a compiled pipeline.

    Args:
        spec: Changed in place.
        probes: Of its nodes.
        cache_key: Whether as tasks of their own, or as commands that the nodes run before the cache is asked.
    """
    for probe in probes:
        task = get_tasks(spec)[probe.node_id]
        # Without the cache there is no key; the executors then look for themselves.
        if not task.get("cachingOptions", {}).get("enableCache"):
            continue
        if cache_key is CacheKey.PRE_CACHE_CHECK:
            _add_check(spec, probe)
        else:
            _add_task(spec, probe)


def _add_check(spec: Spec, probe: Probe) -> None:
    container = get_container(spec, probe.node_id)
    assert container is not None
    container["lifecycle"] = {
        "preCacheCheck": {"command": [*_COMMAND, str(probe.kind)], "args": list(_MESSAGE)}
    }


def _add_task(spec: Spec, probe: Probe) -> None:
    node, node_definition = get_tasks(spec)[probe.node_id], spec["components"][probe.node_id]
    inputs = node_definition.setdefault("inputDefinitions", {})
    given = node.setdefault("inputs", {})
    properties = dict(given.get("parameters", {}))
    artifacts = [key for key in list_inputs(probe.kind, properties) if key in given.get("artifacts", {})]
    outputs = list_outputs(probe.kind, properties)
    text_type = _find_text_type(spec)

    definition: dict[str, Any] = {
        "executorLabel": f"{probe.task}_executor",
        "inputDefinitions": {
            "parameters": {name: copy.deepcopy(inputs["parameters"][name]) for name in properties}
        },
        "outputDefinitions": {"parameters": {name: dict(text_type) for name in outputs}},
    }
    task: dict[str, Any] = {
        "taskInfo": {"name": probe.task},
        "componentRef": {"name": probe.task},
        # Never from the cache.
        "cachingOptions": {},
        "inputs": {"parameters": copy.deepcopy(properties)},
    }
    if artifacts:
        definition["inputDefinitions"]["artifacts"] = {
            key: dict(inputs["artifacts"][key]) for key in artifacts
        }
        task["inputs"]["artifacts"] = {key: copy.deepcopy(given["artifacts"][key]) for key in artifacts}
    for name in _list_producers(task):
        add_dependency(task, name)
    container = get_container(spec, probe.node_id)
    assert container is not None
    spec["components"][probe.task] = definition
    spec["deploymentSpec"]["executors"][f"{probe.task}_executor"] = {
        "container": {
            "image": container["image"],
            "command": list(_COMMAND),
            "args": [str(probe.kind), *_MESSAGE],
        }
    }
    get_tasks(spec)[probe.task] = task
    for name in outputs:
        inputs.setdefault("parameters", {})[name] = dict(text_type)
        given.setdefault("parameters", {})[name] = {
            "taskOutputParameter": {"producerTask": probe.task, "outputParameterKey": name}
        }
    add_dependency(node, probe.task)


def _find_text_type(spec: Spec) -> dict[str, str]:
    return {"type" if spec["schemaVersion"].startswith("2.0") else "parameterType": "STRING"}


def _list_producers(task: Mapping[str, Any]) -> Iterator[str]:
    for kind, key in (("parameters", "taskOutputParameter"), ("artifacts", "taskOutputArtifact")):
        for value in task["inputs"].get(kind, {}).values():
            if key in value:
                yield value[key]["producerTask"]
