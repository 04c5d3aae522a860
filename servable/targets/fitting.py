"""Targets: does one node fit one runtime? No TensorFlow here.

What passes through: a NodeDef and a registry come in, everything in which they do not go together comes out.
The workshop mends what it finds here, the verdict reports the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from servable.signature import DTYPE_NAMES
from servable.targets.layouts import needs_channels_last
from servable.targets.registry import CURRENT_VERSION, Registry, load_registry

# Labels for people, without a meaning to the runtime.
LABEL_ATTRS: Final = frozenset({"debug_name"})
# Where a value of each type lies in an AttrValue.
_FIELDS: Final = {
    "type": "type",
    "string": "s",
    "int": "i",
    "float": "f",
    "bool": "b",
    "shape": "shape",
    "tensor": "tensor",
    "func": "func",
}


class MisfitKind(StrEnum):
    """In which way a node does not fit."""

    UNKNOWN_OP = "unknown op"
    UNKNOWN_ATTR = "unknown attribute"
    MISSING_ATTR = "required attribute"
    ATTR_VALUE = "attribute value"
    INPUT_COUNT = "input count"
    KERNEL = "no kernel"
    LAYOUT = "channels first"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing in which a node does not fit.

    Attributes:
        kind: Which.
        attr: The attribute that it is about; "" where it is about none.
        detail: What was expected and received.
        is_default: For an unknown attribute: whether its value means what the runtime does anyway.
    """

    kind: MisfitKind
    attr: str = ""
    detail: str = ""
    is_default: bool = False


def find_misfits(node: Any, registry: Registry, functions: Collection[str] = ()) -> list[Misfit]:
    """Compares a node with what a runtime knows of its op.

    Args:
        node: Of a graph or of a function.
        registry: Of the runtime.
        functions: Names of the graph's own functions, which a node may call by their name.
    """
    definition = registry.ops.get(node.op)
    if definition is None:
        if node.op in functions:
            return []
        return [Misfit(MisfitKind.UNKNOWN_OP, detail=f"TensorFlow {registry.version} has no op {node.op}")]
    misfits = [*_compare_attrs(node, registry), *_compare_inputs(node, definition)]
    if needs_channels_last(node, registry.version):
        detail = f"TensorFlow {registry.version} computes {node.op} on a CPU with channels last only"
        misfits.append(Misfit(MisfitKind.LAYOUT, "data_format", detail))
    return misfits or list(_compare_kernel(node, definition, registry))


def read_attr(node: Any, definition: Any, name: str) -> Any | None:
    """Reads an attribute's value, or its default; None where it has neither."""
    # Asking a map of messages for a missing key would add it.
    if name in node.attr:
        return node.attr[name]
    return next(
        (a.default_value for a in definition.attr if a.name == name and a.HasField("default_value")), None
    )


def count_inputs(node: Any, definition: Any) -> int | None:
    """Counts the tensors that a node has to be fed with; None where its attributes do not say."""
    total = 0
    for arg in definition.input_arg:
        size = _count_tensors(node, definition, arg)
        if size is None:
            return None
        total += size
    return total


def list_outputs(node: Any, definition: Any) -> list[tuple[str, int]]:
    """Names a node's outputs, one by one: the argument's name, and the place in it where it is a list."""
    return [
        (arg.name, place)
        for arg in definition.output_arg
        for place in range(_count_tensors(node, definition, arg) or 0)
    ]


def _count_tensors(node: Any, definition: Any, arg: Any) -> int | None:
    if arg.number_attr:
        value = read_attr(node, definition, arg.number_attr)
        return None if value is None else int(value.i)
    if arg.type_list_attr:
        value = read_attr(node, definition, arg.type_list_attr)
        return None if value is None else len(value.list.type)
    return 1


