"""ROOM 1: how a live Keras model is called by names.

What passes through: a loaded model of either Keras comes in; its inputs and outputs by name, and a function
that runs it in inference mode, go out. Whatever structure of lists and dicts the model takes or gives, it is
flat and named from here on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from servable.report import Finding, Severity
from servable.signature import TensorSpec
from servable.sources.keras_files.config import Loader

# Notes of the intake go by this name, whichever reader makes them.
CHECK_NAME = "source"


@dataclass(frozen=True, slots=True)
class KerasCall:
    """A model that takes and gives tensors by name.

    Attributes:
        run: Inference mode; input name to tensor in, output name to tensor out.
        inputs: In the model's order.
        outputs: In the model's order.
        notes: What the user should know about them.
    """

    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    notes: tuple[Finding, ...] = field(default=())


def make_unique(names: Iterable[str]) -> list[str]:
    """Numbers repeated names, as Keras does: "dense", "dense_1"."""
    taken: list[str] = []
    for name in names:
        unique, count = name, 0
        while unique in taken:
            count += 1
            unique = f"{name}_{count}"
        taken.append(unique)
    return taken


def bind_symbolic(model: Any, loader: Loader) -> KerasCall:
    """Finds names, types and shapes of a Functional or Sequential model's inputs and outputs.

    Names are those of the input and output layers, or the keys where the model gives a dict.

    Args:
        model: A `keras.Model` or `tf_keras.Model` that has `inputs` and `outputs`.
        loader: Which of the two it is.
    """
    nest = find_nest(loader)
    input_names = make_unique(_name_producer(tensor) for tensor in model.inputs)
    output_names = _name_outputs(model)
    structure = model.input if hasattr(model, "_nested_inputs") or hasattr(model, "_inputs_struct") else None
    inputs = {name: _describe_tensor(tensor) for name, tensor in zip(input_names, model.inputs, strict=True)}
    outputs = {
        name: _describe_tensor(tensor) for name, tensor in zip(output_names, model.outputs, strict=True)
    }
    composites = {
        name: kind
        for name, tensor in zip(input_names, model.inputs, strict=True)
        if (kind := _find_composite(tensor))
    }

    def run(tensors: Mapping[str, Any]) -> dict[str, Any]:
        flat = [_to_composite(tensors[name], composites.get(name, "")) for name in input_names]
        packed = flat[0] if structure is None else nest.pack_sequence_as(structure, flat)
        with compute_as_eager(loader):
            results = nest.flatten(model(packed, training=False))
        return {name: to_dense(result) for name, result in zip(output_names, results, strict=True)}

    notes = [
        *_note_ends(inputs, composites),
        *_note_states(model),
        *_note_preprocessing(model, loader, inputs),
    ]
    return KerasCall(run, inputs, outputs, tuple(notes))


@contextmanager
def compute_as_eager(loader: Loader) -> Iterator[None]:
    """Keeps preprocessing layers of Keras 3 from taking a traced model for a tf.data pipeline.

    There they cast their inputs to float first, so that resized uint8 images are no longer rounded and the
    traced model answers otherwise than `model(x)`.
    """
    import tensorflow as tf

    if loader is not Loader.KERAS or tf.executing_eagerly():
        yield
        return
    from keras.src.layers.layer import Layer
    from keras.src.layers.preprocessing.data_layer import DataLayer

    with mock.patch.object(DataLayer, "__call__", Layer.__call__):
        yield


def find_nest(loader: Loader) -> Any:
    """Gives the functions `flatten` and `pack_sequence_as` that a Keras flattens structures with."""
    # Each Keras flattens with its own tree: they differ in what counts as a leaf.
    if loader is Loader.KERAS:
        import keras

        return keras.tree
    import tensorflow as tf

    return tf.nest


def _name_producer(tensor: Any) -> str:
    history = tensor._keras_history
    producer = getattr(history, "operation", None) or getattr(history, "layer", None)
    return str(producer.name if producer is not None else tensor.name)


def _name_outputs(model: Any) -> list[str]:
    structure = getattr(model, "output", None)
    if isinstance(structure, Mapping) and len(structure) == len(model.outputs):
        # The author's own keys. Both trees flatten dicts in the order of their sorted keys.
        by_tensor = {id(tensor): str(key) for key, tensor in structure.items()}
        keys = [by_tensor.get(id(tensor)) for tensor in model.outputs]
        names = [key for key in keys if key is not None]
        if len(set(names)) == len(model.outputs):
            return names
    return make_unique(_name_producer(tensor) for tensor in model.outputs)


def _describe_tensor(tensor: Any) -> TensorSpec:
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    if tensor.shape is None or getattr(tensor.shape, "rank", 0) is None:
        return TensorSpec(dtype, None, tensor.name)
    return TensorSpec(dtype, tuple(None if size is None else int(size) for size in tensor.shape), tensor.name)


def _find_composite(tensor: Any) -> str:
    spec = type(getattr(tensor, "type_spec", None)).__name__
    if spec == "SparseTensorSpec" or getattr(tensor, "sparse", False) is True:
        return "sparse"
    if spec == "RaggedTensorSpec" or getattr(tensor, "ragged", False) is True:
        return "ragged"
    return ""


def _to_composite(tensor: Any, kind: str) -> Any:
    if not kind:
        return tensor
    import tensorflow as tf

    return tf.sparse.from_dense(tensor) if kind == "sparse" else tf.RaggedTensor.from_tensor(tensor)


def to_dense(tensor: Any) -> Any:
    """Makes a sparse or ragged tensor dense, padded with zeros; any other is returned as it is."""
    # A signature holds dense tensors only.
    import tensorflow as tf

    if isinstance(tensor, tf.SparseTensor):
        return tf.sparse.to_dense(tensor)
    if isinstance(tensor, tf.RaggedTensor):
        return tensor.to_tensor()
    return tensor


def _note_ends(inputs: Mapping[str, TensorSpec], composites: Mapping[str, str]) -> Iterable[Finding]:
    for name, kind in composites.items():
        yield Finding(
            CHECK_NAME,
            Severity.WARNING,
            f"The model takes a {kind} tensor; its signature takes a dense one and converts it.",
            where=f"input {name}",
        )
    for name, spec in inputs.items():
        if spec.shape and spec.shape[0] is not None:
            yield Finding(
                CHECK_NAME,
                Severity.WARNING,
                f"The model was built for batches of exactly {spec.shape[0]}.",
                where=f"input {name}",
                advice="build it again without batch_size or batch_shape where other batches are served",
            )


def list_layers(model: Any) -> list[Any]:
    """Lists a Keras model's layers, those of inner models too; a `tf.Module` has none."""
    # Both Keras have it, and neither has a public way.
    return list(model._flatten_layers()) if hasattr(model, "_flatten_layers") else []


