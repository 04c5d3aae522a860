"""TensorFlow Serving's REST interface: paths and bodies in, status and JSON out.

What passes through: a method, a path and a body come in; an `Answer` goes out. Of HTTP itself there is
nothing here. Paths are those of tensorflow_serving/model_servers/http_rest_api_util.cc.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from servable.serving.json_examples import read_json_examples
from servable.serving.json_replies import (
    write_classes,
    write_metadata,
    write_predictions,
    write_refusal,
    write_statuses,
    write_values,
)
from servable.serving.json_requests import read_document, read_inputs
from servable.serving.predicting import classify, find_signature, predict, regress
from servable.serving.served_model import ModelChoice, ServedModel
from servable.serving.statuses import Code, StatusError, refuse_argument

_CHOICE: Final = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST: Final = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_CHOICE}:(?P<method>classify|regress|predict)", re.ASCII | re.IGNORECASE
)
_GET: Final = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_CHOICE}(?:/(?P<part>metadata))?", re.ASCII | re.IGNORECASE
)
_MAX_VERSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    media_type: str = "application/json"


def answer_rest(model: ServedModel, method: str, path: str, *, body: bytes) -> Answer:
    """Answers a request to a path below /v1.

    Args:
        model: Who answers.
        method: Of HTTP.
        path: Without what escapes of a URL stood for.
        body: JSON, for POST.
    """
    try:
        text = _answer(model, method, path, body)
    except StatusError as error:
        return Answer(error.http_status, write_refusal(error).encode())
    return Answer(200, text.encode())


def _answer(model: ServedModel, method: str, path: str, body: bytes) -> str:
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    found = pattern.fullmatch(path) if pattern is not None else None
    if found is None and not path.lower().startswith("/v1/"):
        raise StatusError(Code.NOT_FOUND, f"Nothing is at {path}: models are below /v1/models")
    if found is None:
        raise refuse_argument(f"Malformed request: {method} {path}")
    if not found["name"]:
        raise refuse_argument("Missing model name in request.")
    version = int(found["version"]) if found["version"] else None
    if version is not None and version > _MAX_VERSION:
        raise refuse_argument(f"Failed to convert version: {version} to numeric.")
    choice = ModelChoice(found["name"], version, found["label"] or "")
    if method == "POST":
        return _answer_post(model, choice, found["method"].lower(), body)
    if found["part"]:
        with model.use(choice) as loaded:
            return write_metadata(model.name, loaded)
    return write_statuses(model.list_statuses(choice))


def _answer_post(model: ServedModel, choice: ModelChoice, method: str, body: bytes) -> str:
    request = read_document(body)
    name = request.signature_name
    with model.use(choice) as loaded:
        if method == "classify":
            return write_classes(classify(loaded, name, read_json_examples(request)))
        if method == "regress":
            return write_values(regress(loaded, name, read_json_examples(request)))
        try:
            signature = find_signature(loaded, name)
        except StatusError as error:
            # The same fault has another code and other words here than in gRPC.
            said = f'Serving signature name: "{name or "serving_default"}" not found in signature def'
            raise StatusError(Code.INVALID_ARGUMENT, said) from error
        outputs = predict(loaded, name, inputs=read_inputs(request, signature))
        return write_predictions(outputs, by_row=request.is_by_row)
