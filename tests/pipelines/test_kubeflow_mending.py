"""What is done to a compiled pipeline: names, references, defaults, probes. Without TFX."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from components.source_probe.probing import ProbeKind
from pipelines.on_kubeflow.mending import (
    get_tasks,
    mend_producers,
    rename_tasks,
    write_defaults,
    write_inputs_specs,
)
from pipelines.on_kubeflow.probes import Probe, add_probes, find_probes
from pipelines.on_kubeflow.runner_file import CacheKey
from servable.errors import SettingsError


def make_spec() -> dict:
    """Two nodes as TFX compiles them: the second takes a parameter of the first, by a wrong name."""
    return {
        "schemaVersion": "2.1.0",
        "root": {
            "inputDefinitions": {"parameters": {"rows": {"parameterType": "NUMBER_INTEGER"}}},
            "dag": {
                "tasks": {
                    "count_rows": {
                        "taskInfo": {"name": "count_rows"},
                        "componentRef": {"name": "count_rows"},
                    },
                    "convert_a": {
                        "taskInfo": {"name": "convert_a"},
                        "componentRef": {"name": "convert_a"},
                        "cachingOptions": {"enableCache": True},
                        "inputs": {
                            "parameters": {
                                "source": {"runtimeValue": {"constant": "/m"}},
                                "step": {
                                    "taskOutputParameter": {
                                        "producerTask": "count_rows_task",
                                        "outputParameterKey": "rows",
                                    }
                                },
                            }
                        },
                    },
                }
            },
        },
        "components": {
            "count_rows": {"executorLabel": "count_rows_executor"},
            "convert_a": {
                "executorLabel": "convert_a_executor",
                "inputDefinitions": {
                    "parameters": {
                        "source": {"parameterType": "STRING"},
                        "step": {"parameterType": "NUMBER_INTEGER"},
                    }
                },
            },
        },
        "deploymentSpec": {
            "executors": {
                "count_rows_executor": {"container": {"image": "i"}},
                "convert_a_executor": {
                    "container": {"image": "i", "args": ["--json_serialized_inputs_spec_args", "{}"]}
                },
            }
        },
    }


def test_a_reference_to_a_task_that_is_not_there_is_mended():
    spec = make_spec()
    mend_producers(spec)
    task = get_tasks(spec)["convert_a"]
    assert task["inputs"]["parameters"]["step"]["taskOutputParameter"]["producerTask"] == "count_rows"
    assert task["dependentTasks"] == ["count_rows"]


def test_a_task_that_ends_so_is_left_alone():
    spec = make_spec()
    get_tasks(spec)["count_rows_task"] = get_tasks(spec).pop("count_rows")
    mend_producers(spec)
    reference = get_tasks(spec)["convert_a"]["inputs"]["parameters"]["step"]["taskOutputParameter"]
    assert reference["producerTask"] == "count_rows_task"


def test_names_are_ones_that_argo_takes_everywhere():
    spec = make_spec()
    mend_producers(spec)
    rename_tasks(spec)
    assert set(get_tasks(spec)) == set(spec["components"]) == {"count-rows", "convert-a"}
    task = get_tasks(spec)["convert-a"]
    assert (task["taskInfo"]["name"], task["componentRef"]["name"]) == ("convert-a", "convert-a")
    assert task["dependentTasks"] == ["count-rows"]
    assert task["inputs"]["parameters"]["step"]["taskOutputParameter"]["producerTask"] == "count-rows"
    labels = {one["executorLabel"] for one in spec["components"].values()}
    assert labels == set(spec["deploymentSpec"]["executors"]) == {"count-rows-executor", "convert-a-executor"}


@pytest.mark.parametrize("name", ["convert-a", "x" * 122])
def test_names_that_cannot_be_told_apart_or_are_too_long_are_refused(name):
    spec = make_spec()
    get_tasks(spec)[name] = {"componentRef": {"name": name}}
    spec["components"][name] = {}
    with pytest.raises(SettingsError, match=name):
        rename_tasks(spec)


def test_a_parameter_of_the_pipeline_gets_its_default():
    spec = make_spec()
    write_defaults(spec, {"rows": 7, "unknown": 1})
    assert spec["root"]["inputDefinitions"]["parameters"] == {
        "rows": {"parameterType": "NUMBER_INTEGER", "defaultValue": 7}
    }


def test_what_a_probe_finds_are_parameters_of_its_node():
    spec = make_spec()
    mend_producers(spec)
    add_probes(spec, [Probe("convert_a", ProbeKind.CONVERSION)], CacheKey.PROBE)
    write_inputs_specs(spec)
    probe, node = get_tasks(spec)["probe_convert_a"], get_tasks(spec)["convert_a"]
    # Never from the cache, with the node's own parameters, and after what these wait for.
    assert probe["cachingOptions"] == {}
    assert set(probe["inputs"]["parameters"]) == {"source", "step"}
    assert probe["dependentTasks"] == ["count_rows"]
    assert node["dependentTasks"] == ["count_rows", "probe_convert_a"]
    found = {"resolved_source", "source_digest", "options_digest", "toolchain"}
    assert set(spec["components"]["probe_convert_a"]["outputDefinitions"]["parameters"]) == found
    for name in found:
        assert node["inputs"]["parameters"][name] == {
            "taskOutputParameter": {"producerTask": "probe_convert_a", "outputParameterKey": name}
        }
    told = json.loads(spec["deploymentSpec"]["executors"]["convert_a_executor"]["container"]["args"][1])
    assert told["parameters"]["source_digest"] == {"parameterType": "STRING"}
    assert spec["deploymentSpec"]["executors"]["probe_convert_a_executor"]["container"] == {
        "image": "i",
        "command": ["python", "-m", "components.source_probe"],
        "args": ["conversion", "--executor_input", "{{$}}"],
    }


def test_vertex_looks_in_the_node_itself():
    spec = make_spec()
    add_probes(spec, [Probe("convert_a", ProbeKind.CONVERSION)], CacheKey.PRE_CACHE_CHECK)
    assert set(get_tasks(spec)) == {"count_rows", "convert_a"}
    assert spec["deploymentSpec"]["executors"]["convert_a_executor"]["container"]["lifecycle"] == {
        "preCacheCheck": {
            "command": ["python", "-m", "components.source_probe", "conversion"],
            "args": ["--executor_input", "{{$}}"],
        }
    }


def test_without_a_cache_there_is_nothing_to_look_for():
    spec = make_spec()
    del get_tasks(spec)["convert_a"]["cachingOptions"]
    add_probes(spec, [Probe("convert_a", ProbeKind.CONVERSION)], CacheKey.PROBE)
    assert set(get_tasks(spec)) == {"count_rows", "convert_a"}


def test_drivers_are_known_by_their_names():
    def make_node(name: str, module: str, qualname: str) -> SimpleNamespace:
        return SimpleNamespace(id=name, driver_class=type(qualname, (), {"__module__": module}))

    nodes = [
        make_node("a", "components.content_driver", "ContentDriver"),
        make_node("b", "components.examples_driver", "ExamplesDriver"),
        make_node("c", "components.content_driver", "ToolchainDriver"),
        make_node("d", "tfx.dsl.components.base.base_driver", "BaseDriver"),
        SimpleNamespace(id="e"),
    ]
    assert list(find_probes(nodes)) == [
        Probe("a", ProbeKind.CONVERSION),
        Probe("b", ProbeKind.VALIDATION),
        Probe("c", ProbeKind.TOOLCHAIN),
    ]
