"""Descriptors of the platforms, read by parties that did not write them: schemas, protos, parsers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from servable.deploy.batching import BatchPlan
from servable.deploy.eas import describe_modification, describe_service, load_schema
from servable.deploy.kserve import describe_inference_service, write_yaml
from servable.deploy.options import EasOptions, KserveOptions, SageMakerOptions, VertexOptions
from servable.deploy.tf_serving import add_lineage, write_batching_parameters, write_models_config
from servable.deploy.uploads import describe_sagemaker_model, describe_vertex_upload
from servable.errors import SettingsError

KSERVE_SCHEMA = Path(__file__).parents[2] / "data" / "kserve" / "inference_service.schema.json"
PLAN = BatchPlan((1, 8, 64), 0.0015)


def describe(options, **changes):
    given = {"processor": "tensorflow_cpu_2.7", "archive": "model.tar.gz", "warm_up": True, "plan": PLAN}
    return describe_service("Digits-net", 7, options=options, **given | changes)


def test_a_service_of_eas():
    storage = ({"mount_path": "/data", "oss": {"path": "oss://b/data/", "readOnly": True}},)
    options = EasOptions(
        uri="oss://b/models/",
        instances=2,
        cpu=4,
        memory_mb=8000,
        batching=True,
        storage=storage,
        service={"metadata": {"rpc": {"keepalive": 5000}, "resource": "eas-r-1"}, "labels": {"team": "a"}},
    )
    assert describe(options) == {
        "name": "digits_net",
        "processor": "tensorflow_cpu_2.7",
        "model_path": "oss://b/models/Digits-net/7/model.tar.gz",
        "warm_up_data_path": "oss://b/models/Digits-net/7/warm_up.bin",
        "metadata": {
            "instance": 2,
            "cpu": 4,
            "memory": 8000,
            "rpc": {"batching": True, "max_batch_size": 64, "max_batch_timeout": 2, "keepalive": 5000},
            "resource": "eas-r-1",
        },
        "storage": [{"mount_path": "/data", "oss": {"path": "oss://b/data/", "readOnly": True}}],
        "labels": {"team": "a"},
    }


def test_a_gpu_processor_gets_a_gpu():
    assert describe(EasOptions(), processor="tensorflow_gpu_2.7")["metadata"]["gpu"] == 1
    assert describe(EasOptions(gpu=2), processor="tensorflow_gpu_2.7")["metadata"]["gpu"] == 2
    assert "gpu" not in describe(EasOptions())["metadata"]


def test_without_a_plan_or_a_warm_up_file_neither_is_named():
    service = describe(EasOptions(batching=True), warm_up=False, plan=BatchPlan(reason="not measured"))
    assert "rpc" not in service["metadata"]
    assert "warm_up_data_path" not in service


def test_a_modification_names_the_model_and_not_the_scale():
    modification = describe_modification(
        "digits",
        8,
        processor="tensorflow_cpu_2.7",
        archive="model.zip",
        warm_up=False,
        options=EasOptions(uri="oss://b"),
    )
    assert modification == {
        "processor": "tensorflow_cpu_2.7",
        "model_path": "oss://b/digits/8/model.zip",
    }


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ({"metadata": {"rpc": {"max_batch_sise": 8}}}, "metadata.rpc"),
        ({"metadata": {"instance": "2"}}, "metadata.instance"),
        ({"processor": "tensorflow_cpu_2.9"}, "processor"),
        ({"model_pth": "oss://b/x"}, "the whole"),
        ({"storage": [{"oss": {"path": "oss://b/"}}]}, "storage.0"),
    ],
)
def test_what_eas_does_not_take_is_refused(service, place):
    with pytest.raises(SettingsError, match=place):
        describe(EasOptions(service=service))


def test_the_schema_is_one_and_takes_the_platforms_own_example():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(load_schema())
    documented = {
        "name": "tf_serving_test",
        "model_path": "http://example.com/savedmodel_example.zip",
        "processor": "tensorflow_cpu_1.15",
        "warm_up_data_path": "oss://path/to/warm_up_test.bin",
        "metadata": {"instance": 1, "cpu": 1, "gpu": 0, "memory": 4000},
    }
    jsonschema.validate(documented, load_schema())


@pytest.mark.parametrize(
    ("options", "release"),
    [
        (KserveOptions(uri="s3://b/models"), "2.18.1"),
        (KserveOptions(uri="pvc://claim/models/", namespace="ml", gpu=1, canary_percent=10), "2.18.1"),
        (KserveOptions(), "1.15.0"),
    ],
)
def test_kubernetes_takes_an_inference_service(options, release):
    yaml = pytest.importorskip("yaml")
    jsonschema = pytest.importorskip("jsonschema")
    written = describe_inference_service("Digits_net", release=release, options=options)
    service = yaml.safe_load(write_yaml(written))
    assert service == written
    jsonschema.validate(service, json.loads(KSERVE_SCHEMA.read_text(encoding="utf-8")))
    model = service["spec"]["predictor"]["model"]
    assert service["metadata"]["name"] == "digits-net"
    assert model["runtimeVersion"] == release + ("-gpu" if options.gpu else "")
    assert model["modelFormat"]["version"] == release[0]
    # The folder above the version's, which the runtime gets as --model_base_path.
    assert model["storageUri"] == options.uri.rstrip("/") + "/Digits_net"


def test_kubernetes_refuses_what_it_does_not_know():
    jsonschema = pytest.importorskip("jsonschema")
    service = describe_inference_service("d", release="2.18.1", options=KserveOptions())
    service["spec"]["predictor"]["model"]["storageURI"] = "gs://b"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(service, json.loads(KSERVE_SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorflow_serving_reads_its_configuration():
    pytest.importorskip("tensorflow")
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    text = write_models_config("digits", 7, base_dir='/mo"dels/', labels=("stable", "blue"))
    (model,) = text_format.Parse(text, config.ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", '/mo"dels/digits', "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1
    assert dict(model.version_labels) == {"stable": 7, "blue": 7}


def test_batching_parameters_are_those_of_the_proto():
    """Its package does not bring this one message, so that it is written down here once more."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"), 1
    ):
        message.field.add(name=name, number=number, type=11, label=1, type_name=".google.protobuf.Int64Value")
    message.field.add(name="allowed_batch_sizes", number=6, type=3, label=3)
    pool.AddSerializedFile(file.SerializeToString())
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))
    found = text_format.Parse(write_batching_parameters(PLAN, threads=4), cls(), descriptor_pool=pool)
    assert found.max_batch_size.value == 64
    assert found.batch_timeout_micros.value == 1500
    assert found.num_batch_threads.value == 4
    # The server refuses a last size that is not the largest batch.
    assert list(found.allowed_batch_sizes) == [1, 8, 64]
    assert "threads" not in write_batching_parameters(PLAN)


