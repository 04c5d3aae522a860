"""The server asked by TensorFlow Serving's own client stubs."""

from __future__ import annotations

import shutil
import threading
import time

import grpc
import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def apis():
    """Modules of tensorflow-serving-api by name, and TensorFlow."""
    from importlib import import_module

    names = ("predict_pb2", "classification_pb2", "regression_pb2", "get_model_metadata_pb2")
    names += ("get_model_status_pb2", "prediction_service_pb2_grpc", "model_service_pb2_grpc")
    return {name: import_module(f"tensorflow_serving.apis.{name}") for name in names} | {
        "tf": import_module("tensorflow")
    }


class Client:
    """Both stubs on one channel."""

    def __init__(self, apis, port):
        self.apis = apis
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.predicting = apis["prediction_service_pb2_grpc"].PredictionServiceStub(self.channel)
        self.models = apis["model_service_pb2_grpc"].ModelServiceStub(self.channel)

    def make_request(self, name="m", signature="", version=None, output_filter=(), **inputs):
        request = self.apis["predict_pb2"].PredictRequest(output_filter=output_filter)
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(self.apis["tf"].make_tensor_proto(value))
        return request

    def predict(self, **asked):
        return self.predicting.Predict(self.make_request(**asked), timeout=60)

    def read(self, response):
        return {key: self.apis["tf"].make_ndarray(value) for key, value in response.outputs.items()}


@pytest.fixture(scope="module")
def client(serve, simple, apis):
    with serve(simple.source.parent, processes=2, request_bytes=1 << 20) as served:
        client = Client(apis, served.server.grpc_port)
        yield client
        client.channel.close()


@pytest.fixture(scope="module")
def texts_client(serve, texts_dir, apis):
    with serve(texts_dir, name="texts") as served:
        client = Client(apis, served.server.grpc_port)
        yield client
        client.channel.close()


def test_answers_what_the_trainer_had(client, golden, check_close):
    x, y = golden
    for asked in ({}, {"signature": "serving_default"}, {"version": 1}, {"output_filter": ["y"]}):
        response = client.predict(x=x, **asked)
        check_close(client.read(response)["y"], y)
        # Many clients read this field by itself.
        check_close(np.reshape(response.outputs["y"].float_val, y.shape), y)
        assert response.model_spec.name == "m"
        assert response.model_spec.version.value == 1
        assert response.model_spec.signature_name == "serving_default"


