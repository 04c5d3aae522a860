"""Clients of a served model, and the C API without one: each call timed, as a process that prints JSON.

What passes through: an address, or a SavedModel for no server at all, comes in; the times of calls go out.
Each client is a process of its own, so that none waits for another's interpreter.

    python -m benchmarks.serving_calls direct digits/1 --rows 1 --seconds 3
    python -m benchmarks.serving_calls rest http://127.0.0.1:8501/v1/models/digits --rows 1 --seconds 3
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

WARM_UP_CALLS = 20


def make_direct_call(place: str, image: np.ndarray) -> Callable[[], object]:
    """Loads a SavedModel into this very process, and calls `TF_SessionRun`."""
    from servable.deploy.requests.inputs import read_served_signatures
    from servable.runtime.child.model import Model
    from servable.runtime.installed import find_library
    from servable.runtime.tensors import pack_array

    signature = read_served_signatures(Path(place))["serving_default"]
    (spec,) = signature.inputs.values()
    model = Model({"library": str(find_library()), "saved_model_dir": place, "tags": ["serve"], "threads": 0})
    head, body = pack_array(spec.tensor, image)
    request = {
        "feeds": [head],
        "fetches": [output.tensor for output in signature.outputs.values()],
        "reply_bytes": 1 << 30,
    }
    return lambda: model.run(request, memoryview(bytearray(body)))


def make_http_call(url: str, body: bytes) -> Callable[[], object]:
    """Sends a body again and again over one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)

    def call() -> bytes:
        connection.request("POST", parts.path, body)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{url} answers {answer.status}: {data[:200]!r}")
        return data

    return call


def make_grpc_call(address: str, name: str, key: str, *, image: np.ndarray) -> Callable[[], object]:
    """Sends a PredictRequest again and again over one channel, written as TensorFlow's own clients do."""
    import grpc

    from servable.deploy.predict_requests import make_request
    from servable.signature import Signature, TensorSpec

    signature = Signature("", {key: TensorSpec("float32", None)}, {})
    request = make_request(signature, {key: image}).predict_log.request
    request.model_spec.name = name
    data = request.SerializeToString()
    call = grpc.insecure_channel(address).unary_unary("/tensorflow.serving.PredictionService/Predict")
    return lambda: call(data, timeout=60)


def time_calls(call: Callable[[], object], seconds: float) -> list[float]:
    """Calls for some seconds, after a few calls that do not count; gives the time of each in s."""
    for _ in range(WARM_UP_CALLS):
        call()
    times_s = []
    end_s = time.perf_counter() + seconds
    while (started_s := time.perf_counter()) < end_s:
        call()
        times_s.append(time.perf_counter() - started_s)
    return times_s


def choose_call(options: argparse.Namespace) -> Callable[[], object]:
    """Makes the call that the command line asks for."""
    image = np.random.default_rng(0).random((options.rows, options.width), np.float32)
    if options.how == "direct":
        return make_direct_call(options.place, image)
    if options.how == "rest":
        body = json.dumps({"instances": image.tolist()}).encode()
        return make_http_call(f"{options.place}:predict", body)
    if options.how == "eas":
        from servable.formats.eas_messages import make_predict_request

        request = make_predict_request("", {options.key: image})
        return make_http_call(options.place, request.SerializeToString())
    return make_grpc_call(options.place, options.name, options.key, image=image)


def main() -> int:
    """Times calls from the command line and prints them as JSON: a list of s."""
    parser = argparse.ArgumentParser(description="Time calls of a model.")
    parser.add_argument("how", choices=("direct", "rest", "eas", "grpc"))
    parser.add_argument("place", help="SavedModel, URL or address")
    parser.add_argument("--name", default="model", help="of the model, for gRPC")
    parser.add_argument("--key", default="x", help="of its only input")
    parser.add_argument("--width", type=int, default=784, help="of its rows")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    options: Any = parser.parse_args()
    times_s = time_calls(choose_call(options), options.seconds)
    print(json.dumps(times_s), flush=True)
    # TensorFlow's own tear-down has nothing left to say.
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
