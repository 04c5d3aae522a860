"""What is compiled for Kubeflow and Vertex AI with TFX's own compiler: its fields, other people's nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipelines.kubeflow_v2 import compile_pipeline, compile_settings, make_platform_spec
from pipelines.on_kubeflow.replay import ReplayedBackend
from pipelines.on_kubeflow.replay_pod import run_in_process
from pipelines.on_kubeflow.runner_file import KubeflowSettings
from pipelines.settings import Settings
from pipelines.settings_file import load_settings
from servable.errors import SettingsError

pytestmark = pytest.mark.tfx

STAGES = ("convert", "validate", "push")
VERTEX = {"backend": "vertex", "pipeline_root": "gs://bucket/root", "volumes": ()}


def make_runner(folder: Path, **values: Any) -> KubeflowSettings:
    volume = {"claim": "models", "mount": str(folder)}
    return KubeflowSettings.model_validate({"image": "servable:1", "volumes": [volume], **values})


@pytest.fixture
def load(tmp_path, settings_writer) -> Callable[[], Settings]:
    """Loads settings of two models, whose files need not be there."""

    def load_them() -> Settings:
        path = settings_writer(tmp_path)
        path.write_text(
            path.read_text().replace("- name: dense_keras\n", "- name: dense_keras\n    kind: keras\n")
        )
        return load_settings(path)

    return load_them


@pytest.mark.parametrize(
    "values",
    [
        {},
        VERTEX,
        {**VERTEX, "schema_version": "2.0"},
        {**VERTEX, "cache_key": "pre_cache_check"},
        {"pipeline_root": "minio://b/r", "environment": {"A": "1"}, "retries": 0},
    ],
)
def test_kubeflow_takes_every_field_of_what_was_compiled(tmp_path, load, monkeypatch, values):
    """Its own messages refuse fields that they do not know."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    monkeypatch.setattr("pipelines.kubeflow_v2._BUCKETS", str(tmp_path))
    runner = make_runner(tmp_path, **values)
    job = compile_settings(load(), runner)
    spec = job["pipelineSpec"]
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    platform = make_platform_spec(spec, runner)
    assert (platform is None) == (values.get("backend") == "vertex")
    if platform is not None:
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    assert spec["pipelineInfo"]["name"] == "two-models"
    assert job["runtimeConfig"].get("gcsOutputDirectory") == values.get("pipeline_root")


@pytest.mark.parametrize("schema_version", ["2.0", "2.1"])
def test_vertex_looks_before_it_asks_its_cache(tmp_path, load, keras_saver, schema_version, monkeypatch):
    """The check's parameters reach the executor, which converts what was looked at."""
    keras_saver(tmp_path / "model.keras")
    settings = load().select("dense_keras")
    monkeypatch.setattr("pipelines.kubeflow_v2._BUCKETS", str(tmp_path))
    runner = make_runner(tmp_path, **VERTEX, schema_version=schema_version, cache_key="pre_cache_check")
    spec = compile_settings(settings, runner)["pipelineSpec"]
    tasks = spec["root"]["dag"]["tasks"]
    assert sorted(tasks) == sorted(f"{stage}-dense-keras" for stage in STAGES)
    for name in ("validate-dense-keras", "push-dense-keras"):
        del tasks[name]
    seen = []

    def run(command: list[str], environment: dict[str, str]) -> bool:
        seen.append(command[2])
        if command[2] == "components.source_probe":
            return run_in_process(command, environment)
        message = json.loads(command[command.index("--json_serialized_invocation_args") + 1])
        seen.append(json.loads(Path(message["outputs"]["outputFile"]).read_text()))
        return run_in_process(command, environment)

    results = ReplayedBackend(tmp_path / "replay", run, pipeline_root="gs://bucket/root").run(spec)
    metadata = results["convert-dense-keras"].artifacts["model"]["metadata"]
    assert seen[:2] == ["components.source_probe", "pipelines.on_kubeflow.task"]
    key = "parameters" if schema_version == "2.0" else "parameterValues"
    value = seen[2][key]["source_digest"]
    assert metadata["source_digest"] == (value["stringValue"] if schema_version == "2.0" else value)


def test_paths_that_no_task_sees_are_told(tmp_path, load):
    runner = make_runner(tmp_path, volumes=[{"claim": "models", "mount": "/mnt/models"}])
    with pytest.raises(SettingsError, match=r"linear_tf1, source: (.|\n)*dense_keras, push: "):
        compile_settings(load(), runner)


def test_a_pipeline_of_ones_own_is_mended(tmp_path):
    """An upstream model, a parameter of another node's, a parameter of the pipeline's own, a stock Pusher."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.components.pusher.component import Pusher
    from tfx.dsl.components.base import base_component, base_executor, executor_spec
    from tfx.orchestration import pipeline
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.types import Channel, component_spec, standard_artifacts

    from components.checkpoint_importer import CheckpointImporter

    class Spec(component_spec.ComponentSpec):
        PARAMETERS: ClassVar = {"steps": component_spec.ExecutionParameter(type=int)}
        INPUTS: ClassVar = {}
        OUTPUTS: ClassVar = {
            "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
            "place": component_spec.ChannelParameter(type=standard_artifacts.String),
        }

    class Training(base_component.BaseComponent):
        SPEC_CLASS = Spec
        EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(base_executor.EmptyExecutor)

    steps = RuntimeParameter(name="steps", ptype=int, default=100)
    outputs = {"model": standard_artifacts.Model, "place": standard_artifacts.String}
    channels = {key: Channel(type=one) for key, one in outputs.items()}
    training = Training(spec=Spec(steps=steps, **channels)).with_id("train_it")
    importer = CheckpointImporter(source_model=training.outputs["model"], source_subpath="ckpt").with_id(
        "import_it"
    )
    place = training.outputs["place"].future()[0].value
    pusher = Pusher(model=importer.outputs["model"], push_destination=place).with_id("push_it")
    job = compile_pipeline(
        pipeline.Pipeline(
            pipeline_name="own",
            pipeline_root="gs://b",
            components=[training, importer, pusher],
            enable_cache=True,
        ),
        KubeflowSettings(image="i", node_resources={"import_it": {"cpu": 8, "memory_gb": 64}}),
    )
    spec = job["pipelineSpec"]
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks) == {"train-it", "probe-import-it", "import-it", "push-it"}
    assert spec["root"]["inputDefinitions"]["parameters"]["steps"]["defaultValue"] == 100
    assert job["runtimeConfig"]["parameterValues"] == {"steps": 100}
    reference = tasks["push-it"]["inputs"]["parameters"]["push_destination"]["taskOutputParameter"]
    assert reference == {"producerTask": "train-it", "outputParameterKey": "place"}
    upstream = {"taskOutputArtifact": {"producerTask": "train-it", "outputArtifactKey": "model"}}
    assert tasks["probe-import-it"]["inputs"]["artifacts"] == {"source_model": upstream}
    executors = spec["deploymentSpec"]["executors"]
    assert executors["import-it-executor"]["container"]["resources"] == {"cpuLimit": 8, "memoryLimit": 64}
    assert executors["probe-import-it-executor"]["container"]["resources"] == {
        "cpuLimit": 1,
        "memoryLimit": 2,
    }
