"""Warm-up: requests that a version answers before any client's, as TensorFlow Serving has it do.

What passes through: the requests beside a SavedModel come in; nothing goes out unless one fails, and then the
version is not taken. The rules are those of servables/tensorflow/saved_model_warmup_util.cc there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from servable.errors import BrokenSourceError
from servable.formats.protos import decode_message
from servable.formats.serving_protos import PredictionLog
from servable.formats.tensor_values import read_tensor
from servable.formats.tfrecords import read_record_file
from servable.serving.loaded import LoadedVersion
from servable.serving.predicting import predict
from servable.serving.statuses import StatusError, refuse_argument

WARM_UP_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
_MAX_RECORDS: Final = 1000
_MAX_TENSOR_BYTES: Final = 1 << 30


def warm_up(version: LoadedVersion, folder: Path) -> int:
    """Has a version answer the requests in its folder.

    Args:
        version: Who answers.
        folder: Its own.

    Returns:
        How many there were. Records other than Predict requests are passed over.

    Raises:
        StatusError: One of them fails, or there are more than 1000.
        BrokenSourceError: The file is damaged.
    """
    path = folder / WARM_UP_FILE
    if not path.is_file():
        return 0
    count = 0
    for number, record in enumerate(read_record_file(path)):
        if number >= _MAX_RECORDS:
            raise refuse_argument(f"Number of warmup records exceeds the maximum of {_MAX_RECORDS}")
        log = decode_message(PredictionLog, record, where=f"{path}, record {number}")
        if not log.HasField("predict_log"):
            continue
        try:
            _replay(version, log.predict_log.request)
        except StatusError as error:
            raise StatusError(error.code, f"warm-up request {number} fails: {error.message}") from error
        count += 1
    return count


def _replay(version: LoadedVersion, request: Any) -> None:
    try:
        inputs = {
            key: read_tensor(request.inputs[key], max_bytes=_MAX_TENSOR_BYTES)[1] for key in request.inputs
        }
    except ValueError as error:
        raise BrokenSourceError("A warm-up request cannot be read.", received=str(error)) from error
    name = request.model_spec.signature_name
    predict(version, name, inputs=inputs, output_filter=request.output_filter)
