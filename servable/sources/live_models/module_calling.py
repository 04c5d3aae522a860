"""ROOM 1: how a live `tf.Module` is called by names.

What passes through: a module comes in; its functions, what each takes and gives by name, and one signature
for each go out. Its functions are those that a SavedModel of it would offer: the ones with an
`input_signature`; `INPUTS` in the user's file says what a plain `__call__` takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.errors import SettingsError, SignatureError
from servable.model import ObjectBody
from servable.signature import DEFAULT_SIGNATURE, SignatureRequest, TensorSpec
from servable.sources.keras_files.calling import make_unique, to_dense
from servable.sources.live_models.call_inputs import (
    arrange_inputs,
    describe_spec,
    name_results,
    trace_outputs,
)
from servable.sources.live_models.module_building import FUNCTION_NAME, INPUTS_EXAMPLE, BuiltModel

_CALL = "__call__"


@dataclass(frozen=True, slots=True)
class ModuleFunction:
    """One function of a module.

    Attributes:
        name: Of the signature: "serving_default" for `__call__`.
        run: Tensors by name to tensors by name.
        inputs: What it takes.
        outputs: What it gives.
    """

    name: str
    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def bind_module(built: BuiltModel, path: Path) -> list[ModuleFunction]:
    """Finds the functions of a module, and traces each once.

    Args:
        built: A `tf.Module`.
        path: The user's file, for errors.

    Raises:
        SettingsError: It has none whose inputs are known.
        SignatureError: One cannot be traced.
    """
    found = _list_functions(built.model)
    if not found and built.inputs and callable(built.model):
        return [_bind(DEFAULT_SIGNATURE, built.model.__call__, dict(built.inputs), path)]
    if found:
        return [_bind_traced(name, function, path) for name, function in found.items()]
    raise SettingsError(
        f"Nothing says what the module of {FUNCTION_NAME}() takes.",
        expected="@tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32)]) on __call__, which "
        "becomes serving_default, or on other methods; or, for a plain __call__, in the file "
        f"{INPUTS_EXAMPLE}",
        received=f"a {type(built.model).__name__}",
        where=str(path),
    )


def join_functions(module: Any, functions: list[ModuleFunction]) -> tuple[ObjectBody, list[SignatureRequest]]:
    """Makes one body of all functions, and one signature for each.

    A single function keeps its own names; of several, "predict/x" is the input x of `predict`.
    """
    prefixes = [f"{function.name}/" if len(functions) > 1 else "" for function in functions]

    def call(tensors: Mapping[str, Any]) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for prefix, function in zip(prefixes, functions, strict=True):
            given = {name: tensors[prefix + name] for name in function.inputs if prefix + name in tensors}
            # A baseline of one signature has no inputs for the others.
            if len(given) == len(function.inputs):
                results |= {prefix + name: value for name, value in function.run(given).items()}
        return results

    ends = list(zip(prefixes, functions, strict=True))
    body = ObjectBody(
        module,
        call,
        {prefix + name: _place(spec, prefix) for prefix, f in ends for name, spec in f.inputs.items()},
        {prefix + name: _place(spec, prefix) for prefix, f in ends for name, spec in f.outputs.items()},
    )
    requests = [
        SignatureRequest(
            f.name, {name: prefix + name for name in f.inputs}, {name: prefix + name for name in f.outputs}
        )
        for prefix, f in ends
    ]
    return body, requests


def _list_functions(module: Any) -> dict[str, Any]:
    import tensorflow as tf

    found = {}
    for name in dir(module):
        if name.startswith("_") and name != _CALL:
            continue
        # Properties are left alone: reading one runs code.
        if isinstance(inspect.getattr_static(module, name, None), property):
            continue
        function = getattr(module, name, None)
        if isinstance(function, tf.types.experimental.PolymorphicFunction) and (
            function.input_signature is not None
        ):
            found[DEFAULT_SIGNATURE if name == _CALL else name] = function
    return dict(sorted(found.items(), key=lambda item: item[0] != DEFAULT_SIGNATURE))


def _bind_traced(name: str, function: Any, path: Path) -> ModuleFunction:
    import tensorflow as tf

    fault, takes = _refuse_trace(name, path), str(function.input_signature)
    try:
        concrete = function.get_concrete_function()
    # The user's code may raise anything.
    except Exception as error:
        raise fault(takes, f"{type(error).__name__}: {error}") from error
    arguments, keywords = concrete.structured_input_signature
    structure = (arguments, keywords)
    flat = [spec for spec in tf.nest.flatten(structure) if isinstance(spec, tf.TensorSpec)]
    if len(flat) != len(tf.nest.flatten(structure)):
        raise fault(takes, "an input that is no dense tensor")
    names = make_unique(str(spec.name or f"input_{position}") for position, spec in enumerate(flat))
    inputs = {name: describe_spec(spec, name) for name, spec in zip(names, flat, strict=True)}

    def run(tensors: Mapping[str, Any]) -> dict[str, Any]:
        packed, named = tf.nest.pack_sequence_as(structure, [tensors[name] for name in names])
        return _name(function(*packed, **named))

    return ModuleFunction(name, run, inputs, trace_outputs(run, inputs, fault))


def _bind(name: str, function: Any, inputs: dict[str, TensorSpec], path: Path) -> ModuleFunction:
    arrange = arrange_inputs(function, inputs)

    def run(tensors: Mapping[str, Any]) -> dict[str, Any]:
        arguments, keywords = arrange(tensors)
        return _name(function(*arguments, **keywords))

    return ModuleFunction(name, run, inputs, trace_outputs(run, inputs, _refuse_trace(name, path)))


def _name(results: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {key: to_dense(value) for key, value in name_results(results, tf.nest.flatten).items()}


def _place(spec: TensorSpec, prefix: str) -> TensorSpec:
    return TensorSpec(spec.dtype, spec.shape, prefix + spec.tensor)


def _refuse_trace(name: str, path: Path) -> Callable[[str, str], SignatureError]:
    def refuse(takes: str, said: str) -> SignatureError:
        return SignatureError(
            f"The function for signature {name!r} cannot be traced.",
            expected=f"a function that runs on {takes}",
            received=said,
            where=str(path),
            advice="call the function once on tensors of these types where it was written",
        )

    return refuse
