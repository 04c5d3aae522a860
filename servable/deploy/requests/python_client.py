"""Clients in Python: of TensorFlow Serving's gRPC interface with its own stubs, and of PAI-EAS.

What passes through: a signature and arrays come in, the text of a program goes out; whatever the maker of the
model or the user chose stands in it as a literal.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

import numpy as np

from servable.deploy.requests.example import Destination
from servable.signature import Signature

_GRPC_SERVER: Final = "localhost:8500"
_MAX_LITERALS: Final = 64
_LINE_CHARS: Final = 96
_GRPC_HEAD: Final = """\
import base64
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

"""
_GRPC_TAIL: Final = """\

with grpc.insecure_channel({server}) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=10.0)
for key in sorted(response.outputs):
    print(key, tf.make_ndarray(response.outputs[key]))
"""
_EAS_PROGRAM: Final = """\
import base64
import os
import urllib.request

from servable.formats.eas_messages import PredictResponse, decode_arrays, read_message

body = base64.b64decode(
{body}
)
url = {url}
headers = {{"Authorization": os.environ.get("EAS_TOKEN", "")}}
with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5.0) as answer:
    outputs = decode_arrays(read_message(PredictResponse, answer.read()).outputs)
for key in sorted(outputs):
    print(key, outputs[key])
"""


def write_grpc_client(
    destination: Destination, signature: Signature, inputs: Mapping[str, np.ndarray]
) -> str:
    """Writes a client that needs the package tensorflow-serving-api.

    Args:
        destination: Where to; with a file, the program sends what is in it.
        signature: Whom it asks.
        inputs: Arrays by serving key; strings as object arrays of bytes.
    """
    if destination.body_path:
        path = repr(destination.body_path)
        lines = [f"request = predict_pb2.PredictRequest.FromString(Path({path}).read_bytes())"]
    else:
        lines = [
            "request = predict_pb2.PredictRequest()",
            f"request.model_spec.name = {destination.model_name!r}",
            f"request.model_spec.signature_name = {signature.name!r}",
        ]
        for key, array in inputs.items():
            values = _write_array(array, signature.inputs[key].dtype)
            lines.append(f"request.inputs[{key!r}].CopyFrom({values})")
    server = destination.url.removeprefix("grpc://") or _GRPC_SERVER
    head = "".join(
        line
        for line in _GRPC_HEAD.splitlines(keepends=True)
        if not (line.startswith("import base64") and "base64." not in "".join(lines))
        and not (line.startswith("from pathlib") and "Path(" not in "".join(lines))
        and not (line.startswith("import numpy") and "np." not in "".join(lines))
    )
    return head.lstrip() + "\n".join(lines) + "\n" + _GRPC_TAIL.format(server=repr(server))


def write_eas_client(destination: Destination, body: bytes) -> str:
    """Writes a client that needs nothing but this package.

    Args:
        destination: Where to; EAS_URL of the environment when it names no address.
        body: What it sends.
    """
    url = repr(destination.url) if destination.url else 'os.environ["EAS_URL"]'
    return _EAS_PROGRAM.format(body=_write_base64(body, indent="    "), url=url)


def _write_array(array: np.ndarray, dtype: str) -> str:
    shape = list(array.shape)
    if dtype == "string":
        return f"tf.make_tensor_proto({array.tolist()!r}, dtype=tf.string, shape={shape})"
    has_literals = array.size <= _MAX_LITERALS and array.dtype.isbuiltin and array.dtype.kind in "biuf"
    if has_literals and np.isfinite(array).all():
        return f"tf.make_tensor_proto({array.tolist()!r}, dtype=tf.{dtype}, shape={shape})"
    data = _write_base64(np.ascontiguousarray(array).tobytes(), indent="        ")
    numpy_type = f"tf.{dtype}.as_numpy_dtype"
    return (
        "tf.make_tensor_proto(\n"
        f"    np.frombuffer(base64.b64decode(\n{data}\n    ), {numpy_type}).reshape({shape}),\n"
        f"    dtype=tf.{dtype},\n)"
    )


def _write_base64(data: bytes, *, indent: str) -> str:
    """Writes bytes as literals of one line each, which Python joins."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + _LINE_CHARS] for at in range(0, len(text), _LINE_CHARS)] or [""]
    return "\n".join(f'{indent}"{line}"' for line in lines)
