"""Dataclasses as plain JSON values with arrays beside them, and back, told by their type hints alone.

What passes through: options to the child, a conversion back from it. What comes back is believed only as far
as it fits the hints: whoever took over the child can send odd values, but no odd types and no code.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

_Value = TypeVar("_Value")
_SCALARS = (bool, int, float, str)


def encode_value(value: Any, arrays: list[np.ndarray]) -> Any:
    """Turns a value into what JSON can hold.

    Args:
        value: Dataclasses, mappings with text keys, tuples, sets, paths, scalars, arrays.
        arrays: Each array is appended here, and stands as its number.

    Raises:
        TypeError: The value is none of these.
    """
    if value is None or type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return len(arrays) - 1
    if is_dataclass(value):
        return {field.name: encode_value(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: encode_value(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode_value(item, arrays) for item in value]
    if isinstance(value, frozenset | set):
        return [encode_value(item, arrays) for item in sorted(value)]
    message = f"a {type(value).__name__} cannot be passed between processes"
    raise TypeError(message)


def decode_value(hint: type[_Value], data: Any, arrays: list[np.ndarray]) -> _Value:
    """Turns JSON values back into a value of the hinted type.

    Args:
        hint: What `encode_value` was given.
        data: What it returned.
        arrays: What it appended.

    Raises:
        ValueError: The data does not fit the hint.
    """
    return typing.cast(_Value, _decode(hint, data, arrays))


def _decode(hint: Any, data: Any, arrays: list[np.ndarray]) -> Any:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _decode_union(parts, data, arrays)
    if hint is type(None) or hint in _SCALARS:
        return _decode_scalar(hint, data)
    if origin is tuple:
        return _decode_tuple(parts, data, arrays)
    if origin in (frozenset, set):
        return origin(_decode(parts[0], item, arrays) for item in _require(list, data))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _decode(parts[1], item, arrays) for key, item in _require(dict, data).items()}
    if hint is np.ndarray or origin is np.ndarray:
        return arrays[_require_index(data, len(arrays))]
    if is_dataclass(hint):
        return _decode_dataclass(hint, data, arrays)
    if isinstance(hint, type) and issubclass(hint, Path | Enum):
        return hint(_require(str, data))
    message = f"no value can be read as {hint}"
    raise TypeError(message)


def _decode_union(hints: tuple[Any, ...], data: Any, arrays: list[np.ndarray]) -> Any:
    for hint in hints:
        try:
            return _decode(hint, data, arrays)
        except ValueError:
            continue
    message = f"expected one of {hints}, received {data!r:.200}"
    raise ValueError(message)


def _decode_scalar(hint: Any, data: Any) -> Any:
    # Exact: True is no 1 here, and a union of scalars keeps the one that it was.
    if type(data) is hint or (hint is float and type(data) is int):
        return data
    message = f"expected {hint.__name__}, received {data!r:.200}"
    raise ValueError(message)


def _decode_tuple(hints: tuple[Any, ...], data: Any, arrays: list[np.ndarray]) -> tuple[Any, ...]:
    items = _require(list, data)
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_decode(hints[0], item, arrays) for item in items)
    return tuple(_decode(hint, item, arrays) for hint, item in zip(hints, items, strict=True))


def _decode_dataclass(hint: Any, data: Any, arrays: list[np.ndarray]) -> Any:
    hints = typing.get_type_hints(hint)
    given = _require(dict, data)
    names = {field.name for field in fields(hint)}
    if set(given) != names:
        message = f"expected the fields {sorted(names)}, received {sorted(given)!r:.200}"
        raise ValueError(message)
    return hint(**{name: _decode(hints[name], item, arrays) for name, item in given.items()})


def _require(kind: type[_Value], data: Any) -> _Value:
    if isinstance(data, kind):
        return data
    message = f"expected a {kind.__name__}, received {data!r:.200}"
    raise ValueError(message)


def _require_index(data: Any, count: int) -> int:
    if type(data) is int and 0 <= data < count:
        return data
    message = f"expected a number below {count}, received {data!r:.200}"
    raise ValueError(message)
