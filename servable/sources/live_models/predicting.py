"""ROOM 1: what a live model itself answers, the baseline of a Keras model or a `tf.Module`.

What passes through: an `ObjectBody` and arrays come in, the model's own outputs go out; the model is as it
was before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable.errors import SettingsError, SourceError
from servable.model import Arrays, ObjectBody, Scalar
from servable.signature import SignatureRequest
from servable.sources.keras_files.calling import find_stateful_layers


@dataclass(frozen=True, slots=True)
class ObjectPredictor:
    """The live model's own answer, computed eagerly in inference mode.

    Attributes:
        body: The model.
        fills_inputs: Whether inputs that a signature leaves out are made up, since the model takes all of
            them at once.
    """

    body: ObjectBody
    fills_inputs: bool = True

    def __call__(
        self, request: SignatureRequest, inputs: Arrays, *, frozen: Mapping[str, Scalar]
    ) -> dict[str, np.ndarray]:
        """Runs the model; see `servable.model.Predictor`.

        Raises:
            SourceError: The model refuses the inputs, such as texts that it cannot parse.
            SettingsError: Switches are to be frozen.
        """
        import tensorflow as tf

        if frozen:
            raise SettingsError(
                "A live model has no training switches to freeze: it always runs in inference mode.",
                expected="no frozen tensors",
                received=", ".join(frozen),
                advice="leave --set out",
            )
        resolved = self.body.resolve_request(request)
        given = {name: inputs[key] for key, name in resolved.inputs.items()}
        batch = next((array.shape[0] for array in given.values() if array.ndim), 1)
        tensors = {}
        for name, spec in self.body.inputs.items():
            if name in given:
                tensors[name] = tf.constant(given[name], dtype=spec.dtype)
            elif self.fills_inputs:
                # The signature leaves this input out, so its outputs do not depend on it.
                sizes = spec.shape or ()
                filler = [
                    (batch if axis == 0 else 1) if size is None else size for axis, size in enumerate(sizes)
                ]
                tensors[name] = tf.zeros(filler, spec.dtype)
        with _keep_states(self.body.trackable), _tell_fault(request.name):
            results = self.body.call(tensors)
        return {key: tf.convert_to_tensor(results[name]).numpy() for key, name in resolved.outputs.items()}


@contextmanager
def _tell_fault(signature_name: str) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise SourceError(
            f"The source could not be run on these inputs of signature {signature_name}.",
            received=_find_reason(str(error)),
            advice="give inputs of your own with --inputs FILE.npz",
        ) from error


def _find_reason(text: str) -> str:
    """TensorFlow puts where a node was defined first, and what is wrong with it right before its name."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marks = [number for number, line in enumerate(lines) if line.startswith("[[{{")]
    return lines[marks[0] - 1] if marks and marks[0] else (lines or [""])[0]


@contextmanager
def _keep_states(model: Any) -> Iterator[None]:
    """Puts recurrent states back, so that asking for the baseline does not change what is exported."""
    import tensorflow as tf

    states = [state for layer in find_stateful_layers(model) for state in tf.nest.flatten(layer.states)]
    values = [state.numpy() for state in states]
    try:
        yield
    finally:
        for state, value in zip(states, values, strict=True):
            state.assign(value)
