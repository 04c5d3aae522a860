"""Bodies of REST answers, written: predictions by row or column, classes, states, metadata, refusals.

What passes through: arrays and values come in, JSON text goes out, in the form of
tensorflow_serving/util/json_tensor.cc and model_servers/http_rest_api_util.cc.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from google.protobuf.json_format import MessageToDict

from servable.formats.json_tensors import BYTES_SUFFIX, JSON_DTYPES, write_rows, write_tensor
from servable.serving.json_requests import name_type
from servable.serving.loaded import LoadedVersion
from servable.serving.served_model import VersionStatus
from servable.serving.statuses import StatusError, refuse_argument


def write_predictions(outputs: Mapping[str, np.ndarray], *, by_row: bool) -> str:
    """Writes the answer to a Predict request.

    Args:
        outputs: By serving key.
        by_row: Whether the request was so.

    Raises:
        StatusError: A type has no form in JSON, or the outputs have different numbers of rows.
    """
    if not outputs:
        raise refuse_argument("Cannot convert empty tensor map to JSON")
    if not by_row:
        columns = {key: _write_rows(key, array[np.newaxis])[0] for key, array in outputs.items()}
        return f'{{\n    "outputs": {_join(columns)}\n}}'
    sizes = set()
    for key, array in outputs.items():
        if not array.ndim:
            raise refuse_argument(f"Tensor name: {key} has no shape information ")
        sizes.add(len(array))
        if len(sizes) > 1:
            expecting = len(next(iter(outputs.values())))
            raise refuse_argument(
                f"Tensor name: {key} has inconsistent batch size: {len(array)} expecting: {expecting}"
            )
    rows = {key: _write_rows(key, array) for key, array in outputs.items()}
    items = [_join(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
    return f'{{\n    "predictions": [{", ".join(items)}]\n}}'


def write_classes(classes: Iterable[Iterable[tuple[str, float]]]) -> str:
    """Writes the answer to a Classify request."""
    rows = [[f"[{json.dumps(label)}, {_write_number(score)}]" for label, score in row] for row in classes]
    return f'{{\n    "results": [{", ".join("[" + ", ".join(row) + "]" for row in rows)}]\n}}'


def write_values(values: Iterable[float]) -> str:
    """Writes the answer to a Regress request."""
    return f'{{\n    "results": [{", ".join(map(_write_number, values))}]\n}}'


def write_statuses(statuses: Sequence[VersionStatus]) -> str:
    """Writes how versions fare."""
    return _dump(
        {
            "model_version_status": [
                {
                    "version": str(status.number),
                    "state": status.state.name,
                    "status": {"error_code": status.code.name, "error_message": status.message},
                }
                for status in statuses
            ]
        }
    )


def write_metadata(name: str, version: LoadedVersion) -> str:
    """Writes a model's signatures, as protobuf writes such messages in JSON."""
    signatures = MessageToDict(
        version.signature_defs, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    spec = {"name": name, "signature_name": "", "version": str(version.number)}
    return _dump({"model_spec": spec, "metadata": {"signature_def": signatures}})


def write_refusal(error: StatusError) -> str:
    """Writes why there is no answer."""
    return _dump({"error": error.message})


def _write_rows(key: str, array: np.ndarray) -> list[str]:
    if array.dtype != object and array.dtype.name not in JSON_DTYPES:
        raise refuse_argument(
            f"Failed to write JSON value for tensor type: {name_type(array.dtype.name)} ({key})"
        )
    try:
        return write_rows(array, as_base64=key.endswith(BYTES_SUFFIX))
    except UnicodeDecodeError as error:
        # TensorFlow Serving would send the bytes as they are, which is no JSON.
        raise refuse_argument(
            f"Tensor name: {key} has bytes that are no text; JSON carries them as base64, under a name that "
            f"ends in {BYTES_SUFFIX} only"
        ) from error


def _join(parts: Mapping[str, str]) -> str:
    """One output stands without its name."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in parts.items()) + "}"


def _write_number(value: float) -> str:
    return write_tensor(np.array(value, np.float32))


def _dump(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
