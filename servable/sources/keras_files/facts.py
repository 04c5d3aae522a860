"""ROOM 1: what a Keras file holds, for `servable inspect`. No TensorFlow here.

What passes through: a file comes in; its layers, weights, inputs and outputs go out as the file states them.
Nothing is built, so the shape of an output is known only where the file writes it down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py

from servable.signature import TensorSpec
from servable.sources.keras_files.archive import open_checked_archive, open_weights
from servable.sources.keras_files.config import ARCHIVE_KIND, KerasConfig, read_keras_config
from servable.sources.keras_files.hdf5 import open_checked_hdf5
from servable.sources.keras_files.layout import TOP_LEVEL_GROUP, TRAINING_GROUPS, list_names

_UNKNOWN = TensorSpec("?", None)


@dataclass(frozen=True, slots=True)
class KerasWeight:
    """One stored weight: name as in the file, numpy's name of its type, sizes."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """One layer of the outermost model.

    Attributes:
        name: Of the layer.
        class_name: Such as "Dense".
        parameters: Numbers in its weights, inner layers included.
    """

    name: str
    class_name: str
    parameters: int


@dataclass(frozen=True, slots=True)
class KerasFacts:
    """What a Keras file holds.

    Attributes:
        version: Keras version that wrote it; "" where the file does not say.
        layers: In the file's order; empty for a model written in Python code.
        inputs: Name to type and sizes.
        outputs: Likewise; type "?" and any rank where the file does not say.
        weights: Of the model, without the optimizer's.
    """

    version: str
    layers: tuple[KerasLayer, ...]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    weights: tuple[KerasWeight, ...]


def describe_keras(path: Path, kind: str) -> KerasFacts:
    """Describes a Keras file without building its model.

    Args:
        path: The file.
        kind: "keras-hdf5" or "keras-archive".

    Raises:
        UnknownSourceError: The file has weights but no model.
        BrokenSourceError: The file is damaged or incomplete.
        UnsafeSourceError: Loading it would run code or reach outside it.
    """
    # Code of the user's own, which the file may name, matters only when the model is built.
    config = read_keras_config(path, kind, custom_names=None)
    owned = list(_read_archive_weights(path) if kind == ARCHIVE_KIND else _read_hdf5_weights(path))
    sizes: dict[str, int] = {}
    for layer, weight in owned:
        sizes[layer] = sizes.get(layer, 0) + prod(weight.shape)
    entries = [
        e for e in _get_list(config.model["config"], "layers") if isinstance(e, dict) and "class_name" in e
    ]
    layers = tuple(
        KerasLayer(name, str(entry["class_name"]), sizes.get(name, 0))
        for entry in entries
        for name in [_name_layer(entry)]
    )
    inputs, outputs = _list_ends(config, entries)
    return KerasFacts(
        version=config.version,
        layers=layers,
        inputs=inputs,
        outputs=outputs,
        weights=tuple(weight for _, weight in owned),
    )


def _read_hdf5_weights(path: Path) -> Iterator[tuple[str, KerasWeight]]:
    with open_checked_hdf5(path, where=str(path)) as file:
        group = file["model_weights"]
        for layer in [*list_names(group, "layer_names"), TOP_LEVEL_GROUP]:
            if layer in group:
                for name in list_names(group[layer], "weight_names"):
                    yield layer, _describe_weight(name, group[layer][name])


def _read_archive_weights(path: Path) -> Iterator[tuple[str, KerasWeight]]:
    with (
        open_checked_archive(path) as archive,
        open_weights(archive, path) as member,
        open_checked_hdf5(member, where=f"{path}, model.weights.h5") as file,
    ):
        found: list[tuple[str, KerasWeight]] = []

        def visit(name: str, item: Any) -> None:
            parts = name.split("/")
            if isinstance(item, h5py.Dataset) and parts[0] not in TRAINING_GROUPS:
                found.append((_find_owner(file, parts), _describe_weight(name, item)))

        file.visititems(visit)
        yield from found


def _find_owner(file: h5py.File, parts: list[str]) -> str:
    # Groups are numbered by class ("layers/dense_1"); the layer's own name is an attribute of its vars.
    top = "/".join(parts[:2]) if parts[0] in ("layers", "_layer_checkpoint_dependencies") else parts[0]
    named = file.get(f"{top}/vars")
    if isinstance(named, h5py.Group) and "name" in named.attrs:
        return str(named.attrs["name"])
    return top.rpartition("/")[2]


def _describe_weight(name: str, dataset: h5py.Dataset) -> KerasWeight:
    return KerasWeight(name, dataset.dtype.name, tuple(int(size) for size in dataset.shape or ()))


def _list_ends(
    config: KerasConfig, entries: list[dict[str, Any]]
) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    by_name = {_name_layer(entry): entry for entry in entries}
    body = config.model["config"]
    if isinstance(body, dict) and "input_layers" in body:
        inputs = {
            name: _read_input(by_name.get(name, {}).get("config"))
            for name in _name_ends(body["input_layers"])
        }
        return inputs, dict.fromkeys(_name_ends(body.get("output_layers")), _UNKNOWN)
    if not entries:
        return {}, {}
    # A Sequential model takes what its first layer takes, under that layer's name where it is no InputLayer.
    first, last = entries[0], entries[-1]
    is_input = first["class_name"] == "InputLayer"
    name = _name_layer(first) if is_input else f"{_name_layer(first)}_input"
    spec = _read_input(first.get("config"))
    built = body.get("build_input_shape") if isinstance(body, dict) else None
    if spec.shape is None and isinstance(built, list):
        spec = TensorSpec(spec.dtype, _read_shape(built))
    return {name: spec}, {_name_layer(last): _UNKNOWN}


def _name_ends(structure: Any) -> Iterator[str]:
    """Walks what Keras writes for the ends of a model: ["dense", 0, 0], lists and dicts of these."""
    if isinstance(structure, dict):
        for value in structure.values():
            yield from _name_ends(value)
    elif isinstance(structure, list):
        if len(structure) == 3 and isinstance(structure[0], str):
            yield structure[0]
        else:
            for value in structure:
                yield from _name_ends(value)


def _read_input(config: Any) -> TensorSpec:
    if not isinstance(config, dict):
        return _UNKNOWN
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        policy = dtype.get("config")
        dtype = policy.get("name") if isinstance(policy, dict) else None
    # A policy such as "mixed_float16" names what the layer computes in; it takes float32.
    known = isinstance(dtype, str) and not dtype.startswith("mixed_")
    return TensorSpec(str(dtype) if known else "float32", _read_shape(shape))


def _read_shape(shape: Any) -> tuple[int | None, ...] | None:
    if isinstance(shape, list) and all(size is None or isinstance(size, int) for size in shape):
        return tuple(shape)
    return None


def _name_layer(entry: dict[str, Any]) -> str:
    config = entry.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return str(name if name is not None else entry.get("name", entry["class_name"]))


def _get_list(config: Any, key: str) -> list[Any]:
    # Keras up to 2.2.2 wrote a Sequential model as the bare list of its layers.
    value = config if isinstance(config, list) else config.get(key) if isinstance(config, dict) else None
    return value if isinstance(value, list) else []
