"""Room 1, intake: a Keras file becomes a live model.

What passes through: a `.h5` or `.keras` file comes in, goes through the gate, and is built by the Keras that
its era belongs to: tf_keras before Keras 3, Keras from then on. A `TrainedModel` goes out, with Keras' own
answer as the baseline.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from servable.errors import BrokenSourceError, SettingsError
from servable.formats.digest import digest_files
from servable.model import Arrays, ObjectBody, Origin, Progress, Scalar, TrainedModel
from servable.report import Finding, Severity
from servable.signature import SignatureRequest
from servable.sources.custom_objects import load_custom_objects
from servable.sources.keras_calling import CHECK_NAME, bind_symbolic, find_stateful_layers
from servable.sources.keras_config import ARCHIVE_KIND, HDF5_KIND, KerasConfig, Loader, read_keras_config
from servable.sources.keras_gate import check_config
from servable.sources.keras_subclassed import bind_subclassed
from servable.sources.keras_unknowns import find_operations, list_unknown_names
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source


def open_keras(source: Source, options: SourceOptions, *, progress: Progress | None = None) -> TrainedModel:
    """Builds the model of a Keras file, with its weights, for inference.

    Args:
        source: Of a Keras kind.
        options: What the user says about it; the files it names are the only code that runs.
        progress: Told of the stages.

    Returns:
        A model with an `ObjectBody` and one suggested signature, "serving_default".

    Raises:
        UnknownSourceError: The file holds weights but no model.
        BrokenSourceError: The file is damaged or incomplete, or names classes that nobody defines.
        UnsafeSourceError: Loading it would run code or reach outside it.
        SettingsError: The file of custom objects cannot be used, or Keras runs on another backend.
    """
    path, custom_objects = source.path, options.custom_objects
    config = read_keras_config(
        path, source.kind.value, custom_names=frozenset() if custom_objects is None else None
    )
    if progress:
        progress("load model", 0, 1)
    loaded = _load_model(config, custom_objects)
    if getattr(loaded.model, "inputs", None):
        call = bind_symbolic(loaded.model, loaded.loader)
    else:
        call = bind_subclassed(loaded.model, loaded.loader, config)
    body = ObjectBody(loaded.model, call.run, call.inputs, call.outputs)
    request = SignatureRequest(
        inputs={name: name for name in call.inputs}, outputs={name: name for name in call.outputs}
    )
    if progress:
        progress("load model", 1, 1)
    return TrainedModel(
        origin=Origin(
            path=path,
            kind=config.kind,
            framework="keras",
            framework_version=config.version,
            files=(path,),
            step=None,
            digest=digest_files([path], root=path.parent),
        ),
        body=body,
        signatures=(request,),
        predict=_KerasPredictor(body),
        notes=(*source.notes, *loaded.notes, *call.notes),
    )


@dataclass(frozen=True, slots=True)
class _LoadedModel:
    model: Any
    loader: Loader
    notes: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _KerasPredictor:
    """Keras' own answer, computed eagerly in inference mode."""

    body: ObjectBody

    def __call__(
        self, request: SignatureRequest, inputs: Arrays, *, frozen: Mapping[str, Scalar]
    ) -> dict[str, np.ndarray]:
        import tensorflow as tf

        if frozen:
            raise SettingsError(
                "A Keras model has no training switches to freeze: it always runs in inference mode.",
                expected="no frozen tensors",
                received=", ".join(frozen),
            )
        resolved = self.body.resolve_request(request)
        given = {name: inputs[key] for key, name in resolved.inputs.items()}
        batch = next((array.shape[0] for array in given.values() if array.ndim), 1)
        tensors = {}
        for name, spec in self.body.inputs.items():
            array = given.get(name)
            if array is None:
                # The signature leaves this input out, so its outputs do not depend on it.
                sizes = spec.shape or ()
                filler = [
                    (batch if axis == 0 else 1) if size is None else size for axis, size in enumerate(sizes)
                ]
                tensors[name] = tf.zeros(filler, spec.dtype)
            else:
                tensors[name] = tf.constant(array, dtype=spec.dtype)
        with _keep_states(self.body.trackable):
            results = self.body.call(tensors)
        return {key: tf.convert_to_tensor(results[name]).numpy() for key, name in resolved.outputs.items()}


@contextmanager
def _keep_states(model: Any) -> Iterator[None]:
    """Puts recurrent states back, so that asking for the baseline does not change what is exported."""
    import tensorflow as tf

    states = [state for layer in find_stateful_layers(model) for state in tf.nest.flatten(layer.states)]
    values = [state.numpy() for state in states]
    yield
    for state, value in zip(states, values, strict=True):
        state.assign(value)


