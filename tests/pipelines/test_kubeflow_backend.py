"""The replayed backend: order, cache, retries, failures. With commands of the test's own, without TFX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipelines.on_kubeflow.replay import ReplayedBackend
from pipelines.on_kubeflow.replay_inputs import TaskState

TYPE = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


def make_task(name: str, *, cached: bool = True, retries: int = 0, **inputs: Mapping) -> dict:
    task: dict = {"componentRef": {"name": name}, "inputs": inputs}
    if cached:
        task["cachingOptions"] = {"enableCache": True}
    if retries:
        task["retryPolicy"] = {"maxRetryCount": retries}
    return task


def make_spec() -> dict:
    """look -> make -> use, and beside them `other`, which depends on none of them."""
    taken = {"taskOutputParameter": {"producerTask": "look", "outputParameterKey": "digest"}}
    model = {"taskOutputArtifact": {"producerTask": "make", "outputArtifactKey": "model"}}
    components = {
        "look": {"outputDefinitions": {"parameters": {"digest": {"parameterType": "STRING"}}}},
        "make": {
            "inputDefinitions": {"parameters": {"digest": {"parameterType": "STRING"}}},
            "outputDefinitions": {"artifacts": {"model": {"artifactType": TYPE}}},
        },
        "use": {
            "inputDefinitions": {
                "parameters": {"limit": {"parameterType": "NUMBER_INTEGER"}},
                "artifacts": {"model": {"artifactType": TYPE}},
            }
        },
        "other": {},
    }
    for name, component in components.items():
        component["executorLabel"] = name
    return {
        "root": {
            "inputDefinitions": {
                "parameters": {"limit": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3}}
            },
            "dag": {
                "tasks": {
                    "use": make_task(
                        "use",
                        artifacts={"model": model},
                        parameters={"limit": {"componentInputParameter": "limit"}},
                    ),
                    "make": make_task("make", retries=1, parameters={"digest": taken}),
                    "look": make_task("look", cached=False),
                    "other": make_task("other"),
                }
            },
        },
        "components": components,
        "deploymentSpec": {
            "executors": {
                name: {"container": {"image": "i", "command": ["python", "-m", name], "args": ["{{$}}"]}}
                for name in components
            }
        },
    }


class Commands:
    """Stands for every container: writes files and messages, and fails when told."""

    def __init__(self) -> None:
        self.digest = "d1"
        self.failing: list[str] = []
        self.ran: list[str] = []
        self.used: list[str] = []

    def __call__(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        _, _, name, text = command
        message = json.loads(text)
        self.ran.append(name)
        if name in self.failing:
            self.failing.remove(name)
            return False
        root = Path(environment["SERVABLE_STAGING_ROOT"])
        output: dict = {}
        if name == "look":
            output = {"parameterValues": {"digest": self.digest}}
        if name == "make":
            uri = message["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"]
            # Kubeflow makes the folder that an output lies in, and not the output's own.
            (root / uri.replace("minio://", "minio/")).mkdir()
            (root / uri.replace("minio://", "minio/") / "content").write_text(self.digest)
            output = {"artifacts": {"model": {"artifacts": [{"uri": uri, "metadata": {"n": 1.0}}]}}}
        if name == "use":
            uri = message["inputs"]["artifacts"]["model"]["artifacts"][0]["uri"]
            content = (root / uri.replace("minio://", "minio/") / "content").read_text()
            self.used.append(f"{content} {message['inputs']['parameterValues']['limit']}")
        output_path = Path(message["outputs"]["outputFile"])
        output_path.parent.mkdir(parents=True, exist_ok=True)
        output_path.write_text(json.dumps(output))
        return True


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def backend(tmp_path, commands) -> ReplayedBackend:
    return ReplayedBackend(tmp_path, commands)


def get_states(results) -> dict[str, str]:
    return {name: str(result.state) for name, result in results.items()}


def test_tasks_run_after_what_they_take_from(backend, commands):
    results = backend.run(make_spec())
    ran = [name for name in commands.ran if name != "other"]
    assert ran == ["look", "make", "use"]
    assert commands.used == ["d1 3"]
    assert results["make"].artifacts["model"]["metadata"] == {"n": 1.0}


def test_the_cache_asks_for_parameters_and_artifacts(backend, commands):
    backend.run(make_spec())
    again = backend.run(make_spec())
    assert get_states(again) == {"look": "miss", "make": "hit", "use": "hit", "other": "hit"}
    assert get_states(backend.run(make_spec(), {"limit": 4}))["use"] == "miss"
    commands.digest = "d2"
    changed = backend.run(make_spec())
    assert get_states(changed) == {"look": "miss", "make": "miss", "use": "miss", "other": "hit"}
    assert commands.used == ["d1 3", "d1 4", "d2 3"]
    commands.digest = "d1"
    assert get_states(backend.run(make_spec()))["make"] == "hit"


def test_another_image_is_another_key(backend):
    backend.run(make_spec())
    spec = make_spec()
    spec["deploymentSpec"]["executors"]["other"]["container"]["image"] = "j"
    assert get_states(backend.run(spec))["other"] == "miss"


def test_a_failure_is_tried_again_and_takes_down_only_what_depends_on_it(backend, commands):
    commands.failing = ["make"]
    results = backend.run(make_spec())
    assert (results["make"].state, results["make"].attempts) == (TaskState.MISS, 2)
    commands.digest, commands.failing = "d2", ["make", "make"]
    results = backend.run(make_spec())
    assert get_states(results) == {"look": "miss", "make": "failed", "use": "skipped", "other": "hit"}
    # What failed is in no cache.
    assert get_states(backend.run(make_spec()))["make"] == "miss"


def test_a_reference_to_nothing_is_an_error(backend):
    spec = make_spec()
    spec["root"]["dag"]["tasks"]["make"]["inputs"]["parameters"]["digest"]["taskOutputParameter"][
        "producerTask"
    ] = "look_task"
    with pytest.raises(KeyError, match="look_task"):
        backend.run(spec)
