"""ROOM 1: which names of a configuration no Keras class or custom object answers to.

What passes through: the configuration of a model that a loader has failed on comes in, all of its unknown
names go out at once. Loaders name only the first.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterator, Mapping
from types import ModuleType
from typing import Any

_AREAS = (
    "layers",
    "models",
    "initializers",
    "regularizers",
    "constraints",
    "activations",
    "dtype_policies",
    "mixed_precision",
    "losses",
    "metrics",
    "optimizers",
    "random",
    "quantizers",
)
_OPERATION_AREAS = ("core", "image", "linalg", "math", "nn", "numpy")
_FUNCTION_KEYS = ("activation", "recurrent_activation")
# Names that loaders know although no public module holds them.
_KNOWN_NAMES = frozenset(
    [
        "Functional",
        "Model",
        "Sequential",
        "TFOpLambda",
        "SlicingOpLambda",
        "ClassMethod",
        "InstanceMethod",
        "InstanceProperty",
        "TensorFlowOpLayer",
        "AddLoss",
        "AddMetric",
        "BatchNormalizationV1",
        "BatchNormalizationV2",
        "TensorShape",
        "TypeSpec",
        "Policy",
        "DTypePolicy",
        "CuDNNLSTM",
        "CuDNNGRU",
        "CompositeTensor",
    ]
)


def list_unknown_names(config: Any, keras: ModuleType, custom_names: Collection[str]) -> list[str]:
    """Lists classes and functions that a configuration names and nobody defines, in order of appearance.

    Args:
        config: Of the model.
        keras: The Keras that was to load it.
        custom_names: Names of the user's objects.
    """
    found: dict[str, None] = {}
    for entry in _walk(config):
        name = entry.get("class_name")
        names = {name, entry.get("registered_name")} if isinstance(name, str) else set()
        if isinstance(name, str) and name == "function" and isinstance(entry.get("config"), str):
            name = entry["config"]
            names = {name}
        if isinstance(name, str) and not name.startswith("__") and not names & set(custom_names):
            module = entry.get("module")
            is_known = (
                _is_layer(name, keras)
                if "inbound_nodes" in entry and not module
                else _is_known(name, module if isinstance(module, str) else "", keras)
            )
            if not is_known:
                registered = entry.get("registered_name")
                found[registered if isinstance(registered, str) and ">" in registered else name] = None
        for key in _FUNCTION_KEYS:
            function = entry.get(key)
            # Advanced activations are layers: "LeakyReLU".
            if isinstance(function, str) and not (
                function in custom_names
                or hasattr(keras.activations, function)
                or hasattr(keras.layers, function)
            ):
                found[function] = None
    return list(found)


def find_aliases(config: Any, objects: Mapping[str, Any]) -> dict[str, Any]:
    """Finds further names that a configuration has for the user's objects.

    A class that was registered under a package ("lab>Scale") is looked up by that name alone, and the module
    it came from imported where nothing is found. The user may just call it "Scale".

    Args:
        config: Of the model.
        objects: The user's, by name.

    Returns:
        Name that is looked up to object.
    """
    found: dict[str, Any] = {}
    for entry in _walk(config):
        name = entry.get("class_name")
        looked_up = entry.get("registered_name", name)
        if name == "function":
            name = looked_up = entry.get("config")
        if isinstance(name, str) and isinstance(looked_up, str) and looked_up not in objects:
            names = (name, f"Custom>{name}", name.rpartition(">")[2])
            known = next((key for key in names if key in objects), None)
            if known is not None:
                found[looked_up] = objects[known]
    return found


def find_operations(config: Any, keras: ModuleType) -> dict[str, Any]:
    """Finds the classes behind operations of Keras 3, such as `keras.ops.mean` on a symbolic tensor.

    A legacy HDF5 file names them without their module, and Keras then looks among its layers only.

    Args:
        config: Of the model.
        keras: Keras 3.

    Returns:
        Class name to class, for names that are operations and not layers.
    """
    modules = [importlib.import_module(f"keras.src.ops.{area}") for area in _OPERATION_AREAS]
    found: dict[str, Any] = {}
    for entry in _walk(config):
        name = entry.get("class_name")
        if not isinstance(name, str) or "inbound_nodes" not in entry or _is_layer(name, keras):
            continue
        for candidate in (vars(module).get(name) for module in modules):
            if isinstance(candidate, type) and issubclass(candidate, keras.Operation):
                found.setdefault(name, candidate)
    return found


def _walk(config: Any) -> Iterator[dict[str, Any]]:
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack += reversed(list(value.values()))
        elif isinstance(value, list):
            stack += reversed(value)


def _is_layer(name: str, keras: ModuleType) -> bool:
    return name in _KNOWN_NAMES or hasattr(keras.layers, name) or hasattr(keras.models, name)


def _is_known(name: str, module: str, keras: ModuleType) -> bool:
    # Only modules that are loaded already are looked into: a configuration never makes us import one.
    loaded = sys.modules.get(module)
    places = [keras, *(getattr(keras, area, None) for area in _AREAS), loaded]
    return name in _KNOWN_NAMES or any(hasattr(place, name) for place in places if place is not None)