def _load_model(config: KerasConfig, custom_objects: Path | None) -> _LoadedModel:
    try:
        return _load_with(config, config.loader, custom_objects)
    except _LoadFailure as failure:
        first = failure
    other = Loader.KERAS if config.loader is Loader.TF_KERAS else Loader.TF_KERAS
    try:
        loaded = _load_with(config, other, custom_objects)
    except _LoadFailure:
        raise _describe_failure(config, first) from first.error
    note = Finding(
        CHECK_NAME,
        Severity.WARNING,
        f"{config.loader} could not load this file ({_describe_error(first.error)}); {other} did.",
        where=str(config.path),
        advice="compare the outputs with those of the model where it was trained",
    )
    return _LoadedModel(loaded.model, loaded.loader, (note, *loaded.notes))


class _LoadFailure(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, error: Exception, keras: ModuleType, custom_names: frozenset[str]) -> None:
        super().__init__(str(error))
        self.error = error
        self.keras = keras
        self.custom_names = custom_names


def _load_with(config: KerasConfig, loader: Loader, custom_objects: Path | None) -> _LoadedModel:
    keras = _import_keras(loader)
    objects = {} if custom_objects is None else load_custom_objects(custom_objects, keras)
    check_config(config.model, where=str(config.path), custom_names=objects.keys())
    if loader is Loader.KERAS and config.kind == HDF5_KIND:
        objects = find_operations(config.model, keras) | objects
    suffix = ".keras" if config.kind == ARCHIVE_KIND else ".h5"
    with (
        tempfile.TemporaryDirectory(prefix="servable-") as folder,
        warnings.catch_warnings(record=True) as seen,
    ):
        warnings.simplefilter("always")
        # Both loaders go by the suffix, and tf_keras opens archives for writing.
        staged_path = Path(folder, f"model{suffix}")
        if config.kind == ARCHIVE_KIND and loader is Loader.TF_KERAS:
            shutil.copyfile(config.path, staged_path)
        else:
            staged_path.symlink_to(config.path.resolve())
        try:
            model = keras.models.load_model(
                staged_path, custom_objects=objects, compile=False, safe_mode=True
            )
        # Keras raises whatever its layers raise.
        except Exception as error:
            raise _LoadFailure(error, keras, frozenset(objects)) from error
    return _LoadedModel(model, loader, tuple(_note_warnings(seen, config)))


def _import_keras(loader: Loader) -> ModuleType:
    keras = importlib.import_module(loader.value)
    if loader is Loader.KERAS and keras.backend.backend() != "tensorflow":
        raise SettingsError(
            "Keras runs on another backend than TensorFlow, which cannot make a SavedModel for serving.",
            expected="the backend tensorflow",
            received=keras.backend.backend(),
            where="KERAS_BACKEND or ~/.keras/keras.json",
            advice="export KERAS_BACKEND=tensorflow",
        )
    return keras


def _note_warnings(seen: list[warnings.WarningMessage], config: KerasConfig) -> list[Finding]:
    texts = dict.fromkeys(
        " ".join(str(item.message).split()) for item in seen if issubclass(item.category, UserWarning)
    )
    return [Finding(CHECK_NAME, Severity.INFO, f"Keras warned: {text}", str(config.path)) for text in texts]


def _describe_failure(config: KerasConfig, failure: _LoadFailure) -> BrokenSourceError:
    unknown = list_unknown_names(config.model, failure.keras, failure.custom_names)
    received = _describe_error(failure.error)
    if unknown:
        return BrokenSourceError(
            f"Neither {config.loader} nor the custom objects define what this model needs: "
            f"{', '.join(unknown)}.",
            expected="classes and functions of Keras, or of the file given with --custom-objects",
            received=received,
            where=str(config.path),
            advice="put their code into FILE.py with CUSTOM_OBJECTS = {name: object} and pass "
            "--custom-objects FILE.py",
        )
    return BrokenSourceError(
        f"{config.loader} cannot load this model, and the other Keras cannot either.",
        expected=f"a whole model as Keras {config.version or 'of its time'} writes it",
        received=received,
        where=str(config.path),
        advice="open the file with the Keras version that wrote it and save it again",
    )


def _describe_error(error: Exception, limit: int = 1000) -> str:
    # Keras repeats the whole configuration in its messages.
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= limit else f"{text[:limit]} ..."
