"""Predictions, classifications and regressions, as TensorFlow Serving makes them of a signature.

What passes through: arrays or tf.Examples of one request come in, arrays by output key go out. Which requests
are refused, and with which words, is taken from tensorflow_serving/servables/tensorflow/{predict_util,
classifier,regressor,util}.cc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from servable.errors import CheckError
from servable.runtime.outcome import Call
from servable.serving.loaded import LoadedVersion
from servable.serving.statuses import Code, StatusError, explain_fault, refuse_argument
from servable.signature import (
    DEFAULT_SIGNATURE,
    EXAMPLE_INPUTS,
    METHOD_OUTPUTS,
    Signature,
)

_FULL_NAMES: Final = {"classify": "classification", "regress": "regression"}


def predict(
    version: LoadedVersion,
    signature_name: str,
    *,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Answers a Predict request.

    Args:
        version: Who answers.
        signature_name: "" for `serving_default`.
        inputs: Arrays by serving key; strings as object arrays of bytes.
        output_filter: Keys of the outputs that are wanted; none for all.

    Returns:
        Arrays by serving key, in the order of the filter or of the signature.

    Raises:
        StatusError: The request is not as it should be, or the model fails.
    """
    signature = find_signature(version, signature_name)
    _check_inputs(signature, inputs, version.defaults[signature.name])
    wanted = _choose_outputs(signature, output_filter)
    whole = {**version.defaults[signature.name], **inputs}
    return _run(version, signature, {key: whole[key] for key in signature.inputs if key in whole}, wanted)


def find_signature(version: LoadedVersion, signature_name: str) -> Signature:
    """Finds the signature of a Predict request.

    Raises:
        StatusError: There is none of that name.
    """
    name = signature_name or DEFAULT_SIGNATURE
    if name not in version.signatures:
        message = f'Serving signature key "{name}" not found.'
        raise StatusError(Code.FAILED_PRECONDITION, message)
    return version.signatures[name]


def classify(
    version: LoadedVersion, signature_name: str, examples: Sequence[bytes]
) -> list[list[tuple[str, float]]]:
    """Answers a Classify request.

    Args:
        version: Who answers.
        signature_name: "" for `serving_default`.
        examples: Serialized tf.Examples.

    Returns:
        For each example the label and the score of each class, "" and 0.0 where the model has none.

    Raises:
        StatusError: The signature is not for that, or the model fails.
    """
    outputs = _run_examples(version, signature_name, "classify", examples)
    classes, scores = outputs.get("classes"), outputs.get("scores")
    for name, array, is_right in (
        ("classes", classes, classes is None or classes.dtype == object),
        ("scores", scores, scores is None or scores.dtype == np.float32),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            shape = ",".join(map(str, array.shape))
            raise refuse_argument(f"Expected Tensor shape: [batch_size num_classes] but got [{shape}]")
        if not is_right:
            wanted = "DT_STRING" if name == "classes" else "DT_FLOAT"
            raise refuse_argument(f"Expected {name} Tensor of {wanted}. Got: {array.dtype.name}")
        if len(array) != len(examples):
            raise refuse_argument(f"Expected {name} output batch size of {len(examples)}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise refuse_argument(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    rows, columns = (classes if classes is not None else outputs["scores"]).shape
    labels = [[""] * columns] * rows if classes is None else _decode_labels(classes)
    numbers = [[0.0] * columns] * rows if scores is None else scores.tolist()
    return [list(zip(*pair, strict=True)) for pair in zip(labels, numbers, strict=True)]


def regress(version: LoadedVersion, signature_name: str, examples: Sequence[bytes]) -> list[float]:
    """Answers a Regress request: one value for each serialized tf.Example.

    Raises:
        StatusError: The signature is not for that, or the model fails.
    """
    output = _run_examples(version, signature_name, "regress", examples)["outputs"]
    if not (output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)):
        shape = ",".join(map(str, output.shape))
        raise refuse_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [{shape}]"
        )
    if len(output) != len(examples):
        raise refuse_argument(
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(output)}"
        )
    if output.dtype != np.float32:
        raise refuse_argument(f"Expected output Tensor of DT_FLOAT.  Got: {output.dtype.name}")
    values: list[float] = output.ravel().tolist()
    return values


def _run_examples(
    version: LoadedVersion, signature_name: str, method: str, examples: Sequence[bytes]
) -> dict[str, np.ndarray]:
    name = signature_name or DEFAULT_SIGNATURE
    if name not in version.signatures:
        raise refuse_argument(f"No signature was found with the name: {name}")
    signature = version.signatures[name]
    # Whether the signature says that it is for this method is not asked: a server does not by default either.
    title, known = _FULL_NAMES[method], METHOD_OUTPUTS[method]
    (input_key,) = EXAMPLE_INPUTS
    wanted = [key for key in sorted(known) if key in signature.outputs]
    if len(signature.inputs) != 1:
        raise refuse_argument("Expected one input Tensor.")
    if len(signature.outputs) not in range(1, len(known) + 1):
        count = " or ".join(("one", "two")[: len(known)])
        raise refuse_argument(f"Expected {count} output Tensors, found {len(signature.outputs)}")
    if input_key not in signature.inputs:
        raise refuse_argument(f"No {title} inputs found in SignatureDef: {_join(signature.inputs)}")
    if not wanted:
        names = " or ".join(f'"{key}"' for key in sorted(known))
        raise refuse_argument(
            f"Expected {title} signature outputs to contain at least one of {names}. "
            f"Signature was: {_join(signature.outputs)}"
        )
    if not examples:
        raise refuse_argument("Input is empty.")
    texts = np.empty(len(examples), dtype=object)
    texts[:] = examples
    return _run(version, signature, {input_key: texts}, wanted)


def _check_inputs(
    signature: Signature, inputs: Mapping[str, np.ndarray], defaults: Mapping[str, np.ndarray]
) -> None:
    missing = signature.inputs.keys() - inputs.keys()
    extra = inputs.keys() - signature.inputs.keys()
    if len(inputs) > len(signature.inputs) or (len(inputs) < len(signature.inputs) and not defaults):
        raise refuse_argument(
            f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
            f"len({{{_join(inputs)}}}) != len({{{_join(signature.inputs)}}}). "
            f"Sent extra: {{{_join(extra)}}}. Missing but required: {{{_join(missing)}}}."
        )
    if extra:
        raise refuse_argument(
            f"input tensor alias not found in signature: {min(extra)}. "
            f"Inputs expected to be in the set {{{_join(signature.inputs)}}}."
        )


def _choose_outputs(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise refuse_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_join(signature.outputs)}}}."
            )
        if alias in seen:
            raise refuse_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter) or list(signature.outputs)


def _run(
    version: LoadedVersion,
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    wanted: Iterable[str],
) -> dict[str, np.ndarray]:
    feeds = {signature.inputs[key].tensor: value for key, value in inputs.items()}
    tensors = {key: signature.outputs[key].tensor for key in wanted}
    try:
        result = version.pool.run(Call(feeds, tuple(tensors.values())))
    except CheckError as error:
        raise refuse_argument(" ".join(str(error).split())) from error
    if result.fault is not None:
        raise explain_fault(result.fault)
    return {key: result.outputs[tensor] for key, tensor in tensors.items()}


def _decode_labels(classes: np.ndarray) -> list[list[str]]:
    return [[label.decode("utf-8", "replace") for label in row] for row in classes.tolist()]


def _join(keys: Iterable[str]) -> str:
    return ",".join(sorted(keys))
