"""The server asked over HTTP: TensorFlow Serving's REST and PAI-EAS's messages, from a real model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from servable.errors import SettingsError, UnknownSourceError
from servable.formats.eas_messages import (
    PredictRequest,
    PredictResponse,
    decode_arrays,
    make_predict_request,
)
from servable.formats.protos import Example


@pytest.fixture(scope="module")
def served(serve, simple):
    with serve(simple.source.parent, processes=2, request_bytes=1 << 20) as running:
        yield running


@pytest.fixture(scope="module")
def texts(serve, texts_dir):
    with serve(texts_dir, name="texts") as running:
        yield running


def test_answers_what_the_trainer_had(served, golden, check_close):
    x, y = golden
    for body, key in (
        ({"instances": x.tolist()}, "predictions"),
        ({"instances": [{"x": row} for row in x.tolist()]}, "predictions"),
        ({"signature_name": "serving_default", "inputs": x.tolist()}, "outputs"),
        ({"inputs": {"x": x.tolist()}}, "outputs"),
    ):
        for path in ("/v1/models/m:predict", "/v1/models/m/versions/1:predict"):
            status, answer = served.ask_json(path, body)
            assert (status, list(answer)) == (200, [key])
            check_close(answer[key], y)


def test_curl_gets_the_same(served, golden, check_close, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"instances": golden[0].tolist()}))
    url = f"http://127.0.0.1:{served.server.port}/v1/models/m:predict"
    command = ["curl", "--silent", "--data-binary", f"@{body}", url]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    check_close(json.loads(answer)["predictions"], golden[1])


@pytest.mark.parametrize("path", ["/", "/api/predict/m", "/api/predict/m/"])
def test_eas_gets_the_same(served, golden, check_close, path):
    for name in ("", "serving_default"):
        request = make_predict_request(name, {"x": golden[0]}, output_filter=["y"])
        status, data = served.ask(path, request.SerializeToString())
        assert status == 200
        check_close(decode_arrays(PredictResponse.FromString(data).outputs)["y"], golden[1])
    status, facts = served.ask_json(path)
    assert status == 200
    assert facts == {
        "signature_name": "serving_default",
        "inputs": [{"name": "x", "shape": [-1, 784], "type": "DT_FLOAT"}],
        "outputs": [{"name": "y", "shape": [-1, 10], "type": "DT_FLOAT"}],
    }


def test_eas_refuses_in_plain_words(served):
    assert served.ask("/api/predict/other")[0] == 404
    status, data = served.ask("/", b"\xff\xff")
    assert status == 400
    assert b"PredictRequest" in data
    request = make_predict_request("", {"x": np.zeros([1, 784], np.float32)})
    request.inputs["x"].array_shape.dim.extend([1] * 65)
    assert served.ask("/", request.SerializeToString())[0] == 400
    status, data = served.ask("/", PredictRequest(signature_name="other").SerializeToString())
    assert (status, data) == (400, b'Serving signature key "other" not found.')


def test_status_and_metadata(served):
    status, answer = served.ask_json("/v1/models/m")
    assert status == 200
    assert answer == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert served.ask_json("/v1/models/m/versions/1") == (200, answer)
    status, answer = served.ask_json("/v1/models/m/metadata")
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "784"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/models/n", None, 404, "Could not find any versions of model n"),
        ("/v1/models/m/versions/2", None, 404, "Could not find version 2 of model m"),
        ("/v1/models/m/labels/new", None, 400, "Unrecognized servable version label: new"),
        ("/v1/models", None, 400, "Missing model name"),
        ("/v1/nothing", None, 400, "Malformed request: GET /v1/nothing"),
        ("/nothing", None, 404, "Nothing is at /nothing"),
        ("/v1/models/n:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(n)"),
        ("/v1/models/m/versions/9:predict", {"inputs": 1}, 404, "Specific(m, 9)"),
        ("/v1/models/m:destroy", {}, 400, "Malformed request: POST"),
        ("/v1/models/m:predict", b"", 400, "The document is empty"),
        ("/v1/models/m:predict", b"{", 400, "JSON Parse error"),
        ("/v1/models/m:predict", b"[" * 100_000, 400, "JSON Parse error"),
        ("/v1/models/m:predict", {"signature_name": "s", "inputs": 1}, 400, '"s" not found in signature def'),
        ("/v1/models/m:predict", {"instances": [[0.5] * 783]}, 400, "Matrix size-incompatible"),
        ("/v1/models/m:classify", {"examples": [{"a": 1}]}, 400, "No classification inputs found"),
    ],
)
def test_refusals_are_tensorflow_servings(served, path, body, status, said):
    found, answer = served.ask_json(path, body)
    assert found == status
    assert list(answer) == ["error"]
    assert said in answer["error"]


def test_a_larger_request_is_refused(served):
    status, answer = served.ask_json("/v1/models/m:predict", b" " * (1 << 20) + b"{}")  # 2 bytes too many
    assert status == 413
    assert "1048576 bytes" in answer["error"]
    assert served.ask("/v1/models/m")[0] == 200


def test_texts_and_bytes(texts):
    asked = {"signature_name": "raw", "instances": ["é", {"b64": "YWI="}]}
    status, answer = texts.ask_json("/v1/models/texts/versions/7:predict", asked)
    assert status == 200
    assert answer["predictions"] == [
        {"text": "é", "text_bytes": {"b64": "w6k="}, "long": 2},
        {"text": "ab", "text_bytes": {"b64": "YWI="}, "long": 2},
    ]
    asked["instances"] = [{"b64": "/w=="}]
    status, answer = texts.ask_json("/v1/models/texts:predict", asked)
    assert status == 400
    assert "a name that ends in _bytes" in answer["error"]


def test_an_input_with_a_default_may_be_left_out(texts):
    for given, wanted in (({"text": [b"a"]}, [b"a!"]), ({"text": [b"a"], "end": [b"?"]}, [b"a?"])):
        inputs = {key: np.array(value, dtype=object) for key, value in given.items()}
        request = make_predict_request("joined", inputs)
        status, data = texts.ask("/", request.SerializeToString())
        assert status == 200
        assert decode_arrays(PredictResponse.FromString(data).outputs)["joined"].tolist() == wanted
    status, data = texts.ask("/", make_predict_request("joined", {"end": inputs["end"]}).SerializeToString())
    assert status == 400
    assert b"text" in data


def test_a_type_that_json_has_no_form_for(texts):
    status, answer = texts.ask_json("/v1/models/texts:predict", {"signature_name": "half", "inputs": ["a"]})
    assert status == 400
    assert "Failed to write JSON value for tensor type: half" in answer["error"]


def test_classify_and_regress(texts):
    context, one = {"user": "u"}, {"age": 3, "words": ["a", "b"], "weight": 0.5}
    wanted = Example()
    wanted.features.feature["user"].bytes_list.value.append(b"u")
    own = Example()
    own.features.feature["age"].int64_list.value.append(3)
    own.features.feature["words"].bytes_list.value.extend([b"a", b"b"])
    own.features.feature["weight"].float_list.value.append(0.5)
    sizes = [float(wanted.ByteSize() + example.ByteSize()) for example in (own, Example())]
    asked = {"context": context, "examples": [one, {}]}
    status, answer = texts.ask_json("/v1/models/texts:regress", asked | {"signature_name": "lengths"})
    assert (status, answer) == (200, {"results": sizes})
    status, answer = texts.ask_json("/v1/models/texts:classify", asked)
    assert status == 200
    ((label, score),), ((_, second),) = answer["results"]
    assert [score, second] == sizes
    for word in ("user", "words", "weight"):
        assert word in label


def test_a_crash_is_an_error_of_its_request_only(serve, simple, golden, check_close):
    x, y = golden
    with serve(simple.source, processes=1) as running:
        pool = running.server.model.current.pool
        (process,) = pool._processes
        os.kill(process._popen.pid, signal.SIGSTOP)
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(running.ask_json("/v1/models/m:predict", {"inputs": x.tolist()}))
        )
        asking.start()
        while pool._free.qsize():
            time.sleep(0.01)
        time.sleep(0.2)  # until the request is in the process
        os.kill(process._popen.pid, signal.SIGSEGV)
        os.kill(process._popen.pid, signal.SIGCONT)
        asking.join()
        ((status, answer),) = answers
        assert status == 503
        assert "SIGSEGV" in answer["error"]
        status, answer = running.ask_json("/v1/models/m:predict", {"inputs": x.tolist()})
        assert status == 200
        check_close(answer["outputs"], y)
        assert pool.restarts == 1
        # One that dies while nobody asks is replaced without an error.
        (process,) = pool._processes
        os.kill(process._popen.pid, signal.SIGKILL)
        process.wait_for_end(10)
        assert running.ask("/v1/models/m:predict", {"inputs": x.tolist()})[0] == 200


def test_older_runtime(serve, simple, golden, check_close, old_runtime):
    x, y = golden
    with serve(simple.source, library=old_runtime("2.7").library) as running:
        assert any("TensorFlow 2.7" in told for told in running.told)
        status, answer = running.ask_json("/v1/models/m:predict", {"instances": x.tolist()})
        assert status == 200
        check_close(answer["predictions"], y)
        data = running.ask("/", make_predict_request("", {"x": x}).SerializeToString())[1]
        check_close(decode_arrays(PredictResponse.FromString(data).outputs)["y"], y)


def test_taken_port_and_missing_folder(served, serve, simple, tmp_path):
    with (
        pytest.raises(SettingsError, match="cannot listen"),
        serve(simple.source, port=served.server.port),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="cannot listen"),
        serve(simple.source, grpc_port=served.server.grpc_port),
    ):
        pass
    with pytest.raises(UnknownSourceError), serve(tmp_path / "none"):
        pass


def test_no_process_is_left_behind(serve, simple):
    def list_children():
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.add(int(folder.name))
        return found

    before = list_children()
    with serve(simple.source, processes=3) as running:
        assert running.ask("/v1/models/m")[0] == 200
        assert list_children() > before
    assert list_children() <= before


def test_many_clients_at_once(served, golden, check_close):
    x, y = golden
    faults = []

    def ask(scale):
        for _ in range(10):
            rows = np.roll(x, scale, axis=0)
            status, answer = served.ask_json("/v1/models/m:predict", {"instances": rows.tolist()})
            try:
                assert status == 200
                check_close(answer["predictions"], np.roll(y, scale, axis=0))
            except AssertionError as error:
                faults.append(error)

    clients = [threading.Thread(target=ask, args=(scale,)) for scale in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not faults
