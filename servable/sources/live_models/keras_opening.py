"""ROOM 1: a Keras file becomes a live model.

What passes through: a `.h5` or `.keras` file comes in, goes through the gate, and is built by the Keras that
its era belongs to: tf_keras before Keras 3, Keras from then on. A `TrainedModel` goes out, with Keras' own
answer as the baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servable.model import ObjectBody, Progress, TrainedModel
from servable.report import Finding
from servable.signature import SignatureRequest, TensorSpec
from servable.sources.detect import Kind
from servable.sources.keras_files.calling import KerasCall, bind_symbolic
from servable.sources.keras_files.config import Loader, read_keras_config
from servable.sources.keras_files.loading import load_keras_file, note_files_run
from servable.sources.live_models.keras_subclassed import bind_subclassed
from servable.sources.live_models.keras_weights import load_keras_weights
from servable.sources.live_models.predicting import ObjectPredictor
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, describe_origin


def open_keras(source: Source, options: SourceOptions, *, progress: Progress | None = None) -> TrainedModel:
    """Builds the model of a Keras file, with its weights, for inference.

    Args:
        source: Of a Keras kind.
        options: What the user says about it; the files it names are the only code that runs.
        progress: Told of the stages.

    Returns:
        A model with an `ObjectBody` and one suggested signature, "serving_default".

    Raises:
        UnknownSourceError: The file holds weights, and no structure was named.
        BrokenSourceError: The file is damaged or incomplete, or names classes that nobody defines.
        UnsafeSourceError: Loading it would run code or reach outside it.
        SettingsError: A file of the user's cannot be used, or Keras runs on another backend.
    """
    if progress:
        progress("load model", 0, 1)
    if source.kind is Kind.KERAS_HDF5_WEIGHTS:
        weighed = load_keras_weights(source.path, options)
        loaded, inputs, version = weighed.loaded, weighed.inputs, weighed.version
        build_config = None
    else:
        config = read_keras_config(
            source.path,
            source.kind.value,
            custom_names=frozenset() if options.custom_objects is None else None,
            replaced_layers=options.replace_layers.keys(),
        )
        loaded, inputs, version = load_keras_file(config, options), {}, config.version
        build_config = config.model.get("build_config")
    call = bind_keras(
        loaded.model, loaded.loader, build_config=build_config, inputs=inputs, where=str(source.path)
    )
    if progress:
        progress("load model", 1, 1)
    notes = (*source.notes, *note_files_run(options), *loaded.notes, *call.notes)
    return make_trained_model(source, loaded.model, call, version=version, notes=notes)


def bind_keras(
    model: Any, loader: Loader, *, build_config: Any, inputs: Mapping[str, TensorSpec], where: str
) -> KerasCall:
    """Finds how a live Keras model is called by names.

    Args:
        model: Of either Keras.
        loader: Which one.
        build_config: What a file says of the shapes that it was built with; None asks the model itself.
        inputs: What the user says that it takes; may be empty.
        where: The file, for errors.

    Raises:
        BrokenSourceError: Nobody says what the model takes, or the model cannot be traced.
    """
    if getattr(model, "inputs", None):
        return bind_symbolic(model, loader)
    build_config = model.get_build_config() if build_config is None else build_config
    return bind_subclassed(model, loader, build_config=build_config, where=where, inputs=inputs)


def make_trained_model(
    source: Source, model: Any, call: KerasCall, *, version: str, notes: Iterable[Finding]
) -> TrainedModel:
    """Puts together what the intake hands on of a live Keras model."""
    body = ObjectBody(model, call.run, call.inputs, call.outputs)
    request = SignatureRequest(
        inputs={name: name for name in call.inputs}, outputs={name: name for name in call.outputs}
    )
    return TrainedModel(
        origin=describe_origin(source, framework="keras", framework_version=version),
        body=body,
        signatures=(request,),
        predict=ObjectPredictor(body),
        notes=tuple(notes),
    )
