"""Bodies of REST requests, read: tensors in row form or by column.

What passes through: JSON text comes in, arrays by input key go out, of the types that the signature has. The
rules and words are those of tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from servable.formats.dtypes import MAX_RANK
from servable.formats.json_tensors import JSON_DTYPES
from servable.serving.statuses import Code, StatusError, refuse_argument
from servable.signature import Signature, TensorSpec

_SHOWN_CHARS: Final = 256
# TensorFlow's short names (DataTypeString) where they are not ours.
_TYPE_WORDS: Final = {"float32": "float", "float64": "double", "float16": "half"}
_JSON_WORDS: Final = {dict: "Object", list: "Array", str: "String", bool: "Bool", type(None): "Null"}


@dataclass(frozen=True, slots=True)
class JsonRequest:
    """A Predict request's body.

    Attributes:
        signature_name: "" for the default.
        document: The whole object.
    """

    signature_name: str
    document: Mapping[str, Any]

    @property
    def is_by_row(self) -> bool:
        """Whether the answer is to be by row as well."""
        return "instances" in self.document


def read_document(body: bytes) -> JsonRequest:
    """Reads the JSON of a request.

    Raises:
        StatusError: It is no JSON object, or its signature's name is no text.
    """
    if not body:
        raise refuse_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise _refuse_value(document, "Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _refuse_value(document, "not formatted correctly. 'signature_name' key must be a string value.")
    return JsonRequest(name, document)


def read_inputs(request: JsonRequest, signature: Signature) -> dict[str, np.ndarray]:
    """Takes the tensors out of a request.

    Returns:
        Arrays by input key; strings as object arrays of bytes.

    Raises:
        StatusError: They are not what the signature takes, in number, form or type.
    """
    document = request.document
    if not signature.inputs:
        raise refuse_argument(f"Failed to get input map for signature: {signature.name}")
    if "instances" in document and "inputs" in document:
        raise _refuse_value(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if "instances" in document:
        return _read_rows(document, signature.inputs)
    if "inputs" in document:
        return _read_columns(document["inputs"], signature.inputs)
    raise _refuse_value(document, "Missing 'inputs' or 'instances' key")


def name_type(dtype: str) -> str:
    """Names a type as TensorFlow's messages do."""
    return _TYPE_WORDS.get(dtype, dtype)


def _read_rows(document: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise _refuse_value(document, "Expecting 'instances' to be an list/array")
    if not rows:
        raise _refuse_value(document, "No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise refuse_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    has_keys = _is_object(rows[0])
    for at, row in enumerate(rows):
        if _is_object(row) != has_keys:
            words = ("object but got list", "value/list but got object")[not has_keys]
            raise refuse_argument(f"Expecting {words} at item {at} of input list")
        if has_keys and row.keys() != specs.keys():
            raise refuse_argument(
                f"Failed to process element: {at} of 'instances' list. JSON object: {_show(row)} "
                f"keys must be equal to: {','.join(sorted(specs))}"
            )
    if not has_keys:
        (key,) = specs
        return {key: _read_row_tensor(rows, specs[key], "")}
    return {key: _read_row_tensor([row[key] for row in rows], spec, key) for key, spec in specs.items()}


def _read_row_tensor(rows: list[Any], spec: TensorSpec, key: str) -> np.ndarray:
    try:
        return _read_tensor(rows, spec)
    except StatusError:
        # Once more, one by one, to say which of them it is.
        shapes = []
        for at, row in enumerate(rows):
            at_key = f" key: {key}" if key else ""
            where = f"Failed to process element: {at}{at_key} of 'instances' list. Error: "
            try:
                shapes.append(list(_read_tensor(row, spec).shape))
            except StatusError as error:
                raise StatusError(error.code, f"{where}{error.message}") from error
            if shapes[-1] != shapes[0]:
                wanted, got = (str(shape).replace(" ", "") for shape in (shapes[0], shapes[-1]))
                raise refuse_argument(f"{where}Expecting shape {wanted} but got: {got}") from None
        raise


def _read_columns(value: Any, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not _is_object(value):
        if len(specs) > 1:
            raise refuse_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        ((key, spec),) = specs.items()
        return {key: _read_tensor(value, spec)}
    missing = sorted(specs.keys() - value.keys())
    if missing:
        raise refuse_argument(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {key: _read_tensor(value[key], spec) for key, spec in specs.items()}


def _read_tensor(value: Any, spec: TensorSpec) -> np.ndarray:
    """Reads nested lists; the first elements tell the shape, and all others must have the same."""
    if spec.dtype not in JSON_DTYPES:
        message = f"Conversion of JSON Value: {_show(value)} to type: {name_type(spec.dtype)}"
        raise StatusError(Code.UNIMPLEMENTED, message)
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    if len(shape) > MAX_RANK:
        raise refuse_argument(f"Encountered lists at level: {len(shape)} expected <= {MAX_RANK}")
    flat = [value]
    for depth, size in enumerate(shape):
        for part in flat:
            if not isinstance(part, list):
                raise refuse_argument(
                    f"JSON Value: {_show(part)} found at incorrect level: {depth + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            if len(part) != size:
                raise refuse_argument(
                    f"Encountered list at unexpected size: {len(part)} at level: {depth} "
                    f"expected size: {size}"
                )
        flat = [item for part in flat for item in part]
    if list in set(map(type, flat)):
        raise refuse_argument(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return _make_array(flat, spec.dtype).reshape(shape)


def _make_array(flat: list[Any], dtype: str) -> np.ndarray:
    if dtype == "string":
        texts = np.empty(len(flat), dtype=object)
        texts[:] = [_read_text(item) for item in flat]
        return texts
    number_kinds: dict[str, set[type]] = {"b": {bool}, "f": {int, float}}
    kinds = number_kinds.get(np.dtype(dtype).kind, {int})
    if not set(map(type, flat)) <= kinds:
        raise _refuse_type(next(item for item in flat if type(item) not in kinds), dtype)
    if kinds == {int} and flat:
        bounds = np.iinfo(dtype)
        for item in (min(flat), max(flat)):
            if not bounds.min <= item <= bounds.max:
                raise _refuse_type(item, dtype)
    try:
        with np.errstate(over="ignore"):  # a number too large for its type is infinite, as in C
            return np.array(flat, dtype=dtype)
    except OverflowError as error:
        raise refuse_argument(f"JSON Parse error: Number too big to be stored in double. {error}") from error


def _read_text(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if isinstance(item, dict):
        return read_base64(item)
    raise _refuse_type(item, "string")


def read_base64(item: Any) -> bytes:
    """Reads ``{"b64": "..."}``.

    Raises:
        StatusError: It is something else.
    """
    if not _is_base64(item):
        raise _refuse_value(item, "not formatted correctly for base64 data")
    try:
        # Without the "=" at the end it is taken too.
        text = item["b64"].rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise refuse_argument("Unable to base64 decode") from error


def _is_base64(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and isinstance(item.get("b64"), str)


def _is_object(item: Any) -> bool:
    return isinstance(item, dict) and not _is_base64(item)


def _refuse_type(item: Any, dtype: str) -> StatusError:
    kind = _JSON_WORDS.get(type(item), "Number")
    return refuse_argument(
        f"JSON Value: {_show(item)} Type: {kind} is not of expected type: {name_type(dtype)}"
    )


def _refuse_value(value: Any, words: str) -> StatusError:
    return refuse_argument(f"JSON Value: {_show(value)} {words}")


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS]
