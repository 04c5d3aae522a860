"""PAI-EAS's messages of a prediction, without the vendor's package: arrays come in and go out.

What passes through: numpy arrays by serving key on one side, on the other the messages that EAS's TensorFlow
processors take and give. Fields and numbers are those of tf_predict.proto in EAS's client libraries (proto3,
without a package). An array is its values in one row, and its sizes. The numbers of types are TensorFlow's,
but there are none for unsigned integers of 32 and 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from servable.errors import CheckError
from servable.formats.dtypes import to_numpy_dtype
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS

# ArrayDataType in order of its numbers, which begin with 0.
_TYPE_NAMES: Final = (
    *(
        "INVALID",
        "FLOAT",
        "DOUBLE",
        "INT32",
        "UINT8",
        "INT16",
        "INT8",
        "STRING",
        "COMPLEX64",
        "INT64",
        "BOOL",
    ),
    *("QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128", "HALF"),
    *("RESOURCE", "VARIANT"),
)
# Field of an ArrayProto to its number and type.
_VALUE_FIELDS: Final = {
    "float_val": (3, FieldDescriptorProto.TYPE_FLOAT),
    "double_val": (4, FieldDescriptorProto.TYPE_DOUBLE),
    "int_val": (5, FieldDescriptorProto.TYPE_INT32),
    "string_val": (6, FieldDescriptorProto.TYPE_BYTES),
    "int64_val": (7, FieldDescriptorProto.TYPE_INT64),
    "bool_val": (8, FieldDescriptorProto.TYPE_BOOL),
}
# Where the values of a type lie. The client libraries have no place for the others, or no two the same.
_FIELD_OF_DTYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "float32": "float_val",
        "float64": "double_val",
        "int64": "int64_val",
        "bool": "bool_val",
        "string": "string_val",
        **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "int_val"),
    }
)
EAS_DTYPES: Final = frozenset(_FIELD_OF_DTYPE)


def _add_field(
    message: DescriptorProto, name: str, number: int, kind: Any, *, repeated: bool = False
) -> None:
    """Adds a field; `kind` is a plain type's number, or the name of a message."""
    field = message.field.add(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field.type = FieldDescriptorProto.TYPE_MESSAGE if isinstance(kind, str) else kind
    if isinstance(kind, str):
        field.type_name = kind


def _add_array_map(message: DescriptorProto, name: str, number: int) -> None:
    # A map is a repeated message of this very name, with `key` and `value`.
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, FieldDescriptorProto.TYPE_STRING)
    _add_field(entry, "value", 2, ".ArrayProto")
    _add_field(message, name, number, f".{message.name}.{entry.name}", repeated=True)


def _describe() -> FileDescriptorProto:
    file = FileDescriptorProto(name="servable/tf_predict.proto", syntax="proto3")
    types = file.enum_type.add(name="ArrayDataType")
    for number, name in enumerate(_TYPE_NAMES):
        types.value.add(name=f"DT_{name}", number=number)
    _add_field(
        file.message_type.add(name="ArrayShape"), "dim", 1, FieldDescriptorProto.TYPE_INT64, repeated=True
    )
    array = file.message_type.add(name="ArrayProto")
    _add_field(array, "dtype", 1, FieldDescriptorProto.TYPE_ENUM)
    array.field[0].type_name = ".ArrayDataType"
    _add_field(array, "array_shape", 2, ".ArrayShape")
    for name, (number, kind) in _VALUE_FIELDS.items():
        _add_field(array, name, number, kind, repeated=True)
    request = file.message_type.add(name="PredictRequest")
    _add_field(request, "signature_name", 1, FieldDescriptorProto.TYPE_STRING)
    _add_array_map(request, "inputs", 2)
    _add_field(request, "output_filter", 3, FieldDescriptorProto.TYPE_STRING, repeated=True)
    _add_array_map(file.message_type.add(name="PredictResponse"), "outputs", 1)
    return file


# A pool of its own: the names have no package, and the vendor's library has the same in the default one.
_POOL: Final = DescriptorPool()
_POOL.AddSerializedFile(_describe().SerializeToString())

ArrayProto: Final[Any] = GetMessageClass(_POOL.FindMessageTypeByName("ArrayProto"))
PredictRequest: Final[Any] = GetMessageClass(_POOL.FindMessageTypeByName("PredictRequest"))
PredictResponse: Final[Any] = GetMessageClass(_POOL.FindMessageTypeByName("PredictResponse"))


