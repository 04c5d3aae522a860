"""ROOM 1: where the weights of a model lie in an HDF5 file. No TensorFlow here.

What passes through: an open file that passed the gate comes in; its layers and their weights go out, of each
of the two layouts: one group for each layer, listed in attributes (Keras 1 and 2), or groups that follow the
objects of the model, with numbered datasets (`*.weights.h5`, Keras 3 and late Keras 2).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from servable.errors import BrokenSourceError, UnknownSourceError, UnsafeSourceError
from servable.sources.keras_files.hdf5 import MAX_OBJECTS, open_checked_hdf5

# Groups of a weights file that belong to training, not to the model.
TRAINING_GROUPS = frozenset({"optimizer", "metrics", "loss_tracker", "_optimizer", "_metrics"})
TOP_LEVEL_GROUP = "top_level_model_weights"


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """Weights of one layer.

    Attributes:
        name: Of its group: the layer's own name in the older layout, the way to it in the newer one.
        weights: Name to sizes, in the order of the file.
        dtypes: Name to numpy's name of the type.
    """

    name: str
    weights: dict[str, tuple[int, ...]]
    dtypes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Weights of a model without the model.

    Attributes:
        by_layer: Whether the layout is the older one, a group for each layer.
        version: Keras version that wrote them; "" where the file does not say.
        is_keras3: Whether only Keras 3 writes this; None where both do.
        layers: In the order of the file, without those that have no weights.
    """

    by_layer: bool
    version: str
    is_keras3: bool | None
    layers: tuple[StoredLayer, ...]


def read_stored_weights(path: Path) -> StoredWeights:
    """Lists the weights of a weights-only file.

    Raises:
        BrokenSourceError: The file is damaged, or a weight that it lists is missing.
        UnsafeSourceError: It reaches outside itself.
        UnknownSourceError: It is HDF5, but not Keras'.
    """
    with open_checked_hdf5(path, where=str(path)) as file:
        version = decode_text(file.attrs.get("keras_version", ""))
        if "layer_names" in file.attrs or "layer_names0" in file.attrs:
            _check_layers(file, str(path))
            layers = tuple(layer for layer in _read_layers(file) if layer.weights)
            return StoredWeights(True, version, None, layers)
        layers = tuple(_read_groups(file))
        if not layers:
            raise UnknownSourceError(
                "This HDF5 file holds no weights of a Keras model.",
                expected="the attribute layer_names, or datasets named .../vars/0",
                received=", ".join(list(file)[:10]) or "an empty file",
                where=str(path),
                advice="name a file that model.save(...) or model.save_weights(...) wrote",
            )
        return StoredWeights(False, version, _names_groups(file), layers)


def list_names(group: h5py.Group, key: str) -> list[str]:
    """Reads a list of names that Keras keeps in attributes, split into `key0`, `key1`, ... when long."""
    parts: list[Any] = []
    if key in group.attrs:
        parts = list(group.attrs[key])
    else:
        position = 0
        while f"{key}{position}" in group.attrs:
            parts += list(group.attrs[f"{key}{position}"])
            position += 1
    return [decode_text(part) for part in parts]


def check_weights(file: h5py.File, where: str) -> None:
    """Looks whether a whole-model file has every weight that it lists.

    Raises:
        BrokenSourceError: Names the layers and weights that are missing.
    """
    weights = file.get("model_weights")
    if not isinstance(weights, h5py.Group):
        raise BrokenSourceError(
            "This HDF5 file has a model but no weights.",
            expected="the group /model_weights",
            received=", ".join(file) or "an empty file",
            where=where,
            advice="save the model again with model.save(...)",
        )
    _check_layers(weights, f"{where}, /model_weights")


