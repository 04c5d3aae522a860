"""ROOM 2: the variables and tables that exported functions reach.

What passes through: functions and the model they come from go in; the objects that own the captured
resources, each under a readable name, go out. These names become the keys in `variables/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from servable.errors import ExportError
from servable.graphs.graph import unique_name

Resources = dict[str, Any]


def find_resources(trackable: Any, trace: Any, functions: Iterable[Any]) -> Resources:
    """Finds the owner of every resource that the functions captured.

    Args:
        trackable: The model.
        trace: Concrete function of the whole model.
        functions: Concrete functions of the signatures.

    Returns:
        Name to `tf.Variable` or table, in a stable order.

    Raises:
        ExportError: Nothing in the model owns a captured resource, so it could not be written.
    """
    import tensorflow as tf

    owners = {id(handle): owner for handle, owner in _list_owners(trackable, trace)}
    found: Resources = {}
    for function in functions:
        for captured in function.graph.external_captures:
            if captured.dtype not in (tf.resource, tf.variant):
                continue
            owner = owners.get(id(captured))
            if owner is None:
                raise ExportError(
                    "The model uses a resource that it does not own, so it cannot be written.",
                    expected="variables and tables that are attributes of the model or of its layers",
                    received=f"a resource of type {captured.dtype.name}",
                    advice="make the table or variable an attribute of the layer that uses it",
                )
            if not any(owner is known for known in found.values()):
                found[_name_owner(owner, found)] = owner
    return found


def _list_owners(trackable: Any, trace: Any) -> Iterator[tuple[Any, Any]]:
    import tensorflow as tf

    for item in tf.train.TrackableView(trackable).descendants():
        if hasattr(item, "resource_handle"):
            yield item.resource_handle, item
    # Keras 3 wraps its variables; `value` is the TensorFlow variable inside.
    for variable in getattr(trackable, "variables", ()):
        inner = variable if isinstance(variable, tf.Variable) else getattr(variable, "value", None)
        if isinstance(inner, tf.Variable):
            yield inner.handle, inner
    for variable in trace.graph.variables:
        yield variable.handle, variable


def _name_owner(owner: Any, taken: Resources) -> str:
    import tensorflow as tf

    is_variable = isinstance(owner, tf.Variable)
    name = owner.name.rpartition(":")[0] or owner.name if is_variable else "table"
    if hasattr(tf.Module, name) or not name:
        name = f"{name}/value"
    return unique_name(name, taken)
