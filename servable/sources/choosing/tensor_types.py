"""ROOM 1: types, shapes and small numbers as a node's attributes have them.

What passes through: messages of a graph come in, plain values go out. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from servable.signature import DTYPE_NAMES, Shape
from servable.sources.choosing.training_parts import is_pipeline

# Attributes that may hold the type of an output, the likeliest first.
_TYPE_ATTRS = ("output_type", "DstT", "value_dtype", "Tout", "out_type", "dtype", "Tparams", "T")
_LIST_TYPE_ATTRS = ("output_types", "component_types")
_FIXED_TYPES: Mapping[str, str] = {
    "AsString": "string",
    "StringJoin": "string",
    "Greater": "bool",
    "GreaterEqual": "bool",
    "Less": "bool",
    "LessEqual": "bool",
}
_FLOAT_TYPES = frozenset({1, 2, 14, 19})  # numbers of types.proto
_DT_INT32 = 3
_MAX_NUMBERS = 64


def read_output_type(node: Any, position: int) -> str:
    """Reads the dtype of a node's output; "" where its attributes don't say."""
    if is_pipeline(node):
        for attr in _LIST_TYPE_ATTRS:
            if attr in node.attr and len(node.attr[attr].list.type) > position:
                return DTYPE_NAMES.get(node.attr[attr].list.type[position] % 100, "")
    if node.op in _FIXED_TYPES:
        return _FIXED_TYPES[node.op]
    if node.op == "TopKV2" and position == 1:
        return "int32"
    if node.op == "ArgMax" and "output_type" not in node.attr:
        return "int64"
    for attr in _TYPE_ATTRS:
        if attr in node.attr and node.attr[attr].type:
            return DTYPE_NAMES.get(node.attr[attr].type % 100, "")
    return ""


def read_sizes(shape: Any) -> Shape:
    """Reads a TensorShapeProto."""
    if shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)


def read_whole_numbers(tensor: Any) -> list[int]:
    """Reads the first numbers of an int32 or int64 TensorProto."""
    if tensor.tensor_content:
        width = 4 if tensor.dtype == _DT_INT32 else 8
        data = tensor.tensor_content[: _MAX_NUMBERS * width]
        pieces = [data[start : start + width] for start in range(0, len(data), width)]
        return [int.from_bytes(piece, "little", signed=True) for piece in pieces]
    return list(tensor.int_val[:_MAX_NUMBERS]) or list(tensor.int64_val[:_MAX_NUMBERS]) or [0]


def holds_float_array(node: Any) -> bool:
    """Whether a node is a constant of several floats: a weight, in a frozen graph."""
    if node.op != "Const" or "value" not in node.attr:
        return False
    tensor = node.attr["value"].tensor
    return tensor.dtype in _FLOAT_TYPES and bool(prod(dim.size for dim in tensor.tensor_shape.dim) > 1)