def make_predict_request(
    signature_name: str, inputs: Mapping[str, np.ndarray], *, output_filter: Sequence[str] = ()
) -> Any:
    """Writes what a client sends.

    Args:
        signature_name: Empty for the server's default.
        inputs: Arrays by serving key, of types in `EAS_DTYPES`; strings as object arrays of bytes.
        output_filter: Keys of the outputs that are wanted; none for all.

    Returns:
        A PredictRequest; `SerializeToString(deterministic=True)` gives the body of the HTTP request.

    Raises:
        CheckError: An array is of a type that EAS has no place for.
    """
    request = PredictRequest(signature_name=signature_name, output_filter=output_filter)
    for key, message in encode_arrays(inputs).items():
        request.inputs[key].CopyFrom(message)
    return request


def make_predict_response(outputs: Mapping[str, np.ndarray]) -> Any:
    """Writes what a server answers, by serving key.

    Raises:
        CheckError: An array is of a type that EAS has no place for.
    """
    response = PredictResponse()
    for key, message in encode_arrays(outputs).items():
        response.outputs[key].CopyFrom(message)
    return response


def read_message(cls: Any, data: bytes) -> Any:
    """Reads a PredictRequest or PredictResponse from the body of an HTTP request or answer.

    Raises:
        CheckError: The bytes are no such message.
    """
    try:
        return cls.FromString(data)
    except DecodeError as error:
        raise CheckError(
            "These bytes are no message of PAI-EAS.",
            expected=f"one {cls.DESCRIPTOR.name} of tf_predict.proto in binary form",
            received=f"{len(data)} bytes that do not decode ({error})",
        ) from error


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Turns arrays into ArrayProto messages by the same keys.

    Args:
        arrays: Of types in `EAS_DTYPES`; strings as arrays of objects, bytes or text.

    Raises:
        CheckError: An array is of a type that EAS has no place for.
    """
    return {key: _encode_array(array, key) for key, array in arrays.items()}


def decode_arrays(messages: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Turns ArrayProto messages into arrays by the same keys; strings become object arrays of bytes.

    Raises:
        CheckError: A message is of a type that has no values here, or has not as many as its sizes say.
    """
    return {key: _decode_array(messages[key], key) for key in messages}


def _encode_array(array: np.ndarray, key: str) -> Any:
    name = "string" if array.dtype.kind in "OSU" else array.dtype.name
    field = _find_field(name, key)
    message = ArrayProto(dtype=DTYPE_NUMBERS[name])
    message.array_shape.dim.extend(array.shape)
    values = array.ravel().tolist()
    if name == "string":
        values = [text.encode() if isinstance(text, str) else bytes(text) for text in values]
    getattr(message, field).extend(values)
    return message


def _decode_array(message: Any, key: str) -> np.ndarray:
    name = DTYPE_NAMES.get(message.dtype, f"number {message.dtype}")
    values = getattr(message, _find_field(name, key))
    shape = tuple(message.array_shape.dim)
    if any(size < 0 for size in shape) or math.prod(shape) != len(values):
        raise CheckError(
            "A message of PAI-EAS has not as many values as its sizes say.",
            expected=f"{math.prod(shape)} values of type {name} for sizes {list(shape)}",
            received=f"{len(values)}",
            where=key,
        )
    if name == "string":
        texts = np.empty(len(values), dtype=object)
        texts[:] = list(values)
        return texts.reshape(shape)
    try:
        # numpy refuses a number that does not fit, such as 300 for uint8.
        return np.fromiter(values, to_numpy_dtype(name), count=len(values)).reshape(shape)
    except OverflowError as error:
        raise CheckError(
            "A message of PAI-EAS has a number that its type does not hold.",
            expected=f"values of type {name}",
            received=str(error),
            where=key,
        ) from error


def _find_field(name: str, key: str) -> str:
    if name not in _FIELD_OF_DTYPE:
        raise CheckError(
            "PAI-EAS's messages carry no values of this type.",
            expected=", ".join(sorted(EAS_DTYPES)),
            received=name,
            where=key,
            advice="cast this input or output in the model's signature",
        )
    return _FIELD_OF_DTYPE[name]
