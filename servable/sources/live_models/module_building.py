"""ROOM 1: the model that the user's own code builds, `build_model()` in the file behind `--module`.

What passes through: a Python file comes in and is run, since the user named it; a live model of either Keras
or a `tf.Module` goes out, its weights as they are when it is new.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.errors import SettingsError
from servable.report import Finding
from servable.signature import TensorSpec
from servable.sources.keras_files.config import Loader
from servable.sources.keras_files.eras import find_loader, speak_keras
from servable.sources.live_models.call_inputs import describe_spec
from servable.sources.user_code.running import find_function, note_user_code, run_user_file, tell_failure

FLAG = "--module"
FUNCTION_NAME = "build_model"
INPUTS_NAME = "INPUTS"
INPUTS_EXAMPLE = f'{INPUTS_NAME} = {{"x": tf.TensorSpec([None, 8], tf.float32)}}'


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A live model whose weights are still to come.

    Attributes:
        model: A Keras model or a `tf.Module`.
        loader: The Keras it belongs to; None for a `tf.Module`.
        slot: The name under which a checkpoint keeps it, where the user says so.
        inputs: What it takes, where the user says so.
        notes: Which file was run, or taken.
    """

    model: Any
    loader: Loader | None
    slot: str | None
    inputs: dict[str, TensorSpec]
    notes: tuple[Finding, ...]


def build_from_module(path: Path, preferred: Loader) -> BuiltModel:
    """Runs the user's file and lets it build the model.

    Args:
        path: The file; it defines ``build_model()``, or ``build_model(keras)``, and may define ``INPUTS``.
        preferred: The Keras that `tf.keras` and `keras` mean in it, that of the weights' era.

    Raises:
        SettingsError: The file cannot be used, or builds nothing that is known.
    """
    import tensorflow as tf

    with speak_keras(preferred) as keras:
        module = run_user_file(path, FLAG)
        function = find_function(
            module, FUNCTION_NAME, path, returns="a Keras model or a tf.Module, or {slot: model}"
        )
        with tell_failure(path, f"{FUNCTION_NAME}() failed."):
            built = function(keras) if _takes_keras(function) else function()
    slot = None
    if isinstance(built, Mapping) and len(built) == 1:
        slot, built = next(iter(built.items()))
    if not isinstance(built, tf.Module) and find_loader(built) is None:
        raise SettingsError(
            f"{FUNCTION_NAME}() does not return a model.",
            expected="a Keras model or a tf.Module, or {slot: model} with the checkpoint's own name for it",
            received=type(built).__name__,
            where=str(path),
            advice="end it with: return model",
        )
    inputs = _read_inputs(getattr(module, INPUTS_NAME, {}), path)
    return BuiltModel(built, find_loader(built), slot, inputs, (note_user_code(path, FLAG),))


def _takes_keras(function: Any) -> bool:
    return any(
        parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.VAR_POSITIONAL
    )


def _read_inputs(inputs: Any, path: Path) -> dict[str, TensorSpec]:
    import tensorflow as tf

    if isinstance(inputs, Mapping) and all(
        isinstance(name, str) and isinstance(spec, tf.TensorSpec) for name, spec in inputs.items()
    ):
        return {name: describe_spec(spec, name) for name, spec in inputs.items()}
    raise SettingsError(
        f"{INPUTS_NAME} does not say what the model takes.",
        expected=INPUTS_EXAMPLE,
        received=repr(inputs)[:200],
        where=str(path),
        advice="name each input with its type and shape",
    )
