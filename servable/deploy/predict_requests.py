"""Arrays as TensorFlow Serving's Predict requests, and back.

What passes through: arrays by serving key come in, a message goes out, with the dtypes of the signature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from servable.errors import CheckError
from servable.formats.protos import TensorProto
from servable.formats.serving_protos import PredictionLog
from servable.runtime.tensors import find_numpy_dtype
from servable.signature import DTYPE_NAMES, DTYPE_NUMBERS, Signature, TensorSpec


def make_request(signature: Signature, inputs: Mapping[str, np.ndarray]) -> Any:
    """Writes a request as it stands in a server's log.

    Args:
        signature: Whose inputs they are.
        inputs: Arrays by serving key; strings as object arrays of bytes.

    Returns:
        A PredictionLog. Its model has no name: a server takes those of its own folder for its own model.

    Raises:
        CheckError: An input is not one of the signature's, or of another type.
    """
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.name
    for key, value in inputs.items():
        if key not in signature.inputs:
            raise CheckError(
                "A request has an input that the signature does not take.",
                expected=", ".join(signature.inputs),
                received=key,
                where=f"signature {signature.name}",
            )
        where = f"signature {signature.name}, input {key}"
        request.inputs[key].CopyFrom(_make_tensor(value, signature.inputs[key], where))
    return log


def read_request(request: Any) -> tuple[str, dict[str, np.ndarray]]:
    """Reads a PredictRequest that `make_request` wrote.

    Returns:
        The signature's name, and arrays by serving key.
    """
    inputs = {key: _read_tensor(request.inputs[key]) for key in request.inputs}
    return request.model_spec.signature_name, inputs


def _make_tensor(value: np.ndarray, spec: TensorSpec, where: str) -> Any:
    is_string = value.dtype.kind in "OSU"
    if not (is_string and spec.dtype == "string") and value.dtype != find_numpy_dtype(spec.dtype):
        raise CheckError(
            "A request has an input of another type than the signature takes.",
            expected=spec.dtype,
            received=value.dtype.name,
            where=where,
        )
    tensor = TensorProto(dtype=DTYPE_NUMBERS[spec.dtype])
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    if is_string:
        texts = value.ravel().tolist()
        tensor.string_val.extend(text.encode() if isinstance(text, str) else bytes(text) for text in texts)
    else:
        # Little-endian, as TensorFlow takes it on every machine that it is built for.
        tensor.tensor_content = np.ascontiguousarray(value).tobytes()
    return tensor


def _read_tensor(tensor: Any) -> np.ndarray:
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    name = DTYPE_NAMES[tensor.dtype]
    if name != "string":
        return np.frombuffer(tensor.tensor_content, find_numpy_dtype(name)).reshape(shape)
    array = np.empty(math.prod(shape), dtype=object)
    array[:] = list(tensor.string_val)
    return array.reshape(shape)
