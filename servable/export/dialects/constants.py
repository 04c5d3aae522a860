"""ROOM 2: constants of a graph, as rules read and write them.

What passes through: numbers go into a Const node, and come out of one. No TensorFlow here.
"""

from __future__ import annotations

import math
from typing import Any, Final

import ml_dtypes
import numpy as np

from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

# Rules read paddings, axes and defaults of one number; what is larger is data.
_MAX_ELEMENTS: Final = 1 << 16
# Types whose numbers share one field of TensorProto.
_SMALL_INTS: Final = ("int32", "int16", "int8", "uint16", "uint8")
_HALVES: Final = ("float16", "bfloat16")


def find_numpy_dtype(name: str) -> Any:
    """Gives numpy's type for TensorFlow's name of it; `object` for strings."""
    if name == "string":
        return np.dtype(object)
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def write_const(node: Any, values: Any, dtype: str) -> None:
    """Makes a Const of a node that has no attributes yet.

    Args:
        node: A NodeDef message.
        values: A number, bytes, nested lists of them, or an array.
        dtype: TensorFlow's name of the type.
    """
    node.attr["dtype"].type = DTYPE_NUMBERS[dtype]
    tensor = node.attr["value"].tensor
    tensor.dtype = DTYPE_NUMBERS[dtype]
    array = np.array(values, dtype=find_numpy_dtype(dtype))
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == "string":
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.tensor_content = array.tobytes()


def read_const(node: Any) -> np.ndarray | None:
    """Reads a small constant.

    Args:
        node: Any NodeDef message.

    Returns:
        Its values, strings as an object array of bytes; None where it is no Const, is large, or has a type
        that no rule reads.
    """
    if node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    name = DTYPE_NAMES.get(tensor.dtype, "")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    size = math.prod(shape)
    if not 0 <= size <= _MAX_ELEMENTS:
        return None
    try:
        values = _read_values(tensor, name)
    except (TypeError, ValueError):
        return None
    if values is None or values.size > size:
        return None
    if values.size < size:
        # TensorProto leaves out a tail of equal values, and zeros altogether.
        empty = b"" if name == "string" else 0
        rest = np.full(size - values.size, values[-1] if values.size else empty, values.dtype)
        values = np.concatenate([values, rest])
    shaped: np.ndarray = values.reshape(shape)
    return shaped


def _read_values(tensor: Any, name: str) -> np.ndarray | None:
    values: np.ndarray | None = None
    if name == "string":
        values = np.empty(len(tensor.string_val), dtype=object)
        values[:] = list(tensor.string_val)
    elif tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, find_numpy_dtype(name))
    elif name in _HALVES:
        values = np.array(tensor.half_val, np.uint16).view(find_numpy_dtype(name))
    else:
        fields = {
            "float32": tensor.float_val,
            "float64": tensor.double_val,
            "int64": tensor.int64_val,
            "bool": tensor.bool_val,
        } | dict.fromkeys(_SMALL_INTS, tensor.int_val)
        if name in fields:
            values = np.array(fields[name], find_numpy_dtype(name))
    return values