def find_stateful_layers(model: Any) -> list[Any]:
    """Lists the recurrent layers that carry their state from one call to the next."""
    flat = list_layers(model)
    return [layer for layer in flat if getattr(layer, "stateful", False) and getattr(layer, "states", None)]


def _note_states(model: Any) -> Iterable[Finding]:
    layers = find_stateful_layers(model)
    if layers:
        yield Finding(
            CHECK_NAME,
            Severity.WARNING,
            "Layers of this model carry their state from one call to the next (stateful=True): served "
            "answers depend on earlier requests.",
            where=", ".join(layer.name for layer in layers),
            advice="build the model again with stateful=False, load these weights, and save that",
        )


def _note_preprocessing(model: Any, loader: Loader, inputs: Mapping[str, TensorSpec]) -> Iterable[Finding]:
    if loader is not Loader.KERAS or not any("int" in spec.dtype for spec in inputs.values()):
        return
    from keras.src.layers.preprocessing.data_layer import DataLayer

    layers = [layer.name for layer in list_layers(model) if isinstance(layer, DataLayer)]
    if layers:
        yield Finding(
            CHECK_NAME,
            Severity.INFO,
            "Keras rounds integer images after preprocessing layers in model(x), not in model.predict(x). "
            "The export answers as model(x).",
            where=", ".join(layers),
        )
