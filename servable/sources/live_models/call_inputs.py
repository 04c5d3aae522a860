"""ROOM 1: how the inputs that the user names reach a Python function.

What passes through: names and types of tensors come in with a function; how to call it with tensors of these
names, and what it then gives, go out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from servable.errors import ServableError
from servable.signature import TensorSpec

# Tensors by name to positional and keyword arguments.
Arrange = Callable[[Mapping[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def arrange_inputs(function: Callable[..., Any], names: Mapping[str, Any]) -> Arrange:
    """Decides how tensors by name become arguments.

    By keyword where the function has parameters of these names; a single tensor by position; several as one
    dict otherwise.

    Args:
        function: Bound, so without `self`.
        names: Of the inputs.
    """
    parameters = inspect.signature(function).parameters
    if all(name in parameters for name in names):
        return lambda tensors: ((), {name: tensors[name] for name in names})
    if len(names) == 1:
        return lambda tensors: ((tensors[next(iter(names))],), {})
    return lambda tensors: (({name: tensors[name] for name in names},), {})


def name_results(results: Any, flatten: Callable[[Any], list[Any]]) -> dict[str, Any]:
    """Names what a function gives: by its own keys where it gives a dict, else output_0, output_1, ..."""
    if isinstance(results, Mapping) and all(isinstance(key, str) for key in results):
        return dict(results)
    return {f"output_{position}": result for position, result in enumerate(flatten(results))}


def trace_outputs(
    run: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    inputs: Mapping[str, TensorSpec],
    fault: Callable[[str, str], ServableError],
) -> dict[str, TensorSpec]:
    """Traces a function once, to see what it gives.

    Args:
        run: Takes and gives tensors by name.
        inputs: What it takes.
        fault: Makes the error, from what it was to run on and what it said.
    """
    import tensorflow as tf

    specs = {name: tf.TensorSpec(spec.shape, spec.dtype) for name, spec in inputs.items()}
    names = list(specs)
    try:
        traced = tf.function(lambda *flat: run(dict(zip(names, flat, strict=True)))).get_concrete_function(
            *specs.values()
        )
    # The user's code may raise anything.
    except Exception as error:
        takes = ", ".join(f"{name} {spec}" for name, spec in inputs.items())
        raise fault(takes, f"{type(error).__name__}: {error}") from error
    return {str(name): describe_spec(spec, str(name)) for name, spec in traced.structured_outputs.items()}


def describe_spec(spec: Any, name: str) -> TensorSpec:
    """Turns a `tf.TensorSpec` into ours."""
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorSpec(spec.dtype.name, shape, name)
