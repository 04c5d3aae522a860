"""ROOM 1: the user's functions in place of the code that Lambda layers store.

What passes through: `--replace-layer NAME=FILE.py:FUNCTION` comes in; a class that stands for such a layer,
for either Keras, goes out. It is Keras' own Lambda in all but where its function comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from servable.errors import SettingsError
from servable.sources.keras_files.lambdas import REPLACED_CLASS, REPLACED_KEY
from servable.sources.user_code.running import find_function, run_user_file

FLAG = "--replace-layer"
_MASK_SUFFIX = "_mask"


@dataclass(frozen=True, slots=True)
class Replacement:
    """What stands in for one Lambda layer.

    Attributes:
        function: Takes the layer's inputs, and `mask`, `training` or the layer's own arguments where it names
            them.
        mask: Takes inputs and their mask, gives the mask of the output; None for no mask.
        names_mask: Whether the file says what `mask` is.
        place: Where they come from, for errors.
    """

    function: Callable[..., Any]
    mask: Callable[..., Any] | None
    names_mask: bool
    place: str


def split_place(name: str, place: str) -> tuple[Path, str]:
    """Splits "FILE.py:FUNCTION".

    Raises:
        SettingsError: It is spelled in another way.
    """
    file, _, function = place.rpartition(":")
    if not file or not function.isidentifier():
        raise SettingsError(
            "This is no function of a file.",
            expected=f"{FLAG} {name}=FILE.py:FUNCTION",
            received=f"{FLAG} {name}={place}",
            advice="name the file and the function, with a colon between them",
        )
    return Path(file), function


def list_replacing_files(replace_layers: Mapping[str, str]) -> list[Path]:
    """Lists the files that the functions come from, each once."""
    return list(dict.fromkeys(split_place(name, place)[0] for name, place in replace_layers.items()))


def load_replacements(replace_layers: Mapping[str, str]) -> dict[str, Replacement]:
    """Runs the user's files, each once, and takes the functions out of them.

    Args:
        replace_layers: Layer name to "FILE.py:FUNCTION".

    Raises:
        SettingsError: A file is missing or fails, or has no such function.
    """
    modules = {path: run_user_file(path, FLAG) for path in list_replacing_files(replace_layers)}
    return {
        name: _take_functions(modules[path], path, function)
        for name, place in replace_layers.items()
        for path, function in [split_place(name, place)]
    }


def make_replaced_class(keras: ModuleType, replacements: Mapping[str, Replacement]) -> dict[str, Any]:
    """Makes the class that configurations of replaced layers are built with.

    Args:
        keras: `keras` or `tf_keras`.
        replacements: By the name that the user gave.

    Returns:
        Class name to class, as custom objects; empty without replacements.
    """
    if not replacements:
        return {}

    def from_config(cls: Any, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        rest = dict(config)
        name = rest.pop(REPLACED_KEY, "")
        chosen = replacements[name]
        if rest.pop("has_mask", False) and not chosen.names_mask:
            mask_name = chosen.place.rpartition(":")[2] + _MASK_SUFFIX
            raise SettingsError(
                f"Lambda layer {name!r} computes a mask too, and nothing replaces that.",
                expected=f"def {mask_name}(inputs, mask), or {mask_name} = None",
                where=chosen.place,
                advice="define it beside the function",
            )
        arguments = _revive(rest.pop("arguments", None) or {}, keras)
        return cls(chosen.function, mask=chosen.mask, arguments=arguments, **rest)

    # Weights files of Keras 3 number layers by the names of their classes.
    replaced = type("Lambda", (keras.layers.Lambda,), {"from_config": classmethod(from_config)})
    return {REPLACED_CLASS: replaced}


def _take_functions(module: ModuleType, path: Path, name: str) -> Replacement:
    function = find_function(module, name, path, returns="what the layer gives for its inputs")
    mask = getattr(module, name + _MASK_SUFFIX, None)
    return Replacement(
        function,
        mask if callable(mask) else None,
        names_mask=hasattr(module, name + _MASK_SUFFIX),
        place=f"{path}:{name}",
    )


def _revive(arguments: Mapping[str, Any], keras: ModuleType) -> dict[str, Any]:
    # Keras 2 wrote arrays as {"type": "ndarray", "value": [...]}, later ones as {"class_name": "__numpy__"}.
    return {
        key: np.array(value["value"])
        if isinstance(value, dict) and value.get("type") == "ndarray"
        else keras.saving.deserialize_keras_object(value)
        if isinstance(value, dict | list)
        else value
        for key, value in arguments.items()
    }
