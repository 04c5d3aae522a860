"""ROOM 1: what a Keras wrote in a way that no Keras of today reads as it was meant. No TensorFlow here.

What passes through: a configuration comes in, the same one in words that its loader understands goes out.
"""

from __future__ import annotations

import json
from typing import Any

from servable.sources.keras_files.config import ARCHIVE_KIND, HDF5_KIND, KerasConfig, Loader

# Layers that took an option on whose default changed, and what they did while there was no such option.
_BEFORE_OPTIONS: dict[str, dict[str, Any]] = {
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
}


def repair_config(config: KerasConfig, loader: Loader) -> dict[str, Any]:
    """Rewrites a configuration for the Keras that is to build it.

    Keras 2.12 to 2.15 write a function of the user's own into HDF5 files as
    ``{"class_name": "function", "config": NAME, ...}``, and look it up there under the name "function". The
    bare name is what all versions before wrote, and what they find.

    Keras up to 2.1.4 and tf.keras of TensorFlow 1 at first knew one GRU, with the reset gate applied before
    the multiplication. Their files don't say so, and the default has become the other one.

    tf.keras of TensorFlow 1.11 to 1.13 keeps the limits of a ReLU as arrays, and writes them as
    ``{"type": "ndarray", "value": 6.0}``.

    Returns:
        `config.model` itself where there is nothing to repair.
    """
    if config.kind == ARCHIVE_KIND:
        # Younger than all that is repaired here.
        return config.model

    def repair(entry: dict[str, Any]) -> Any:
        is_nameless = loader is Loader.TF_KERAS and config.kind == HDF5_KIND and _is_function(entry)
        if is_nameless:
            return entry["config"]
        return entry["value"] if _is_number(entry) else _fill_options(entry)

    repaired: dict[str, Any] = json.loads(json.dumps(config.model), object_hook=repair)
    return config.model if repaired == config.model else repaired


def _is_function(entry: dict[str, Any]) -> bool:
    return entry.get("class_name") == "function" and isinstance(entry.get("config"), str)


def _is_number(entry: dict[str, Any]) -> bool:
    return (
        entry.keys() == {"type", "value"} and entry["type"] == "ndarray" and isinstance(entry["value"], float)
    )


def _fill_options(entry: dict[str, Any]) -> dict[str, Any]:
    name, body = entry.get("class_name"), entry.get("config")
    missing = _BEFORE_OPTIONS.get(name) if isinstance(name, str) else None
    # A class of the user's own may bear the name.
    if missing is None or not isinstance(body, dict) or "recurrent_activation" not in body:
        return entry
    return {**entry, "config": {**missing, **body}}
