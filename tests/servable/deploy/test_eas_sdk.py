"""Our bytes and the vendor's own SDK: each reads what the other wrote.

The SDK is under the GPL and wants a protobuf of 2022, so that it can't share an environment with this
project. It is installed into one of its own, once for each run, when SERVABLE_VENDOR_CLIENTS=1 is set; that
takes one or two minutes and a package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import venv

import numpy as np
import pytest

from servable.deploy.packing import pack_servable
from servable.deploy.platforms import Platform
from servable.formats.eas_messages import (
    PredictRequest,
    PredictResponse,
    decode_arrays,
    make_predict_request,
    make_predict_response,
)

pytestmark = pytest.mark.skipif(
    os.environ.get("SERVABLE_VENDOR_CLIENTS") != "1",
    reason="installs the vendor's SDK into an environment of its own; set SERVABLE_VENDOR_CLIENTS=1",
)

ARRAYS = {
    "float": np.array([[0.5, -1.25], [3e38, 0]], np.float32),
    "double": np.array([1e300, -0.0]),
    "int8": np.array([-128, 127], np.int8),
    "int16": np.array([-(2**15)], np.int16),
    "int32": np.array([[-(2**31)], [2**31 - 1]], np.int32),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.array([0, 255], np.uint8),
    "uint16": np.array([65535], np.uint16),
    "bool": np.array([True, False]),
    "string": np.array([b"a\0b", "ü".encode()], object),
}
TYPES = {"float": "FLOAT", "double": "DOUBLE", "bool": "BOOL", "string": "STRING"}
TYPES |= {name: name.upper() for name in ("int8", "int16", "int32", "int64", "uint8", "uint16")}

# Runs in the SDK's environment: reads a request, writes it again with the SDK's own words, reads an answer.
SCRIPT = """
import base64, json, sys
from eas_prediction import tf_request
from eas_prediction import tf_request_pb2 as pb

given = json.load(sys.stdin)
theirs = pb.PredictRequest.FromString(base64.b64decode(given["request"]))
request = tf_request.TFRequest("own")
request.set_signature_name(theirs.signature_name)
for key, (name, shape, values) in given["arrays"].items():
    if name == "STRING":
        values = [base64.b64decode(value) for value in values]
    request.add_feed(key, shape, getattr(request, "DT_" + name), values)
for key in theirs.output_filter:
    request.add_fetch(key)
response = tf_request.TFResponse(base64.b64decode(given["response"]))
print(json.dumps({
    "signature": theirs.signature_name,
    "inputs": sorted(theirs.inputs),
    "same": pb.PredictRequest.FromString(request.request_data.SerializeToString()) == theirs,
    "ours_again": base64.b64encode(theirs.SerializeToString(deterministic=True)).decode(),
    "request": base64.b64encode(request.request_data.SerializeToString()).decode(),
    "shape": list(response.get_tensor_shape("y")),
    "values": list(response.get_values("y")),
    "warm_up": {key: list(value.array_shape.dim) for key, value in
                pb.PredictRequest.FromString(base64.b64decode(given["warm_up"])).inputs.items()},
}))
"""


@pytest.fixture(scope="module")
def ask_sdk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eas_sdk")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "eas-prediction==0.36"]
    done = subprocess.run(install, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the SDK cannot be installed: {done.stderr.strip()[-300:]}")

    def ask(given):
        words = [python, "-W", "ignore", "-c", SCRIPT]
        done = subprocess.run(words, check=False, input=json.dumps(given), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_bytes_go_there_and_back(ask_sdk, model, report, baseline, tmp_path):
    from base64 import b64decode, b64encode

    request = make_predict_request("predict_images", ARRAYS, output_filter=["y", "z"])
    response = make_predict_response({"y": np.array([[0.5, 2.0]], np.float32)})
    made = pack_servable(
        model, tmp_path / "pack", report=report, platforms=[Platform.EAS], name="d", baseline=baseline
    )
    values = {
        key: [b64encode(item).decode() for item in array] if key == "string" else array.ravel().tolist()
        for key, array in ARRAYS.items()
    }
    answer = ask_sdk(
        {
            "request": b64encode(request.SerializeToString()).decode(),
            "response": b64encode(response.SerializeToString()).decode(),
            "warm_up": b64encode((made.pack_dir / "eas" / "warm_up.bin").read_bytes()).decode(),
            "arrays": {key: [TYPES[key], list(ARRAYS[key].shape), values[key]] for key in ARRAYS},
        }
    )
    assert answer["signature"] == "predict_images"
    assert answer["inputs"] == sorted(ARRAYS)
    # The SDK makes of the same values the same message, and writes ours again to the byte.
    assert answer["same"] is True
    assert b64decode(answer["ours_again"]) == request.SerializeToString(deterministic=True)
    theirs = PredictRequest.FromString(b64decode(answer["request"]))
    for key, array in decode_arrays(theirs.inputs).items():
        np.testing.assert_array_equal(array, ARRAYS[key])
        assert array.dtype == ARRAYS[key].dtype
    assert (answer["shape"], answer["values"]) == ([1, 2], [0.5, 2.0])
    assert answer["warm_up"] == {"x": [1, 784]}
    assert PredictResponse.FromString(response.SerializeToString()) == response
