"""TensorFlow Serving's gRPC services: PredictionService and ModelService.

What passes through: messages of its own kind come in and go out, decoded and encoded by the project's own
descriptors. A client of tensorflow-serving-api sees no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc

from servable.formats.serving_replies import (
    SERVICES,
    ClassificationResponse,
    GetModelMetadataResponse,
    GetModelStatusResponse,
    PredictResponse,
    RegressionResponse,
)
from servable.formats.tensor_values import read_tensor, write_tensor
from servable.serving.asked_model import fill_spec, read_spec
from servable.serving.predicting import classify, find_signature, predict, regress
from servable.serving.served_model import ServedModel
from servable.serving.statuses import StatusError, refuse_argument
from servable.signature import DEFAULT_SIGNATURE

_SIGNATURE_FIELD: Final = "signature_def"
_Method = Callable[[Any], Any]


def make_services(model: ServedModel, *, request_bytes: int) -> list[Any]:
    """Makes what a gRPC server takes as its handlers.

    Args:
        model: Who answers.
        request_bytes: What one tensor of a request may take; a short message can announce a large one.
    """
    services = Services(model, request_bytes)
    methods: dict[str, _Method] = {
        "Predict": services.predict,
        "Classify": services.classify,
        "Regress": services.regress,
        "GetModelMetadata": services.tell_metadata,
        "GetModelStatus": services.tell_status,
    }
    return [
        grpc.method_handlers_generic_handler(
            service,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    _refuse_in_grpc(methods[name]),
                    request_deserializer=asked.FromString,
                    response_serializer=answered.SerializeToString,
                )
                for name, (asked, answered) in kinds.items()
            },
        )
        for service, kinds in SERVICES.items()
    ]


class Services:
    """The methods, each from a message to a message; refusals are `StatusError`s.

    Args:
        model: Who answers.
        request_bytes: What one tensor of a request may take.
    """

    def __init__(self, model: ServedModel, request_bytes: int) -> None:
        self._model = model
        self._request_bytes = request_bytes

    def predict(self, request: Any) -> Any:
        """Answers with the outputs."""
        with self._model.use(read_spec(request.model_spec)) as version:
            signature = find_signature(version, request.model_spec.signature_name)
            outputs = predict(
                version,
                signature.name,
                inputs={key: self._read_input(request, key) for key in request.inputs},
                output_filter=request.output_filter,
            )
            response = PredictResponse()
            fill_spec(response.model_spec, self._model.name, version.number, signature_name=signature.name)
            for key, array in outputs.items():
                declared = signature.outputs[key].dtype
                # Quantized numbers travel as plain ones, which have another type.
                name = declared if declared.startswith("q") else ""
                response.outputs[key].CopyFrom(write_tensor(array, name))
            return response

    def classify(self, request: Any) -> Any:
        """Answers with labels and scores."""
        with self._model.use(read_spec(request.model_spec)) as version:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            response = ClassificationResponse()
            fill_spec(response.model_spec, self._model.name, version.number, signature_name=name)
            for row in classify(version, name, _list_examples(request.input)):
                classes = response.result.classifications.add().classes
                for label, score in row:
                    classes.add(label=label, score=score)
            return response

    def regress(self, request: Any) -> Any:
        """Answers with values."""
        with self._model.use(read_spec(request.model_spec)) as version:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            response = RegressionResponse()
            fill_spec(response.model_spec, self._model.name, version.number, signature_name=name)
            for value in regress(version, name, _list_examples(request.input)):
                response.result.regressions.add(value=value)
            return response

    def tell_metadata(self, request: Any) -> Any:
        """Answers with the signatures."""
        if not request.HasField("model_spec"):
            raise refuse_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise refuse_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_FIELD:
                raise refuse_argument(f"Metadata field {field} is not supported")
        with self._model.use(read_spec(request.model_spec)) as version:
            response = GetModelMetadataResponse()
            fill_spec(response.model_spec, self._model.name, version.number)
            response.metadata[_SIGNATURE_FIELD].Pack(version.signature_defs)
            return response

    def tell_status(self, request: Any) -> Any:
        """Answers with how the versions fare."""
        if not request.HasField("model_spec"):
            raise refuse_argument("Missing ModelSpec")
        response = GetModelStatusResponse()
        for status in self._model.list_statuses(read_spec(request.model_spec)):
            said = response.model_version_status.add(version=status.number, state=int(status.state))
            said.status.error_code = int(status.code)
            said.status.error_message = status.message
        return response

    def _read_input(self, request: Any, key: str) -> Any:
        try:
            return read_tensor(request.inputs[key], max_bytes=self._request_bytes)[1]
        except ValueError as error:
            raise refuse_argument(f"tensor parsing error: {key}: {error}") from error


def _list_examples(given: Any) -> list[bytes]:
    if given.WhichOneof("kind") == "example_list_with_context":
        # Two messages one behind the other are one message with the fields of both.
        listed = given.example_list_with_context
        context = listed.context.SerializeToString(deterministic=True)
    else:
        listed, context = given.example_list, b""
    return [context + example.SerializeToString(deterministic=True) for example in listed.examples]


def _refuse_in_grpc(method: _Method) -> Callable[[Any, Any], Any]:
    codes = {code.value[0]: code for code in grpc.StatusCode}

    def answer(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except StatusError as error:
            return context.abort(codes[int(error.code)], error.message)

    return answer