def _compare_attrs(node: Any, registry: Registry) -> Iterator[Misfit]:
    known = registry.index_attrs(node.op)
    for name in sorted(node.attr):
        if name.startswith("_"):
            continue
        if name not in known:
            newest = load_registry(CURRENT_VERSION).find_attr(node.op, name)
            is_default = name in LABEL_ATTRS or (
                newest is not None
                and newest.HasField("default_value")
                and newest.default_value == node.attr[name]
            )
            yield Misfit(MisfitKind.UNKNOWN_ATTR, name, _spell_unknown(node, name, registry), is_default)
        elif detail := _find_bad_value(node.attr[name], known[name]):
            yield Misfit(MisfitKind.ATTR_VALUE, name, detail)
    for name, attr in known.items():
        if name in node.attr:
            continue
        # A default, once given, never changes from version to version.
        if not attr.HasField("default_value"):
            yield Misfit(MisfitKind.MISSING_ATTR, name, f"attribute {name} has no default there")


def _spell_unknown(node: Any, name: str, registry: Registry) -> str:
    value = " ".join(str(node.attr[name]).split())
    return f"{node.op} of TensorFlow {registry.version} has no attribute {name} (here {value[:80]})"


def _find_bad_value(value: Any, attr: Any) -> str:
    """Says what is wrong with an attribute's value; "" where nothing is."""
    kind = value.WhichOneof("value")
    if kind == "placeholder":
        return ""
    # As AttrValueHasType of TensorFlow has it; an old writer's empty list has no value at all.
    is_list = attr.type.startswith("list(")
    if kind != ("list" if is_list else _FIELDS.get(attr.type, kind)) and not (is_list and kind is None):
        return f"{attr.name} holds {kind or 'nothing'}, expected {attr.type}"
    allowed = attr.allowed_values.list
    if attr.type in ("type", "list(type)") and allowed.type:
        types = [value.type] if attr.type == "type" else list(value.list.type)
        wrong = [DTYPE_NAMES.get(number, str(number)) for number in types if number not in allowed.type]
        if wrong:
            names = ", ".join(DTYPE_NAMES.get(number, str(number)) for number in allowed.type)
            return f"{attr.name} is {', '.join(wrong)}, expected one of {names}"
    if attr.type == "string" and allowed.s and value.s not in allowed.s:
        names = ", ".join(text.decode("utf-8", "replace") for text in allowed.s)
        return f"{attr.name} is {value.s.decode('utf-8', 'replace')!r}, expected one of {names}"
    return ""


def _compare_inputs(node: Any, definition: Any) -> Iterator[Misfit]:
    expected = count_inputs(node, definition)
    received = sum(not text.startswith("^") for text in node.input)
    if expected is not None and expected != received:
        yield Misfit(
            MisfitKind.INPUT_COUNT, detail=f"{node.op} takes {expected} inputs there, has {received}"
        )


def _compare_kernel(node: Any, definition: Any, registry: Registry) -> Iterator[Misfit]:
    kernels = registry.kernels.get(node.op)
    if kernels is None:
        yield Misfit(MisfitKind.KERNEL, detail=f"TensorFlow {registry.version} cannot run {node.op} on a CPU")
        return
    values: dict[str, set[int | bytes]] = {}
    for name in {name for kernel in kernels for name in kernel}:
        value = read_attr(node, definition, name)
        if value is None or value.WhichOneof("value") == "placeholder":
            return
        values[name] = _list_values(value)
    if not any(all(values[name] <= allowed for name, allowed in kernel.items()) for kernel in kernels):
        spelled = ", ".join(f"{name}={_spell_values(found)}" for name, found in sorted(values.items()))
        yield Misfit(
            MisfitKind.KERNEL,
            detail=f"TensorFlow {registry.version} has no kernel of {node.op} for {spelled}",
        )


def _list_values(attr: Any) -> set[int | bytes]:
    kind = attr.WhichOneof("value")
    return {*attr.list.type, *attr.list.s} if kind in ("list", None) else {getattr(attr, kind)}


def _spell_values(values: Iterable[int | bytes]) -> str:
    names = [
        v.decode("utf-8", "replace") if isinstance(v, bytes) else DTYPE_NAMES.get(v, str(v)) for v in values
    ]
    return "+".join(sorted(names))
