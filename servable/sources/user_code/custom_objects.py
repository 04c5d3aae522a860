"""ROOM 1: the user's own Python file with custom layers and functions.

What passes through: the path given with `--custom-objects` comes in, names and objects go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from servable.errors import SettingsError
from servable.sources.user_code.running import run_user_file, tell_failure

FLAG = "--custom-objects"
CONSTANT_NAME = "CUSTOM_OBJECTS"
FUNCTION_NAME = "custom_objects"


def load_custom_objects(path: Path, keras: ModuleType) -> dict[str, Any]:
    """Runs the user's file and collects the objects that it offers.

    Three ways are understood, and may be mixed: a mapping ``CUSTOM_OBJECTS = {name: object}``, a function
    ``custom_objects(keras)`` that returns one, and classes registered with
    ``@keras.saving.register_keras_serializable()``.

    Args:
        path: The Python file.
        keras: The Keras in use, `keras` or `tf_keras`; handed to ``custom_objects``.

    Returns:
        Objects by the name that a model's configuration uses, such as "Scale" or "package>Scale".

    Raises:
        SettingsError: The file is missing, fails when it runs, or offers no objects.
    """
    if not path.is_file():
        raise SettingsError(
            "There is no such file of custom objects.",
            expected=f"a Python file that defines {CONSTANT_NAME} or {FUNCTION_NAME}(keras)",
            where=str(path),
            advice="check the path of --custom-objects",
        )
    registered_before = dict(keras.saving.get_custom_objects())
    module = run_user_file(path, FLAG)
    found: dict[str, Any] = {}
    if hasattr(module, CONSTANT_NAME):
        found |= _check_mapping(getattr(module, CONSTANT_NAME), CONSTANT_NAME, path)
    if hasattr(module, FUNCTION_NAME):
        function = getattr(module, FUNCTION_NAME)
        if not callable(function):
            raise SettingsError(
                f"{FUNCTION_NAME} in the file of custom objects is not a function.",
                expected=f"def {FUNCTION_NAME}(keras): return {{name: object}}",
                received=type(function).__name__,
                where=str(path),
            )
        with tell_failure(path, f"The file of {FLAG} failed in {FUNCTION_NAME}(keras)."):
            offered = function(keras)
        found |= _check_mapping(offered, f"{FUNCTION_NAME}(keras)", path)
    registered = keras.saving.get_custom_objects()
    found |= {
        name: item
        for name, item in registered.items()
        if registered_before.get(name) is not item and name not in found
    }
    if not found:
        raise SettingsError(
            "The file of custom objects offers none.",
            expected=f"{CONSTANT_NAME} = {{name: object}}, or def {FUNCTION_NAME}(keras) that returns such a "
            "dict, or classes registered with keras.saving.register_keras_serializable()",
            received="no such names",
            where=str(path),
            advice='CUSTOM_OBJECTS = {"Scale": Scale}',
        )
    return found


def _check_mapping(offered: object, name: str, path: Path) -> dict[str, Any]:
    if isinstance(offered, Mapping) and all(isinstance(key, str) for key in offered):
        return dict(offered)
    raise SettingsError(
        f"{name} in the file of custom objects is not a mapping of names.",
        expected="{name: object}",
        received=type(offered).__name__,
        where=str(path),
        advice='CUSTOM_OBJECTS = {"Scale": Scale}',
    )
