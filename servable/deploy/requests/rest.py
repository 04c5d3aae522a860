"""Bodies of requests in JSON, as TensorFlow Serving's REST interface takes them; KServe passes them on to it.

What passes through: a signature and arrays come in, the text of a body goes out. Reading them is the business
of `servable.serving.json_requests`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from servable.deploy.requests.example import NoRequestError
from servable.formats.json_tensors import (
    BYTES_SUFFIX,
    JSON_DTYPES,
    is_text,
    list_texts,
    write_rows,
    write_tensor,
)
from servable.formats.protos import Example
from servable.signature import Signature

_SINGLE_METHODS: Final = frozenset({"classify", "regress"})


def write_rest_body(signature: Signature, inputs: Mapping[str, np.ndarray]) -> tuple[str, str, list[str]]:
    """Writes a body.

    Args:
        signature: Whom it asks.
        inputs: Arrays by serving key; strings as object arrays of bytes.

    Returns:
        The method at the end of the address ("predict", "classify", "regress"), the body, and notes.

    Raises:
        NoRequestError: JSON has no form for a type of the signature.
    """
    _check_types(signature)
    if signature.method in _SINGLE_METHODS and (examples := _read_examples(inputs)) is not None:
        body = {"signature_name": signature.name, "examples": examples}
        return signature.method, json.dumps(body), []
    notes = _note_texts(signature)
    name = json.dumps(signature.name)
    if reason := _find_reason_for_columns(signature, inputs):
        columns = {
            key: write_tensor(array, as_base64=_needs_base64(key, array)) for key, array in inputs.items()
        }
        return "predict", lay_out_columns(signature.name, columns), [*notes, reason]
    rows = {key: write_rows(array, as_base64=_needs_base64(key, array)) for key, array in inputs.items()}
    if len(rows) == 1:
        items = next(iter(rows.values()))
    else:
        items = [_join(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
    lines = ",\n".join(f"    {item}" for item in items)
    return "predict", f'{{\n  "signature_name": {name},\n  "instances": [\n{lines}\n  ]\n}}', notes


def lay_out_columns(name: str, columns: Mapping[str, str]) -> str:
    """Puts a body together whose inputs are written one by one.

    Args:
        name: Of the signature.
        columns: JSON text by input key.
    """
    lines = ",\n".join(f"    {json.dumps(key)}: {text}" for key, text in columns.items())
    return f'{{\n  "signature_name": {json.dumps(name)},\n  "inputs": {{\n{lines}\n  }}\n}}'


def find_missing_types(dtypes: set[str]) -> str:
    """Says which types REST has no form for; "" when it has one for all."""
    missing = sorted(dtypes - JSON_DTYPES)
    return f"REST has no form for {', '.join(missing)}: send it with gRPC." if missing else ""


def _check_types(signature: Signature) -> None:
    if reason := find_missing_types({spec.dtype for spec in signature.inputs.values()}):
        raise NoRequestError(reason)
    outputs = [
        f"{key} ({spec.dtype})" for key, spec in signature.outputs.items() if spec.dtype not in JSON_DTYPES
    ]
    if outputs:
        raise NoRequestError(
            f"REST has no form for the type of output {', '.join(outputs)}, and no way to leave one out: ask "
            "with gRPC."
        )


def _find_reason_for_columns(signature: Signature, inputs: Mapping[str, np.ndarray]) -> str:
    """Says why a request cannot be by row; "" when it can."""
    sizes = {array.shape[:1] for array in inputs.values()}
    if len(sizes) != 1 or () in sizes:
        return 'The inputs have no number of rows in common, so that "inputs" takes the place of "instances".'
    (rows,) = sizes
    if rows == (0,):
        return 'There are no rows, so that "inputs" takes the place of "instances".'
    for key, spec in signature.outputs.items():
        if spec.shape is not None and (not spec.shape or spec.shape[0] not in (None, *rows)):
            return f'Output {key} is not by row, so that "inputs" takes the place of "instances".'
    return ""


def _note_texts(signature: Signature) -> list[str]:
    plain = [
        key
        for key, spec in signature.outputs.items()
        if spec.dtype == "string" and not key.endswith(BYTES_SUFFIX)
    ]
    if not plain:
        return []
    return [
        f"Output {', '.join(plain)} comes as text: bytes that are none would need a name that ends in "
        f"{BYTES_SUFFIX}, for base64."
    ]


def _needs_base64(key: str, array: np.ndarray) -> bool:
    return array.dtype.kind in "OSU" and (key.endswith(BYTES_SUFFIX) or not is_text(array.ravel().tolist()))


def _read_examples(inputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]] | None:
    """Reads serialized tf.Examples as JSON has them; None when they are something else, or empty."""
    (texts,) = inputs.values() if len(inputs) == 1 else (np.empty(0),)
    if texts.dtype != object or texts.ndim != 1 or not texts.size:
        return None
    try:
        messages = [Example.FromString(text) for text in texts.tolist()]
    except DecodeError:
        return None
    if not all(message.features.feature for message in messages):
        return None
    return [
        {name: _read_feature(message.features.feature[name]) for name in sorted(message.features.feature)}
        for message in messages
    ]


def _read_feature(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return []
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        values = list_texts(values, as_base64=not is_text(values))
    return values[0] if len(values) == 1 else values


def _join(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in parts.items()) + "}"
