"""The values of one slice of a V1 checkpoint, taken out of its record without a copy where possible.

What passes through: the bytes of a SavedTensorSlices message come in, an array goes out. The message is
walked and not parsed, since a parsed tensor takes several times its bytes, and a weight may have a gigabyte.
Which field of TensorProto holds which type: tensorflow/core/util/saved_tensor_slice_util.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from servable.formats.checkpoints.varints import decode_varints, read_varint
from servable.formats.dtypes import ITEM_BYTES, to_numpy_dtype
from servable.formats.protos import SavedSlice, SavedTensorSlices, TensorProto

# Types whose values lie in a record as they lie in memory; all other numbers are varints, 1 byte at least.
_PLAIN_FIELDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "float32": TensorProto.FLOAT_VAL_FIELD_NUMBER,
        "float64": TensorProto.DOUBLE_VAL_FIELD_NUMBER,
        "complex64": TensorProto.SCOMPLEX_VAL_FIELD_NUMBER,
        "complex128": TensorProto.DCOMPLEX_VAL_FIELD_NUMBER,
    }
)
_VARINT_FIELDS: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(("float16", "bfloat16"), TensorProto.HALF_VAL_FIELD_NUMBER)
    | dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32"), TensorProto.INT_VAL_FIELD_NUMBER)
    | dict.fromkeys(("qint8", "quint8", "qint16", "quint16", "qint32"), TensorProto.INT_VAL_FIELD_NUMBER)
    | {
        "bool": TensorProto.BOOL_VAL_FIELD_NUMBER,
        "int64": TensorProto.INT64_VAL_FIELD_NUMBER,
        "uint32": TensorProto.UINT32_VAL_FIELD_NUMBER,
        "uint64": TensorProto.UINT64_VAL_FIELD_NUMBER,
    }
)
_STRING_BYTES: Final = 2  # A tag and a length.

# Decoding a number takes some ten times its bytes.
_CHUNK_BYTES: Final = 2**20

# Wire types of protobuf that have a fixed size (protobuf.dev/programming-guides/encoding).
_VARINT: Final = 0
_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}


def least_bytes(dtype: str) -> int:
    """Gives the fewest bytes that one value of a type takes in a record."""
    if dtype == "string":
        return _STRING_BYTES
    return ITEM_BYTES[dtype] if dtype in _PLAIN_FIELDS else 1


def decode_record(record: memoryview, dtype: str, count: int) -> npt.NDArray[Any]:
    """Takes the values out of a record.

    Args:
        record: A SavedTensorSlices message with data.
        dtype: TensorFlow's name of the type.
        count: Number of values that have to be there.

    Returns:
        The values, 1-D, types as in `servable.formats.checkpoints.bundle.read_tensor`; a view on the record
        where it holds them as memory does.

    Raises:
        ValueError: It holds another number of values, or is no such message.
    """
    data = _join_field(_join_field(record, SavedTensorSlices.DATA_FIELD_NUMBER), SavedSlice.DATA_FIELD_NUMBER)
    if dtype == "string":
        return _decode_strings(data, count)
    if dtype in _PLAIN_FIELDS:
        values = _join_field(data, _PLAIN_FIELDS[dtype])
    elif dtype in _VARINT_FIELDS:
        packed = _join_field(data, _VARINT_FIELDS[dtype])
        if packed:
            return _decode_numbers(packed, dtype, count)
        values = packed
    else:
        raise ValueError(f"values of type {dtype}, which this format cannot hold")
    # No saver writes the field for raw memory, but it is a TensorProto's other way to hold these types.
    values = values or _join_field(data, TensorProto.TENSOR_CONTENT_FIELD_NUMBER)
    if len(values) != count * ITEM_BYTES[dtype]:
        raise ValueError(f"{len(values)} bytes where {count} values of {dtype} belong")
    array: npt.NDArray[Any] = np.frombuffer(values, np.uint8).view(to_numpy_dtype(dtype))
    return array


def _decode_numbers(packed: memoryview, dtype: str, count: int) -> npt.NDArray[Any]:
    if len(packed) < count:
        raise ValueError(f"at most {len(packed)} values where {count} belong")
    numpy_dtype = to_numpy_dtype(dtype)
    # Floats come as the integer that has their bits; negative integers come as 64 bits.
    is_float = dtype in ("float16", "bfloat16")
    values = np.empty(count, np.uint16 if is_float else numpy_dtype)
    data = np.frombuffer(packed, np.uint8)
    done, position = 0, 0
    while position < data.size:
        chunk = data[position : position + _CHUNK_BYTES]
        ends = np.flatnonzero(chunk < 0x80)
        if not ends.size or done + ends.size > count:
            raise ValueError(f"more than {count} values, or a number that does not end")
        past = int(ends[-1]) + 1
        values[done : done + ends.size] = decode_varints(chunk[:past], ends).astype(values.dtype)
        done, position = done + ends.size, position + past
    if done != count:
        raise ValueError(f"{done} values where {count} belong")
    return values.view(numpy_dtype) if is_float else values


def _decode_strings(data: memoryview, count: int) -> npt.NDArray[np.object_]:
    if len(data) < count * _STRING_BYTES:
        raise ValueError(f"{len(data)} bytes where {count} strings belong")
    strings = [bytes(item) for item in _iter_field(data, TensorProto.STRING_VAL_FIELD_NUMBER)]
    if len(strings) != count:
        raise ValueError(f"{len(strings)} strings where {count} belong")
    values = np.empty(count, object)
    values[:] = strings
    return values


def _join_field(message: memoryview, number: int) -> memoryview:
    """Gives a field's bytes, of a number as packed: one that is there in pieces means their sum."""
    pieces = list(_iter_field(message, number))
    return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))


def _iter_field(message: memoryview, number: int) -> Iterator[memoryview]:
    position, limit = 0, len(message)
    while position < limit:
        tag, position = read_varint(message, position, limit)
        wire_type = tag & 7
        start = position
        if wire_type == _VARINT:
            _, position = read_varint(message, position, limit)
        elif wire_type == _DELIMITED:
            size_bytes, start = read_varint(message, position, limit)
            position = start + size_bytes
        elif wire_type in _FIXED_BYTES:
            position += _FIXED_BYTES[wire_type]
        else:
            raise ValueError("a message that does not decode")
        if position > limit:
            raise ValueError("a message that is cut off")
        if tag >> 3 == number:
            yield message[start:position]
