"""TensorFlow Serving's messages of a Predict request, without its package.

What passes through: nothing but classes. The fields are those of tensorflow_serving/apis/{model,predict,
prediction_log}.proto that a client fills in; a server reads fields by number, so that the others may be
missing here. They live in the pool of `protos`, beside TensorFlow's own messages; what a server answers is in
`serving_replies`.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from servable.formats.protos import POOL

_PACKAGE: Final = "tensorflow.serving"
_TENSOR: Final = ".tensorflow.TensorProto"


def _add_field(
    message: DescriptorProto, name: str, number: int, type_name: str = "", *, repeated: bool = False
) -> None:
    field = message.field.add(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field.type = FieldDescriptorProto.TYPE_MESSAGE if type_name else FieldDescriptorProto.TYPE_STRING
    if type_name:
        field.type_name = type_name


def _describe() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="servable/tensorflow_serving.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto", "tensorflow/core/framework/tensor.proto"],
    )
    spec = file.message_type.add(name="ModelSpec")
    _add_field(spec, "name", 1)
    _add_field(spec, "signature_name", 3)
    spec.oneof_decl.add(name="version_choice")
    _add_field(spec, "version", 2, ".google.protobuf.Int64Value")
    _add_field(spec, "version_label", 4)
    for field in spec.field[-2:]:
        field.oneof_index = 0
    request = file.message_type.add(name="PredictRequest")
    _add_field(request, "model_spec", 1, f".{_PACKAGE}.ModelSpec")
    # A map is a repeated message of this very name, with `key` and `value`.
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1)
    _add_field(entry, "value", 2, _TENSOR)
    _add_field(request, "inputs", 2, f".{_PACKAGE}.PredictRequest.InputsEntry", repeated=True)
    _add_field(request, "output_filter", 3, repeated=True)
    _add_field(file.message_type.add(name="PredictLog"), "request", 1, f".{_PACKAGE}.PredictRequest")
    _add_field(file.message_type.add(name="PredictionLog"), "predict_log", 6, f".{_PACKAGE}.PredictLog")
    return file


POOL.AddSerializedFile(_describe().SerializeToString())

PredictRequest: Final[Any] = GetMessageClass(POOL.FindMessageTypeByName(f"{_PACKAGE}.PredictRequest"))
PredictionLog: Final[Any] = GetMessageClass(POOL.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))
