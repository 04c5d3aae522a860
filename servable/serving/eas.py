"""PAI-EAS's interface of a TensorFlow processor: one address, POST to predict, GET for the signature.

What passes through: bytes of its messages come in and go out. It names no model and no version. Which
signature EAS itself takes or tells of, where a model has several, is not documented: here it is
`serving_default`, else the first by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from servable.errors import CheckError
from servable.formats.eas_messages import (
    PredictRequest,
    decode_arrays,
    make_predict_response,
    read_message,
)
from servable.serving.loaded import LoadedVersion
from servable.serving.predicting import predict
from servable.serving.rest import Answer
from servable.serving.served_model import ModelChoice, ServedModel
from servable.serving.statuses import Code, StatusError
from servable.signature import DEFAULT_SIGNATURE, TensorSpec

# TensorFlow's long names (DataType) where they are not ours in capitals.
_TYPE_NAMES: Final = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}
_PATH: Final = re.compile(r"/|/api/predict/(?P<name>[^/]+)/?")


def read_eas_path(path: str) -> str | None:
    """Gives the service's name in a path, "" for the bare address; None when it is not EAS's."""
    found = _PATH.fullmatch(path)
    return None if found is None else found["name"] or ""


def answer_eas(model: ServedModel, method: str, name: str, *, body: bytes) -> Answer:
    """Answers a request as a TensorFlow processor does.

    Args:
        model: Who answers.
        method: Of HTTP: "GET" or "POST".
        name: Of the service; "" for whichever there is.
        body: A PredictRequest, for POST.

    Returns:
        A PredictResponse, the signature as JSON, or the reason why not as plain text.
    """
    try:
        with model.use(ModelChoice(name)) as version:
            if method == "GET":
                return Answer(200, _describe_signature(version).encode())
            return Answer(200, _predict(version, body), "application/octet-stream")
    except StatusError as error:
        return Answer(error.http_status, error.message.encode(), "text/plain; charset=utf-8")


def _predict(version: LoadedVersion, body: bytes) -> bytes:
    try:
        request = read_message(PredictRequest, body)
        inputs = decode_arrays(request.inputs)
    except (CheckError, ValueError) as error:  # numpy's own for sizes that no array has
        raise StatusError(Code.INVALID_ARGUMENT, str(error)) from error
    name = request.signature_name or _choose_signature(version)
    outputs = predict(version, name, inputs=inputs, output_filter=request.output_filter)
    try:
        data: bytes = make_predict_response(outputs).SerializeToString(deterministic=True)
    except CheckError as error:
        raise StatusError(Code.INTERNAL, str(error)) from error
    return data


def _describe_signature(version: LoadedVersion) -> str:
    name = _choose_signature(version)
    if name not in version.signatures:
        raise StatusError(Code.NOT_FOUND, "the model has no signature")
    signature = version.signatures[name]
    facts = {
        "signature_name": name,
        "inputs": _describe_ends(signature.inputs),
        "outputs": _describe_ends(signature.outputs),
    }
    return json.dumps(facts) + "\n"


def _describe_ends(ends: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
    return [
        {
            "name": key,
            "shape": [-1 if size is None else size for size in spec.shape or ()],
            "type": f"DT_{_TYPE_NAMES.get(spec.dtype, spec.dtype.upper())}",
        }
        for key, spec in ends.items()
    ]


def _choose_signature(version: LoadedVersion) -> str:
    if DEFAULT_SIGNATURE in version.signatures:
        return DEFAULT_SIGNATURE
    return min(version.signatures, default=DEFAULT_SIGNATURE)
