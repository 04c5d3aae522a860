"""Tensors as JSON text, as TensorFlow Serving's REST interface has them.

What passes through: arrays come in, JSON text goes out; requests, answers and examples of requests all have
this form. The rules are those of tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

# Types that JSON carries there; there is no form for any other.
JSON_DTYPES: Final = frozenset(
    {"bool", "string", "float32", "float64"}
    | {"int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"}
)
# Texts of an output are written in base64 if its name ends so. Inputs may be written so under any name.
BYTES_SUFFIX: Final = "_bytes"


def write_tensor(array: np.ndarray, *, as_base64: bool = False) -> str:
    """Writes an array as nested lists, or as one value when it has no axes.

    Args:
        array: Of a type in `JSON_DTYPES`; strings as object arrays of bytes or str.
        as_base64: Whether texts become ``{"b64": "..."}``.

    Raises:
        ValueError: The type has no form in JSON, or bytes are no text.
    """
    return json.dumps(_list_values(array, as_base64=as_base64))


def write_rows(array: np.ndarray, *, as_base64: bool = False) -> list[str]:
    """Writes each element of the first axis by itself.

    Raises:
        ValueError: The type has no form in JSON, bytes are no text, or there is no axis.
    """
    if not array.ndim:
        raise ValueError("there is no first axis")
    return [json.dumps(row) for row in _list_values(array, as_base64=as_base64)]


def list_texts(texts: Iterable[bytes | str], *, as_base64: bool) -> list[Any]:
    """Gives texts as JSON values.

    Raises:
        UnicodeDecodeError: Bytes are no text in UTF-8, and base64 is not wanted.
    """
    if as_base64:
        data = (text.encode() if isinstance(text, str) else bytes(text) for text in texts)
        return [{"b64": base64.b64encode(one).decode()} for one in data]
    return [text if isinstance(text, str) else bytes(text).decode("utf-8") for text in texts]


def is_text(texts: Iterable[bytes | str]) -> bool:
    """Says whether all texts can be written without base64."""
    try:
        list_texts(texts, as_base64=False)
    except UnicodeDecodeError:
        return False
    return True


def _list_values(array: np.ndarray, *, as_base64: bool) -> Any:
    """Gives nested lists of JSON values, or one value."""
    if array.dtype.kind in "OSU":
        values = np.empty(array.size, dtype=object)
        values[:] = list_texts(array.ravel().tolist(), as_base64=as_base64)
        return values.reshape(array.shape).tolist()
    if array.dtype.name not in JSON_DTYPES:
        raise ValueError(f"JSON has no form for {array.dtype.name}")
    return (_shorten(array) if array.dtype == np.float32 else array).tolist()


def _shorten(array: np.ndarray) -> np.ndarray:
    """Finds doubles with short texts that are the same floats: 0.1, and not 0.10000000149011612."""
    wide = array.astype(np.float64)
    short = wide.copy()
    with np.errstate(all="ignore"):
        exponents = np.floor(np.log10(np.abs(wide)))
        left = np.isfinite(exponents)  # neither 0 nor infinite
        for digits in (7, 8, 9):  # nine tell all floats apart
            places = digits - 1 - exponents
            scale = 10.0 ** np.abs(places)
            rounded = np.where(places < 0, np.rint(wide / scale) * scale, np.rint(wide * scale) / scale)
            fits = left & (rounded.astype(np.float32) == array)
            short[fits] = rounded[fits]
            left &= ~fits
    return short