def test_lineage_is_written_to_the_byte(tmp_path):
    add_lineage(tmp_path, "42 /pipeline/model/7")
    assert (tmp_path / "assets.extra" / "mlmd_uuid").read_bytes() == b"42 /pipeline/model/7"


def test_vertex_gets_the_folder_with_the_graph():
    options = VertexOptions(uri="gs://b/models", registry="europe", gpu=True)
    upload = describe_vertex_upload("digits", 7, release="2.15", digest="ab", options=options)
    assert upload["artifact_uri"] == "gs://b/models/digits/7"
    image = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-gpu.2-15:latest"
    assert upload["serving_container_image_uri"] == image
    old = describe_vertex_upload("digits", 7, release="1.15", digest="ab", options=VertexOptions())
    assert old["serving_container_image_uri"].endswith("/tf-cpu.1-15:latest")


def test_sagemaker_is_told_which_model_answers():
    options = SageMakerOptions(uri="s3://b", role="arn:aws:iam::1:role/r")
    model = describe_sagemaker_model("digits", 7, archive="model.tar.gz", release="2.19.0", options=options)
    assert model == {
        "model_data": "s3://b/digits/7/model.tar.gz",
        "role": "arn:aws:iam::1:role/r",
        "framework_version": "2.19.0",
        "env": {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "digits"},
    }
