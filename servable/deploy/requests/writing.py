"""The folder's door: a signature, values and a destination become a request that can be sent.

What passes through: values come in, a `RequestExample` goes out; where the platform has no form for a type,
the example says so instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from servable.deploy.predict_requests import make_request
from servable.deploy.requests.example import Destination, NoRequestError, Platform, RequestExample
from servable.deploy.requests.inputs import RequestValues
from servable.deploy.requests.python_client import write_eas_client, write_grpc_client
from servable.deploy.requests.rest import write_rest_body
from servable.deploy.requests.shell import write_curl, write_eas_curl
from servable.errors import CheckError
from servable.formats.eas_messages import EAS_DTYPES, make_predict_request
from servable.signature import Signature


def write_request(signature: Signature, values: RequestValues, destination: Destination) -> RequestExample:
    """Writes a request.

    Args:
        signature: Whom it asks.
        values: What it sends.
        destination: Where to.

    Returns:
        The request. One without a command says in its notes why there is none.

    Example:
        >>> signature = read_served_signatures(Path("digits/1"))["serving_default"]
        >>> values = choose_values(signature, {}, baseline=None, rows=1)
        >>> destination = Destination(Platform.TF_SERVING_REST, "digits")
        >>> print(write_request(signature, values, destination).command)
    """
    try:
        command, language, body, notes = _WRITERS[destination.platform](signature, values.inputs, destination)
    except (NoRequestError, CheckError) as error:
        return RequestExample(signature.name, destination.platform, "", "", b"", (str(error),))
    every_note = (*values.notes, *notes)
    return RequestExample(signature.name, destination.platform, command, language, body, every_note)


_Written = tuple[str, str, bytes, list[str]]


def _write_json(signature: Signature, inputs: Mapping[str, np.ndarray], destination: Destination) -> _Written:
    method, body, notes = write_rest_body(signature, inputs)
    command, more = write_curl(destination, method, body)
    return command, "shell", body.encode(), [*notes, *more]


def _write_grpc(signature: Signature, inputs: Mapping[str, np.ndarray], destination: Destination) -> _Written:
    request = make_request(signature, inputs).predict_log.request
    request.model_spec.name = destination.model_name
    body = request.SerializeToString(deterministic=True)
    command = write_grpc_client(destination, signature, inputs)
    return command, "python", body, ["It needs the package tensorflow-serving-api."]


def _write_eas(signature: Signature, inputs: Mapping[str, np.ndarray], destination: Destination) -> _Written:
    fit = [key for key, spec in signature.outputs.items() if spec.dtype in EAS_DTYPES]
    left_out = sorted(signature.outputs.keys() - set(fit))
    if not fit:
        raise NoRequestError(
            f"PAI-EAS's messages have no place for the type of output {', '.join(left_out)}."
        )
    request = make_predict_request(signature.name, inputs, output_filter=fit if left_out else ())
    body: bytes = request.SerializeToString(deterministic=True)
    notes = []
    if left_out:
        notes.append(
            f"Output {', '.join(left_out)} is left out: PAI-EAS's messages have no place for its type."
        )
    if destination.body_path:
        command, more = write_eas_curl(destination)
        return command, "shell", body, [*notes, *more]
    if not destination.url:
        notes.append("EAS_URL is the service's address, EAS_TOKEN its token.")
    return write_eas_client(destination, body), "python", body, notes


_WRITERS = {
    Platform.EAS: _write_eas,
    Platform.TF_SERVING_REST: _write_json,
    Platform.TF_SERVING_GRPC: _write_grpc,
    Platform.KSERVE: _write_json,
}
