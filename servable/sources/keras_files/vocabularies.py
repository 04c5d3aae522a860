"""ROOM 1: vocabularies that neither a structure nor weights carry.

What passes through: a live model comes in, an error goes out where one of its lookup layers has an empty
table: `adapt()` fills it, and neither `to_json()` nor a checkpoint nor a weights file writes it down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servable.errors import BrokenSourceError
from servable.sources.keras_files.calling import list_layers


def check_vocabularies(model: Any, path: Path) -> None:
    """Looks whether every lookup layer knows its vocabulary.

    Args:
        model: A live model of either Keras, its weights restored.
        path: Where they come from, for the error.

    Raises:
        BrokenSourceError: Names the layers whose table is empty.
    """
    lookups = [layer for layer in list_layers(model) if hasattr(layer, "get_vocabulary")]
    empty = [layer.name for layer in lookups if _is_empty(layer)]
    if empty:
        raise BrokenSourceError(
            "The vocabulary of lookup layers is neither in the structure nor in the weights.",
            expected="a vocabulary for " + ", ".join(dict.fromkeys(empty)),
            received="empty tables, as adapt() finds them",
            where=str(path),
            advice="save the whole model where it was trained, model.save('model.keras'); or name code with "
            "--module whose build_model() makes these layers with vocabulary=[...]",
        )


def _is_empty(layer: Any) -> bool:
    import tensorflow as tf

    # TextVectorization keeps its table in a layer of its own.
    table = getattr(getattr(layer, "_lookup_layer", layer), "lookup_table", None)
    if table is None:
        return False
    try:
        return int(table.size()) <= 0
    except tf.errors.FailedPreconditionError:
        return True
