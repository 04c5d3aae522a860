"""TensorProtos as arrays, and arrays as TensorProtos, in every form that clients and servers write.

What passes through: a message comes in, an array goes out, and the other way round. Strings are object arrays
of bytes. The rules are those of tensorflow/core/framework/tensor.cc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from servable.formats.dtypes import ITEM_BYTES, MAX_RANK, to_numpy_dtype
from servable.formats.protos import TensorProto
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

# The field that has a type's values one by one. Halves are the numbers of their bits, complex numbers pairs.
_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {"float32": "float_val", "float64": "double_val", "string": "string_val", "bool": "bool_val"}
    | {"int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val"}
    | {"float16": "half_val", "bfloat16": "half_val"}
    | {"complex64": "scomplex_val", "complex128": "dcomplex_val"}
    | dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "int4", "uint4"), "int_val")
    | dict.fromkeys(("qint8", "quint8", "qint16", "quint16", "qint32"), "int_val")
)
_STRING_BYTES: Final = 32  # what an empty text costs, at least


def read_tensor(tensor: Any, *, max_bytes: int) -> tuple[str, np.ndarray]:
    """Reads a TensorProto of any origin.

    Args:
        tensor: A TensorProto of any protobuf pool.
        max_bytes: Few bytes can announce many values, since the last one may stand for all that follow.

    Returns:
        TensorFlow's name of the type, and the values with their shape.

    Raises:
        ValueError: It is not a tensor, has no values of its own, or is too large.
    """
    name = DTYPE_NAMES.get(tensor.dtype, f"dtype {tensor.dtype}")
    if name != "string" and name not in ITEM_BYTES:
        raise ValueError(f"type {name} has no values")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise ValueError("its shape is not that of values")
    count = math.prod(shape)
    if count * ITEM_BYTES.get(name, _STRING_BYTES) > max_bytes:
        raise ValueError(f"its {count} values are more than {max_bytes} bytes")
    if name == "string":
        return name, _read_texts(tensor, count).reshape(shape)
    dtype = to_numpy_dtype(name)
    if tensor.tensor_content:
        if len(tensor.tensor_content) != count * dtype.itemsize:
            raise ValueError(
                f"its content has {len(tensor.tensor_content)} bytes, its shape asks for "
                f"{count * dtype.itemsize}"
            )
        # Little-endian on every machine that TensorFlow is built for.
        return name, np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    return name, _stretch(_read_fields(tensor, name, dtype), count).reshape(shape)


def write_tensor(array: np.ndarray, name: str = "") -> Any:
    """Writes an array value by value, as a server answers: clients read `float_val` and its like.

    Args:
        array: Strings as object arrays of bytes or str.
        name: TensorFlow's name of its type; needed for quantized types only.

    Returns:
        A TensorProto of the pool of `protos`.

    Raises:
        ValueError: TensorFlow has no such type, or none that messages carry.
    """
    name = name or ("string" if array.dtype.kind in "OSU" else array.dtype.name)
    tensor = TensorProto()
    if name not in DTYPE_NUMBERS:
        raise ValueError(f"TensorFlow has no type {name}")
    tensor.dtype = DTYPE_NUMBERS[name]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if name not in _FIELDS:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
        return tensor
    flat = array.ravel()
    values: list[Any]
    if name == "string":
        values = [text.encode() if isinstance(text, str) else bytes(text) for text in flat.tolist()]
    elif name in ("float16", "bfloat16"):
        values = flat.view(np.uint16).tolist()
    elif name.startswith("complex"):
        values = flat.view(np.float32 if name == "complex64" else np.float64).tolist()
    else:
        values = flat.astype(np.int8).tolist() if name.endswith("int4") else flat.tolist()
    getattr(tensor, _FIELDS[name]).extend(values)
    return tensor


def _read_texts(tensor: Any, count: int) -> np.ndarray:
    if tensor.tensor_content:
        raise ValueError("texts are expected one by one, in string_val")
    values = np.empty(len(tensor.string_val), dtype=object)
    values[:] = list(tensor.string_val)
    return _stretch(values, count)


def _read_fields(tensor: Any, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    if name not in _FIELDS:
        raise ValueError(f"values of type {name} are expected as bytes, in tensor_content")
    values = getattr(tensor, _FIELDS[name])
    if name in ("float16", "bfloat16"):
        return np.array(values, np.uint32).astype(np.uint16).view(dtype)
    if name.startswith("complex"):
        half = np.float32 if name == "complex64" else np.float64
        return np.array(values[: len(values) // 2 * 2], half).view(dtype)
    # By way of a larger type: TensorFlow cuts such numbers down, where numpy would refuse them.
    return np.array(values, np.int32).astype(dtype) if _FIELDS[name] == "int_val" else np.array(values, dtype)


def _stretch(values: np.ndarray, count: int) -> np.ndarray:
    """The last value stands for all that are missing, zero or "" for all when there is none."""
    if values.size >= count:
        return values[:count]
    rest: Any = values[-1] if values.size else (b"" if values.dtype == object else 0)
    return np.concatenate([values, np.full(count - values.size, rest, values.dtype)])
