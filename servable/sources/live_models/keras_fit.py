"""ROOM 1: whether stored weights and a live model fit each other, layer by layer.

What passes through: the weights that a file lists and a built model come in; what is in one and not in the
other, or of other sizes, goes out. Nothing is loaded here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from servable.sources.keras_files.layout import (
    TOP_LEVEL_GROUP,
    StoredLayer,
    StoredWeights,
    read_stored_weights,
)


@dataclass(frozen=True, slots=True)
class Fit:
    """How weights and model fit.

    Attributes:
        faults: Why they can't.
        doubts: Sizes that differ, which Keras' conversions of old layers may settle.
        renamed: Layer of the model to the layer of the file in its place, where the names differ.
        by_name: Whether the same names come in another order, so that order would mix layers up.
    """

    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    by_name: bool = False


def fit_weights(stored: StoredWeights, model: Any) -> Fit:
    """Compares stored weights with those of a live model, both ways.

    Args:
        stored: What the file lists.
        model: Of either Keras, built.
    """
    return _fit_layers(stored.layers, _list_layers(model)) if stored.by_layer else _fit_groups(stored, model)


def _fit_layers(theirs: Sequence[StoredLayer], ours: Sequence[StoredLayer]) -> Fit:
    their_names, our_names = [layer.name for layer in theirs], [layer.name for layer in ours]
    if len(theirs) != len(ours):
        return Fit(faults=tuple(_list_strangers(theirs, ours)))
    by_name = their_names != our_names and sorted(their_names) == sorted(our_names)
    if by_name:
        places = {layer.name: layer for layer in theirs}
        theirs = [places[name] for name in our_names]
    doubts = [text for pair in zip(theirs, ours, strict=True) for text in _compare(*pair)]
    renamed = {b.name: a.name for a, b in zip(theirs, ours, strict=True) if a.name != b.name}
    return Fit(doubts=tuple(doubts), renamed=renamed, by_name=by_name)


def _list_strangers(theirs: Sequence[StoredLayer], ours: Sequence[StoredLayer]) -> Iterator[str]:
    yield f"{len(theirs)} layers with weights in the file, {len(ours)} in the model"
    their_names, our_names = {layer.name for layer in theirs}, {layer.name for layer in ours}
    for layer in theirs:
        if layer.name not in our_names:
            yield f"only in the file: layer {layer.name} {_write_shapes(layer)}"
    for layer in ours:
        if layer.name not in their_names:
            yield f"only in the model: layer {layer.name} {_write_shapes(layer)}"


def _compare(theirs: StoredLayer, ours: StoredLayer) -> Iterator[str]:
    name = ours.name if ours.name == theirs.name else f"{ours.name} ({theirs.name} in the file)"
    for stored, live in zip_longest(theirs.weights.items(), ours.weights.items()):
        if stored is None:
            yield f"layer {name}: {live[0]} {list(live[1])} is not in the file"
        elif live is None:
            yield f"layer {name}: {stored[0]} {list(stored[1])} is not in the model"
        elif stored[1] != live[1]:
            yield f"layer {name}: {live[0]} is {list(live[1])} in the model, {list(stored[1])} in the file"


def _list_layers(model: Any) -> list[StoredLayer]:
    # As both Keras list them when they write this layout; weights of the model itself come last.
    layers = [
        StoredLayer(layer.name, _list_weights([*layer.trainable_weights, *layer.non_trainable_weights]))
        for layer in model.layers
    ]
    owned = {id(weight) for layer in model.layers for weight in layer.weights}
    top = [weight for weight in model.weights if id(weight) not in owned]
    layers.append(StoredLayer(TOP_LEVEL_GROUP, _list_weights(top)))
    return [layer for layer in layers if layer.weights]


def _list_weights(weights: Sequence[Any]) -> dict[str, tuple[int, ...]]:
    return {
        f"{getattr(weight, 'path', weight.name)}#{position}": tuple(
            -1 if size is None else int(size) for size in weight.shape
        )
        for position, weight in enumerate(weights)
    }


def _fit_groups(stored: StoredWeights, model: Any) -> Fit:
    # The groups follow Python attributes of the layers, which only Keras itself can tell: it writes the
    # new model's weights, and the two files are compared.
    with tempfile.TemporaryDirectory(prefix="servable-") as folder:
        path = Path(folder, "model.weights.h5")
        model.save_weights(str(path))
        ours = {layer.name: layer for layer in read_stored_weights(path).layers}
    theirs = {layer.name: layer for layer in stored.layers}
    faults = [
        f"only in the file: {name} {_write_shapes(theirs[name])}" for name in theirs if name not in ours
    ]
    faults += [
        f"only in the model: {name} {_write_shapes(ours[name])}" for name in ours if name not in theirs
    ]
    faults += [text for name in ours if name in theirs for text in _compare(theirs[name], ours[name])]
    return Fit(faults=tuple(faults))


def _write_shapes(layer: StoredLayer) -> str:
    return ", ".join(str(list(shape)) for shape in layer.weights.values())