def refuse_weights_only(file: h5py.File, path: Path) -> UnknownSourceError:
    """Makes the error that says what weights alone lack, and what to type."""
    layers = list_names(file, "layer_names") or [layer.name for layer in _read_groups(file)]
    return UnknownSourceError(
        "This HDF5 file holds weights but no model: the layers' configuration is not in it.",
        expected="a whole model, or the model's structure beside these weights",
        received=f"weights of {len(layers)} layers: {', '.join(layers[:10])}"
        if layers
        else "no model_config and no layer_names",
        where=str(path),
        advice=advise_structure(path),
    )


def advise_structure(path: Path, *, is_keras: bool = True) -> str:
    """Writes what to type, and what the files named in it have to hold."""
    architecture = "--architecture with the JSON that model.to_json() writes"
    module = "--module with a file where build_model() returns the model"
    advice = f"{architecture}; or {module}" if is_keras else f"{module}, or the tf.Module; or {architecture}"
    return f"{write_structure_command(path, is_keras=is_keras)} ({advice})"


def write_structure_command(path: Path, *, is_keras: bool = True) -> str:
    """Writes the command for weights whose model is not in their file; names a JSON file beside them."""
    beside = [child for child in path.parent.glob("*.json") if child.is_file()]
    if not is_keras and len(beside) != 1:
        return f"servable convert {shlex.quote(str(path))} OUT_DIR --module FILE.py"
    file = shlex.quote(str(beside[0])) if len(beside) == 1 else "FILE.json"
    return f"servable convert {shlex.quote(str(path))} OUT_DIR --architecture {file}"


def decode_text(value: Any) -> str:
    """Reads an attribute's text, which is bytes or a string by turns."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_layers(weights: h5py.Group, where: str) -> None:
    missing = []
    listed = 0
    for layer in list_names(weights, "layer_names"):
        group = weights.get(layer)
        if not isinstance(group, h5py.Group):
            missing.append(f"layer {layer!r}")
            continue
        names = list_names(group, "weight_names")
        listed += 1 + len(names)
        if listed > MAX_OBJECTS:
            # Many layers by one list of names: a small file that never ends.
            raise UnsafeSourceError(
                "This HDF5 file lists too many weights.",
                expected=f"at most {MAX_OBJECTS}, each once",
                received=f"{listed} up to layer {layer!r}",
                where=where,
            )
        missing += [
            f"{name!r} of layer {layer!r}" for name in names if not isinstance(group.get(name), h5py.Dataset)
        ]
    if missing:
        raise BrokenSourceError(
            f"Weights are missing from this HDF5 file: {'; '.join(missing[:20])}.",
            expected="a dataset for every weight that the file lists",
            received=f"{len(missing)} missing",
            where=where,
            advice="save the model or its weights again",
        )


def _read_layers(group: h5py.Group) -> Iterator[StoredLayer]:
    for layer in [*list_names(group, "layer_names"), TOP_LEVEL_GROUP]:
        if layer in group:
            names = list_names(group[layer], "weight_names")
            yield _describe_layer(layer, {name: group[layer][name] for name in names})


def _read_groups(file: h5py.File) -> Iterator[StoredLayer]:
    found: dict[str, dict[str, h5py.Dataset]] = {}

    def visit(name: str, item: Any) -> None:
        owner, _, number = f"/{name}".rpartition("/vars/")
        if isinstance(item, h5py.Dataset) and number and name.partition("/")[0] not in TRAINING_GROUPS:
            found.setdefault(owner.lstrip("/"), {})[number] = item

    file.visititems(visit)
    for name, weights in found.items():
        yield _describe_layer(name, weights)


def _names_groups(file: h5py.File) -> bool | None:
    # Late versions of Keras 3 write the layer's name at its variables; Keras 2 never does.
    named: list[str] = []
    file.visititems(lambda name, item: named.append(name) if "name" in item.attrs else None)
    return True if named else None


def _describe_layer(name: str, weights: dict[str, h5py.Dataset]) -> StoredLayer:
    return StoredLayer(
        name,
        {key: tuple(int(size) for size in item.shape or ()) for key, item in weights.items()},
        {key: item.dtype.name for key, item in weights.items()},
    )
