"""ROOM 1: the static look at a Keras configuration before any loader sees it. No TensorFlow here.

What passes through: the JSON that names every layer, initializer and function of a model. Loaders turn
names into Python objects, so each dict is looked at, wherever it hides: Lambda bytecode, layers that load
other models, modules outside Keras, and files named by path are refused. Nothing is imported.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator
from typing import Any

from servable.errors import UnsafeSourceError
from servable.sources.keras_files.dangers import find_dangers, strip_places
from servable.sources.keras_files.lambdas import advise_replacing, find_lambdas, is_stored_code

_NO_NAMES: frozenset[str] = frozenset()

_PACKAGES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")
# Parts of Keras whose classes are pieces of models; what is left out (utils, saving, config, export,
# applications, datasets, callbacks, ...) reads files, downloads, or changes global settings.
_CLASS_AREAS = frozenset(
    [
        "activations",
        "backend",
        "constraints",
        "distribution",
        "dtype_policies",
        "engine",
        "initializers",
        "layers",
        "legacy_tf_layers",
        "losses",
        "metrics",
        "mixed_precision",
        "models",
        "ops",
        "optimizers",
        "quantizers",
        "random",
        "regularizers",
        "feature_column",
    ]
)
_FUNCTION_AREAS = frozenset(
    ["activations", "backend", "constraints", "initializers", "losses", "metrics", "ops", "regularizers"]
)
# Layers that lie among the applications, beside functions that download.
_CONVNEXT_LAYERS = frozenset({"LayerScale", "StochasticDepth"})
_CONVNEXT_MODULES = frozenset({"keras.src.applications.convnext", "tf_keras.src.applications.convnext"})
# Parts of a module path that only say where Keras keeps its sources or its public names.
_CONTAINERS = frozenset({"src", "api", "_v1", "_v2", "keras", "_tf_keras", "legacy", "__internal__"})

_MAX_SHOWN_CHARS = 300


def check_config(config: Any, *, where: str, custom_names: Collection[str] | None = _NO_NAMES) -> None:
    """Refuses a model configuration that would run code or reach outside Keras when it is loaded.

    Args:
        config: Parsed JSON of the model.
        where: The file, for messages.
        custom_names: Names of objects that the user hands in; None while they are not known yet, which
            puts off the look at modules outside Keras.

    Raises:
        UnsafeSourceError: Lists what was found, Lambda layers by name.
    """
    names = frozenset(custom_names or ())
    lambdas: list[str] = []
    dangers: list[str] = []
    foreign: list[str] = []
    functions: list[str] = []
    for place, entry in _walk(config):
        if _is_lambda(entry):
            lambdas.append(place)
            continue
        dangers += [f"{place}: {text}" for text in find_dangers(entry)]
        if custom_names is not None:
            reference = _find_foreign_reference(entry, names)
            if reference:
                foreign.append(f"{place}: {reference}")
            elif _is_plain_function(entry, names):
                functions.append(place)
    if lambdas:
        raise UnsafeSourceError(
            "Python code is stored in this model: " + _join(_drop_inner(lambdas)) + ".",
            expected="layers whose code is part of Keras or of a file that you name",
            received="marshalled bytecode, which runs when the file is loaded",
            where=where,
            advice=_advise_against_code(config),
        )
    if dangers:
        raise UnsafeSourceError(
            "Loading this model would do more than build layers.",
            expected="layers and functions of Keras, and nothing that reads files or runs foreign code",
            received=_join(dangers),
            where=where,
            advice="do not load this file; ask whoever made it for one without these parts",
        )
    if foreign:
        raise UnsafeSourceError(
            "This model names code that is not part of Keras.",
            expected="names of Keras, or names that --custom-objects FILE.py defines",
            # Plain functions may be the user's too; alone they are left to the loader, which knows its own.
            received=_join(foreign + functions),
            where=where,
            advice="if this is your own code, put it in FILE.py with CUSTOM_OBJECTS = {name: object} and "
            "pass --custom-objects FILE.py",
        )


def _advise_against_code(config: Any) -> str:
    layers = [layer for layer in find_lambdas(config) if layer.stored]
    if not layers:
        return (
            "rebuild it as a class or function with a name where the model was trained, save it again, and "
            "pass it with --custom-objects FILE.py"
        )
    return (
        f"write what each layer computes as a function of your own, FUNCTION(inputs), and add "
        f"{advise_replacing(layers)} (or rebuild them as custom layers and pass --custom-objects FILE.py)"
    )


def _walk(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    # A stack, not recursion: the depth of hostile JSON is not ours to choose.
    stack: list[tuple[str, Any]] = [("model", config)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, dict):
            label = _label(value)
            here = (
                (label if place == "model" or _is_layer(value) else f"{_shorten(place)}, {label}")
                if label
                else place
            )
            yield here, value
            stack += [(here, inner) for inner in reversed(value.values()) if isinstance(inner, dict | list)]
        elif isinstance(value, list):
            stack += [(place, inner) for inner in reversed(value) if isinstance(inner, dict | list)]


def _is_layer(entry: dict[str, Any]) -> bool:
    config = entry.get("config")
    return isinstance(config, dict) and isinstance(config.get("name"), str)


def _label(entry: dict[str, Any]) -> str:
    kind = entry.get("class_name")
    if not isinstance(kind, str):
        return ""
    config = entry.get("config")
    name = config.get("name") if isinstance(config, dict) else config if isinstance(config, str) else None
    return f"{_shorten(kind)} {_shorten(name)!r}" if isinstance(name, str) else _shorten(kind)


def _shorten(text: str) -> str:
    # A place is made for each dict; with names of megabytes in it, a small file would take for ever.
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."


def _is_lambda(entry: dict[str, Any]) -> bool:
    kind = entry.get("class_name")
    if not isinstance(kind, str):
        return False
    if kind == "__lambda__":
        return True
    config = entry.get("config")
    if strip_places(kind) != "Lambda":
        return False
    if not isinstance(config, dict):
        return True
    return any(is_stored_code(config, key) for key in ("function", "output_shape", "mask"))


def _find_foreign_reference(entry: dict[str, Any], custom_names: frozenset[str]) -> str:
    """Names the module that a loader would look into, where it is none of Keras' own; "" when all is well."""
    kind = entry.get("class_name")
    module = entry.get("module")
    if not isinstance(kind, str) or not isinstance(module, str) or not module:
        return ""
    config = entry.get("config")
    is_function = kind == "function"
    name = config if is_function and isinstance(config, str) else kind
    # What loaders look up first, and only when they find nothing they import the module: a class by its
    # registered name where it has one, a function by its own.
    looked_up = name if is_function else entry.get("registered_name", kind)
    if looked_up in custom_names:
        return ""
    if kind == "__typespec__":
        spec = entry.get("spec_name")
        is_spec = isinstance(spec, str) and spec.endswith("Spec") and module.startswith("tensorflow.python.")
        return "" if is_spec else f"{module}.{spec}"
    if is_function and module == "builtins":
        # Keras writes this for every plain function; by name it can only mean one of Keras' or the user's.
        return f"{module}.{name}" if hasattr(builtins, name) and name not in _KERAS_BUILTIN_NAMES else ""
    # Keras joins the two into one public name: "keras" and "utils.get_file" mean what lies in keras.utils.
    place, _, last = f"{module}.{name}".rpartition(".")
    if _is_part_of_keras(place, is_function):
        return ""
    is_known = not is_function and last in _CONVNEXT_LAYERS and place in _CONVNEXT_MODULES
    return "" if is_known else f"{module}.{name}"


