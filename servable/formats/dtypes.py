"""TensorFlow's types of tensors in numpy's terms.

What passes through: names of types and raw bytes come in, sizes and arrays go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

# Bytes of one value of each type whose values all have the same size. 4-bit integers take a whole byte.
ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"bool": 1, "int4": 1, "uint4": 1, "int8": 1, "uint8": 1, "qint8": 1, "quint8": 1}
    | {"float8_e5m2": 1, "float8_e4m3fn": 1}
    | {"int16": 2, "uint16": 2, "qint16": 2, "quint16": 2, "float16": 2, "bfloat16": 2}
    | {"int32": 4, "uint32": 4, "qint32": 4, "float32": 4}
    | {"int64": 8, "uint64": 8, "float64": 8, "complex64": 8, "complex128": 16}
)

# What numpy can hold. TensorFlow allows more axes (254), which no variable has.
MAX_RANK: Final = 64
MAX_VALUES: Final = 2**58

# Types that numpy has under another name. Quantized values are their plain integers.
_NUMPY_NAMES: Final = {
    "qint8": "int8",
    "quint8": "uint8",
    "qint16": "int16",
    "quint16": "uint16",
    "qint32": "int32",
}


def to_numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Finds numpy's type for a key of `ITEM_BYTES`; quantized types become their plain integers."""
    name = _NUMPY_NAMES.get(dtype, dtype)
    try:
        return np.dtype(name)
    except TypeError:
        # TensorFlow's own dependency for the types that numpy lacks; most checkpoints never need it.
        import ml_dtypes

        missing: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return missing


def view_values(data: npt.NDArray[np.uint8], dtype: str, byte_order: Literal["<", ">"]) -> npt.NDArray[Any]:
    """Takes raw bytes as values.

    Args:
        data: uint8 [bytes], a whole number of values.
        dtype: A key of `ITEM_BYTES`.
        byte_order: Of the machine that wrote the bytes, ">" for big-endian.

    Returns:
        The values, 1-D; a view on `data` unless bytes have to be swapped.
    """
    numpy_dtype = to_numpy_dtype(dtype)
    if byte_order == ">":
        # The types of ml_dtypes have no byte order of their own, but each has the size of an integer.
        swappable = np.dtype(f"u{numpy_dtype.itemsize}") if numpy_dtype.kind == "V" else numpy_dtype
        data = data.view(swappable).byteswap().view(np.uint8)
    values: npt.NDArray[Any] = data.view(numpy_dtype)
    return values
