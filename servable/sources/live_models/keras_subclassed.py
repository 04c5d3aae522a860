"""ROOM 1: how a live Keras model that is written in Python code is called by names.

What passes through: such a model has no symbolic graph to ask. Its file or the user says what it takes, its
`call` names the input, and one trace tells the outputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from servable.errors import BrokenSourceError
from servable.report import Finding, Severity
from servable.signature import Shape, TensorSpec
from servable.sources.keras_files.calling import (
    CHECK_NAME,
    KerasCall,
    compute_as_eager,
    find_nest,
    make_unique,
    to_dense,
)
from servable.sources.keras_files.config import Loader
from servable.sources.keras_files.eras import import_keras
from servable.sources.live_models.call_inputs import Arrange, arrange_inputs, name_results, trace_outputs
from servable.sources.live_models.module_building import FLAG as MODULE_FLAG
from servable.sources.live_models.module_building import INPUTS_EXAMPLE


def bind_subclassed(
    model: Any,
    loader: Loader,
    *,
    build_config: Any,
    where: str,
    inputs: Mapping[str, TensorSpec] | None = None,
) -> KerasCall:
    """Takes shapes from what the model was built with, the input's name from `call`, outputs from one trace.

    Args:
        model: A subclass of `keras.Model` or `tf_keras.Model`.
        loader: Which of the two it is.
        build_config: What the file, or the model itself, says of the shapes it was built with.
        where: The file, for errors.
        inputs: What the model takes, where the user says so; it is built with them where it is not yet.

    Raises:
        BrokenSourceError: Nobody says what the model takes, or the model cannot be traced.
    """
    nest = find_nest(loader)
    notes = []
    if inputs:
        specs, arrange = dict(inputs), arrange_inputs(model.call, inputs)
        ensure_built(model, loader, specs, where=where)
    else:
        specs, arrange = _plan_from_build(model, build_config, where)
        notes.append(_note_assumed(specs))

    def run(tensors: Mapping[str, Any]) -> dict[str, Any]:
        arguments, keywords = arrange(tensors)
        with compute_as_eager(loader):
            result = model(*arguments, **keywords, training=False)
        return {str(key): to_dense(value) for key, value in name_results(result, nest.flatten).items()}

    def fault(takes: str, said: str) -> BrokenSourceError:
        return BrokenSourceError(
            "This model cannot be run on the inputs that it was built with.",
            expected=takes,
            received=said,
            where=where,
            advice="wrap the model where it was trained: keras.Model(inputs, model(inputs)), and save that",
        )

    return KerasCall(run, specs, trace_outputs(run, specs, fault), tuple(notes))


def ensure_built(model: Any, loader: Loader, inputs: Mapping[str, TensorSpec], *, where: str) -> None:
    """Builds a model that has no weights yet, by calling it on symbolic inputs.

    Args:
        model: Of either Keras.
        loader: Which one.
        inputs: What the user says that it takes; may be empty.
        where: The file, for errors.

    Raises:
        BrokenSourceError: It is not built, and nobody says what it takes; or building fails.
    """
    if model.built:
        return
    inputs = inputs or _ask_first_layer(model)
    if not inputs:
        raise _refuse_unbuilt(type(model).__name__, where)
    arrange = arrange_inputs(model.call, inputs)
    keras = import_keras(loader)
    symbols = {
        name: keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name=name)
        for name, spec in inputs.items()
    }
    arguments, keywords = arrange(symbols)
    try:
        model(*arguments, **keywords)
    # The user's code may raise anything.
    except Exception as error:
        raise BrokenSourceError(
            "This model cannot be built on the inputs that its file names.",
            expected=", ".join(f"{name} {spec}" for name, spec in inputs.items()),
            received=f"{type(error).__name__}: {error}",
            where=where,
            advice="call the model once on real inputs before it is returned",
        ) from error


def _ask_first_layer(model: Any) -> dict[str, TensorSpec]:
    # A Sequential takes what a model that stands first in it takes.
    first = model.layers[0] if hasattr(model, "add") and model.layers else None
    ends: Any = getattr(first, "inputs", None) or ()
    if len(ends) != 1:
        return {}
    dtype = ends[0].dtype if isinstance(ends[0].dtype, str) else ends[0].dtype.name
    return {"input": TensorSpec(dtype, tuple(ends[0].shape), "input")}


def _plan_from_build(model: Any, build_config: Any, where: str) -> tuple[dict[str, TensorSpec], Arrange]:
    shapes, structure = _read_build_shapes(build_config, type(model).__name__, where)
    argument = next(iter(inspect.signature(model.call).parameters), "input")
    names = [argument] if structure is None else make_unique(_name_parts(structure, argument))
    # Layers cast their inputs to what they compute in; only a float64 model would lose digits before that.
    dtype = "float64" if getattr(model, "variable_dtype", "") == "float64" else "float32"
    specs = {name: TensorSpec(dtype, shape, name) for name, shape in zip(names, shapes, strict=True)}

    def arrange(tensors: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        flat = [tensors[name] for name in names]
        return (flat[0] if structure is None else _pack(structure, iter(flat)),), {}

    return specs, arrange


def _note_assumed(specs: Mapping[str, TensorSpec]) -> Finding:
    dtype = next(iter(specs.values())).dtype
    return Finding(
        CHECK_NAME,
        Severity.WARNING,
        "The model is written in Python code: what it was built with says the shapes of its inputs, not "
        f"their types. {dtype} is assumed.",
        where=", ".join(f"{name} {spec}" for name, spec in specs.items()),
        advice="check the inputs of the exported signature",
    )


def _read_build_shapes(build_config: Any, class_name: str, where: str) -> tuple[list[Shape], Any]:
    build = build_config if isinstance(build_config, dict) else {}
    structure = _to_lists(build.get("input_shape", build.get("shapes_dict")))
    if isinstance(structure, list) and _is_shape(structure):
        return [_free_batch(structure)], None
    shapes = list(_list_shapes(structure))
    if shapes:
        return shapes, structure
    raise _refuse_unbuilt(class_name, where)


def _refuse_unbuilt(class_name: str, where: str) -> BrokenSourceError:
    return BrokenSourceError(
        "Nothing says what this model takes.",
        expected="a model that has been called or built on inputs, or a Functional one",
        received=f"a {class_name} model that has not been built",
        where=where,
        advice="call the model once on real inputs before it is saved or returned, or wrap it: "
        f"keras.Model(inputs, model(inputs)); a file for {MODULE_FLAG} may say it too: {INPUTS_EXAMPLE}",
    )


def _to_lists(structure: Any) -> Any:
    # A live model has tuples where its file has lists.
    if hasattr(structure, "as_list"):
        return structure.as_list()
    if isinstance(structure, dict):
        return {key: _to_lists(value) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_to_lists(value) for value in structure]
    return structure


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(size is None or isinstance(size, int) for size in value)


def _free_batch(shape: list[int | None]) -> Shape:
    # The shape of whatever batch the model was first called on.
    return (None, *shape[1:]) if shape else ()


def _list_shapes(structure: Any) -> Iterable[Shape]:
    if _is_shape(structure):
        yield _free_batch(structure)
    elif isinstance(structure, dict):
        for value in structure.values():
            yield from _list_shapes(value)
    elif isinstance(structure, list):
        for value in structure:
            yield from _list_shapes(value)


def _name_parts(structure: Any, prefix: str) -> Iterable[str]:
    if _is_shape(structure):
        yield prefix
    elif isinstance(structure, dict):
        for key, value in structure.items():
            yield from _name_parts(value, str(key))
    else:
        for position, value in enumerate(structure):
            yield from _name_parts(value, f"{prefix}_{position}")


def _pack(structure: Any, flat: Any) -> Any:
    if _is_shape(structure):
        return next(flat)
    if isinstance(structure, dict):
        return {key: _pack(value, flat) for key, value in structure.items()}
    return [_pack(value, flat) for value in structure]
