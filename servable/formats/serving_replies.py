"""TensorFlow Serving's messages of what a server is asked beside predictions, and of all that it answers.

What passes through: nothing but classes. Fields and numbers are those of tensorflow_serving/apis/{predict,
classification,regression,input,get_model_metadata,get_model_status}.proto and util/status.proto. Its own
package would import TensorFlow, which takes longer than a server may take to start; on the wire there is no
difference. They live in the pool of `protos`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from servable.formats.protos import POOL
from servable.formats.serving_protos import PredictRequest

_PACKAGE: Final = "tensorflow.serving"
_ANY: Final = ".google.protobuf.Any"
_EXAMPLE: Final = ".tensorflow.Example"

# Message to field to number and type: a plain type, or a message (with a leading dot: of another package). A
# "*" stands before a repeated one, "map " before the values of a map whose keys are strings.
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "PredictResponse": {"outputs": (1, "map .tensorflow.TensorProto"), "model_spec": (2, "ModelSpec")},
    "ExampleList": {"examples": (1, f"*{_EXAMPLE}")},
    "ExampleListWithContext": {
        "examples": (1, "*.tensorflow.Example"),
        "context": (2, ".tensorflow.Example"),
    },
    "Input": {"example_list": (1, "ExampleList"), "example_list_with_context": (2, "ExampleListWithContext")},
    "Class": {"label": (1, "string"), "score": (2, "float")},
    "Classifications": {"classes": (1, "*Class")},
    "ClassificationResult": {"classifications": (1, "*Classifications")},
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "ClassificationResponse": {"result": (1, "ClassificationResult"), "model_spec": (2, "ModelSpec")},
    "Regression": {"value": (1, "float")},
    "RegressionResult": {"regressions": (1, "*Regression")},
    "RegressionRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "RegressionResponse": {"result": (1, "RegressionResult"), "model_spec": (2, "ModelSpec")},
    "SignatureDefMap": {"signature_def": (1, "map .tensorflow.SignatureDef")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "*string")},
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, f"map {_ANY}")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    # Enumerations, which have a type of their own there, are their numbers on the wire.
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "int32"), "status": (3, "StatusProto")},
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
}
_ONEOFS: Final = {"Input": "kind"}
_PLAIN_TYPES: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    if kind.startswith("map "):
        # A map is a repeated message of this very name, with `key` and `value`.
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind.removeprefix("map "))
        kind = f"*.{_PACKAGE}.{message.name}.{entry.name}"
    field = message.field.add(name=name, number=number)
    is_repeated, kind = kind.startswith("*"), kind.removeprefix("*")
    field.label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field.type = _PLAIN_TYPES.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        field.type_name = kind if kind.startswith(".") else f".{_PACKAGE}.{kind}"
    if message.name in _ONEOFS:
        field.oneof_index = 0


def _describe() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="servable/tensorflow_serving_replies.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[
            "google/protobuf/any.proto",
            "servable/tensorflow_serving.proto",
            "tensorflow/core/example/example.proto",
            "tensorflow/core/framework/tensor.proto",
            "tensorflow/core/protobuf/meta_graph.proto",
        ],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONEOFS:
            message.oneof_decl.add(name=_ONEOFS[name])
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    return file


POOL.AddSerializedFile(_describe().SerializeToString())


def _get_class(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


PredictResponse: Final[Any] = _get_class("PredictResponse")
ClassificationRequest: Final[Any] = _get_class("ClassificationRequest")
ClassificationResponse: Final[Any] = _get_class("ClassificationResponse")
RegressionRequest: Final[Any] = _get_class("RegressionRequest")
RegressionResponse: Final[Any] = _get_class("RegressionResponse")
SignatureDefMap: Final[Any] = _get_class("SignatureDefMap")
GetModelMetadataRequest: Final[Any] = _get_class("GetModelMetadataRequest")
GetModelMetadataResponse: Final[Any] = _get_class("GetModelMetadataResponse")
GetModelStatusRequest: Final[Any] = _get_class("GetModelStatusRequest")
GetModelStatusResponse: Final[Any] = _get_class("GetModelStatusResponse")

# Service to method to what is asked and what is answered: prediction_service.proto and model_service.proto.
SERVICES: Final[Mapping[str, Mapping[str, tuple[Any, Any]]]] = {
    f"{_PACKAGE}.PredictionService": {
        "Predict": (PredictRequest, PredictResponse),
        "Classify": (ClassificationRequest, ClassificationResponse),
        "Regress": (RegressionRequest, RegressionResponse),
        "GetModelMetadata": (GetModelMetadataRequest, GetModelMetadataResponse),
    },
    f"{_PACKAGE}.ModelService": {"GetModelStatus": (GetModelStatusRequest, GetModelStatusResponse)},
}