def test_values_one_by_one_are_taken_too(client, golden, check_close):
    x, y = golden
    request = client.make_request()
    tensor = request.inputs["x"]
    tensor.dtype = 1
    for size in x.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(x.ravel().tolist())
    check_close(client.read(client.predicting.Predict(request, timeout=60))["y"], y)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"name": "other"}, "NOT_FOUND", "Servable not found for request: Latest(other)"),
        ({"version": 4}, "NOT_FOUND", "Servable not found for request: Specific(m, 4)"),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"signature": "s"}, "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
        ({"output_filter": ["z"]}, "INVALID_ARGUMENT", "output tensor alias not found in signature: z"),
        ({"output_filter": ["y", "y"]}, "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
        ({"z": 1.0}, "INVALID_ARGUMENT", "input size does not match signature: 2!=1"),
        ({"x": None, "z": 1.0}, "INVALID_ARGUMENT", "input tensor alias not found in signature: z"),
        ({"x": None}, "INVALID_ARGUMENT", "Missing but required: {x}"),
        ({"x": np.zeros([1, 784], np.int64)}, "INVALID_ARGUMENT", "float"),
        ({"x": np.zeros([1, 783], np.float32)}, "INVALID_ARGUMENT", "Matrix size-incompatible"),
        ({"x": np.zeros([400, 784], np.float32)}, "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_refusals_are_tensorflow_servings(client, golden, asked, code, said):
    asked = {"x": golden[0]} | asked
    asked = {key: value for key, value in asked.items() if value is not None}
    with pytest.raises(grpc.RpcError) as caught:
        client.predict(**asked)
    assert caught.value.code().name == code
    assert said in caught.value.details()


def test_a_short_message_cannot_announce_a_large_tensor(client):
    request = client.make_request()
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(1.0)
    for size in (1 << 20, 784):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    with pytest.raises(grpc.RpcError) as caught:
        client.predicting.Predict(request, timeout=60)
    assert caught.value.code().name == "INVALID_ARGUMENT"
    assert "tensor parsing error: x" in caught.value.details()


def test_metadata_and_status(client):
    apis = client.apis
    request = apis["get_model_metadata_pb2"].GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    response = client.predicting.GetModelMetadata(request, timeout=60)
    assert response.model_spec.version.value == 1
    signatures = apis["get_model_metadata_pb2"].SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].name == "x:0"
    request = apis["get_model_status_pb2"].GetModelStatusRequest()
    request.model_spec.name = "m"
    (status,) = client.models.GetModelStatus(request, timeout=60).model_version_status
    kind = apis["get_model_status_pb2"].ModelVersionStatus
    assert (status.version, status.state, status.status.error_code) == (1, kind.AVAILABLE, 0)
    request.model_spec.name = "other"
    with pytest.raises(grpc.RpcError, match="Could not find any versions of model other"):
        client.models.GetModelStatus(request, timeout=60)


def test_classify_and_regress(texts_client):
    apis, tf = texts_client.apis, texts_client.apis["tf"]
    examples = [tf.train.Example(), tf.train.Example()]
    examples[1].features.feature["age"].int64_list.value.append(3)
    sizes = [float(example.ByteSize()) for example in examples]
    request = apis["classification_pb2"].ClassificationRequest()
    request.model_spec.name = "texts"
    request.input.example_list.examples.extend(examples)
    response = texts_client.predicting.Classify(request, timeout=60)
    rows = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
    assert [row[0][1] for row in rows] == sizes
    assert rows[0][0][0] == ""
    assert response.model_spec.version.value == 7
    request = apis["regression_pb2"].RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "texts", "lengths"
    listed = request.input.example_list_with_context
    listed.examples.extend(examples)
    listed.context.features.feature["user"].bytes_list.value.append(b"u")
    response = texts_client.predicting.Regress(request, timeout=60)
    context = float(listed.context.ByteSize())
    assert [one.value for one in response.result.regressions] == [size + context for size in sizes]
    request.model_spec.signature_name = "raw"
    with pytest.raises(grpc.RpcError, match="Expected one output Tensor"):
        texts_client.predicting.Regress(request, timeout=60)


def test_types_that_json_has_no_form_for(texts_client):
    response = texts_client.predict(name="texts", signature="half", text=[b"abc", b""])
    assert texts_client.read(response)["half"].tolist() == [3.0, 0.0]
    response = texts_client.predict(name="texts", signature="raw", text=[b"\xff\x00"], output_filter=["text"])
    assert texts_client.read(response)["text"].tolist() == [b"\xff\x00"]


def test_versions_change_under_load_and_no_request_is_lost(
    serve, simple, copy_reversed, push_version, golden, apis, check_close, tmp_path
):
    x, y = golden
    wanted = {1: y, 2: y[:, ::-1]}
    push_version(simple.source, tmp_path / "m/1")
    new = copy_reversed(simple.source, tmp_path / "new")
    ended = threading.Event()
    versions = {number: [] for number in range(4)}
    faults = []

    def keep_asking(port, number):
        client = Client(apis, port)
        try:
            while not ended.is_set():
                response = client.predict(x=x)
                check_close(client.read(response)["y"], wanted[response.model_spec.version.value])
                versions[number].append(response.model_spec.version.value)
        except Exception as error:
            faults.append(error)
        client.channel.close()

    with serve(tmp_path / "m", processes=2) as served:
        ports = [served.server.grpc_port] * len(versions)
        clients = [threading.Thread(target=keep_asking, args=pair[::-1]) for pair in enumerate(ports)]
        for client in clients:
            client.start()
        push_version(new, tmp_path / "m/2")
        served.wait_for("version 1 has ended")
        while not faults and any(own.count(2) < 3 for own in versions.values()):
            time.sleep(0.01)
        ended.set()
        for client in clients:
            client.join()
    assert not faults
    for own in versions.values():
        assert own == sorted(own)
        assert set(own) == {1, 2}


def test_a_request_at_the_end_is_answered(serve, simple, golden, apis, check_close, tmp_path):
    shutil.copytree(simple.source, tmp_path / "1")
    with serve(tmp_path / "1") as served:
        client = Client(apis, served.server.grpc_port)
        client.predict(x=golden[0])
        coming = [client.predicting.Predict.future(client.make_request(x=golden[0])) for _ in range(8)]
        client.predict(x=golden[0])  # behind the others on the same channel
    for answer in coming:
        check_close(client.read(answer.result(timeout=60))["y"], golden[1])
    client.channel.close()
