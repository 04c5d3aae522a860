"""ROOM 1: Lambda layers of a Keras configuration, and the swap of their stored code. No TensorFlow here.

What passes through: a model's configuration comes in; which of its layers are Lambdas, and a copy in which
the ones that the user named carry no code any more, go out. Stored code is bytecode of the Python that wrote
it, so that it is neither safe nor, as a rule, readable; it is never looked into.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from servable.errors import BrokenSourceError, SettingsError
from servable.sources.keras_files.dangers import strip_places

# The class that stands for a replaced Lambda in a configuration, and the key that names its layer there.
REPLACED_CLASS = "ReplacedLambda"
REPLACED_KEY = "replaced_layer"
_CODE_KEYS = ("function", "output_shape", "mask")
_MAX_ADVISED = 20

# The way to a layer, innermost name last: () or (the names around it, its own).
_Names = tuple[()] | tuple["_Names", str]


@dataclass(frozen=True, slots=True)
class LambdaLayer:
    """One Lambda layer of a configuration.

    Attributes:
        path: Names of the models and wrappers around it and its own, such as "encoder/lambda_1".
        stored: Which of "function", "output_shape" and "mask" is stored code.
        has_mask: Whether it computes a mask, by code or by name.
        entry: Its part of the configuration.
    """

    path: str
    stored: tuple[str, ...]
    has_mask: bool
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        """The layer's own name."""
        return self.path.rpartition("/")[2]


def find_lambdas(config: Any) -> list[LambdaLayer]:
    """Lists the Lambda layers of a model, nested ones too, in the order of the configuration."""
    return [
        LambdaLayer(path, stored, body.get("mask") is not None, entry)
        for path, entry in _walk_lambdas(config)
        for body in [entry["config"]]
        for stored in [tuple(key for key in _CODE_KEYS if is_stored_code(body, key))]
    ]


def swap_lambdas(config: dict[str, Any], names: Collection[str], *, where: str) -> dict[str, Any]:
    """Copies a configuration, with the named Lambda layers turned into `REPLACED_CLASS` without code.

    Args:
        config: Of the model.
        names: Paths of Lambda layers, or their own names where only one bears them.
        where: The file, for the error.

    Raises:
        SettingsError: A name is no Lambda layer's, or several layers'.
        BrokenSourceError: The configuration nests too deep.
    """
    if not names:
        return config
    try:
        swapped: dict[str, Any] = json.loads(json.dumps(config))
    except RecursionError as error:
        raise BrokenSourceError(
            "The configuration nests too deep.",
            expected="a model as Keras writes it",
            where=where,
            advice="do not use this file; save the model again where it was trained",
        ) from error
    lambdas = find_lambdas(swapped)
    for name in names:
        _swap(_choose(lambdas, name, where), name)
    return swapped


def advise_replacing(lambdas: Collection[LambdaLayer]) -> str:
    """Writes what to type so that each of these layers is replaced."""
    own = Counter(layer.name for layer in lambdas)
    names = [layer.name if own[layer.name] == 1 else layer.path for layer in islice(lambdas, _MAX_ADVISED)]
    more = " ..." if len(lambdas) > _MAX_ADVISED else ""
    return " ".join(f"--replace-layer {_quote(name)}=FILE.py:FUNCTION" for name in names) + more


def is_stored_code(config: dict[str, Any], key: str) -> bool:
    """Says whether a Lambda's function, output shape or mask is bytecode, and not a name."""
    # Bytecode is a list or a dict with "code". A function by its name (a string) is looked up among the
    # custom objects; only an output shape is rightly a list of sizes.
    value = config.get(key)
    if config.get(f"{key}_type") == "lambda":
        return True
    if key == "output_shape":
        return _holds_text(value)
    if isinstance(value, dict):
        return value.get("class_name") != "function"
    return isinstance(value, list)


def _holds_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_text(item) for item in value)
    if isinstance(value, dict):
        return "code" in value or value.get("class_name") == "__lambda__"
    return isinstance(value, str)


def _walk_lambdas(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    # A stack, not recursion: the depth of hostile JSON is not ours to choose. The outermost model has no name
    # in a path, as in Keras' own summary.
    # Names are put together for Lambdas only: a path for each layer would take for ever where names are huge.
    stack: list[tuple[_Names | None, Any]] = [(None, config)]
    while stack:
        outer, value = stack.pop()
        if isinstance(value, dict):
            inner = outer
            body = value.get("config")
            if isinstance(value.get("class_name"), str) and isinstance(body, dict | list):
                name = body.get("name", value.get("name")) if isinstance(body, dict) else None
                if outer is None:
                    inner = ()
                if isinstance(name, str):
                    if isinstance(body, dict) and strip_places(value["class_name"]) == "Lambda":
                        yield _join_names((outer or (), name)), value
                    inner = (outer, name) if outer is not None else ()
            stack += [(inner, item) for item in reversed(list(value.values()))]
        elif isinstance(value, list):
            stack += [(() if outer is None else outer, item) for item in reversed(value)]


def _join_names(names: _Names) -> str:
    parts = []
    while names:
        names, name = names
        parts.append(name)
    return "/".join(reversed(parts))


def _choose(lambdas: list[LambdaLayer], name: str, where: str) -> LambdaLayer:
    fitting = [layer for layer in lambdas if layer.path == name] or [
        layer for layer in lambdas if layer.name == name
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise SettingsError(
        f"{name!r} is the name of several Lambda layers of this model."
        if fitting
        else f"{name!r} is no Lambda layer of this model.",
        expected="one of " + ", ".join(layer.path for layer in fitting or lambdas)
        if lambdas
        else "no --replace-layer: the model has no Lambda layers",
        received=f"--replace-layer {name}=...",
        where=where,
    )


def _swap(layer: LambdaLayer, name: str) -> None:
    dropped = {f"{key}{part}" for key in _CODE_KEYS for part in ("", "_type", "_module")} | {"module"}
    body = {key: value for key, value in layer.entry["config"].items() if key not in dropped}
    layer.entry["config"] = {**body, REPLACED_KEY: name, "has_mask": layer.has_mask}
    layer.entry["class_name"] = REPLACED_CLASS
    # The newer layout looks classes up by these; the older one has neither.
    if "module" in layer.entry:
        layer.entry["module"] = None
    if "registered_name" in layer.entry:
        layer.entry["registered_name"] = REPLACED_CLASS


def _quote(name: str) -> str:
    safe = name.replace("_", "").replace("-", "").replace("/", "").replace(".", "")
    return name if safe.isalnum() else "'" + name.replace("'", "'\\''") + "'"