def _is_plain_function(entry: dict[str, Any], custom_names: frozenset[str]) -> bool:
    name = entry.get("config")
    is_plain = entry.get("class_name") == "function" and entry.get("module") == "builtins"
    return is_plain and isinstance(name, str) and name not in custom_names | _ACTIVATIONS


_ACTIVATIONS = frozenset(
    {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "silu", "softmax", "softplus", "swish", "tanh"}
)
# Keras' own functions that bear the name of a Python builtin.
_KERAS_BUILTIN_NAMES = frozenset({"abs", "max", "min", "pow", "round", "sum"})


def _is_part_of_keras(module: str, is_function: bool) -> bool:
    package = next((p for p in _PACKAGES if module == p or module.startswith(p + ".")), None)
    if package is None:
        return False
    areas = [part for part in module[len(package) :].split(".") if part and part not in _CONTAINERS]
    if not areas:
        return not is_function
    return areas[0] in (_FUNCTION_AREAS if is_function else _CLASS_AREAS)


def _drop_inner(places: list[str]) -> list[str]:
    # A Lambda layer is one finding, its code inside is not another.
    unique = dict.fromkeys(places)
    return [p for p in unique if not any(p[:end] in unique for end, sign in enumerate(p) if sign == ",")]


def _join(parts: list[str]) -> str:
    shown = list(dict.fromkeys(parts))
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return "; ".join(shown[:20]) + more
