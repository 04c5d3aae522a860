"""The form of a request without its values: one row, long lists cut short, for pages that show a signature.

What passes through: a signature's specs come in, the text of a body goes out. It is no command to be copied
into a shell: keys are what the model's maker chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from servable.deploy.requests.example import EXAMPLES_REMARK
from servable.deploy.requests.rest import find_missing_types, lay_out_columns

_FLOATS: Final = frozenset({"float32", "float64"})
_VALUES: Final[Mapping[str, str]] = {"bool": "true", "string": '"text"', **dict.fromkeys(_FLOATS, "0.5")}
_WHOLE_NUMBER: Final = "1"
_MAX_VALUES: Final = 24


def outline_request(name: str, method: str, inputs: Mapping[str, Any]) -> tuple[str, str]:
    """Writes the body of a request of one row.

    Args:
        name: Of the signature.
        method: "predict", "classify" or "regress".
        inputs: Key to `dtype` and `shape`.

    Returns:
        The body, "" where REST has none, and a remark, which may be empty too. Long lists are cut with "...".
    """
    if method != "predict":
        return "", EXAMPLES_REMARK
    if missing := find_missing_types({spec["dtype"] for spec in inputs.values()}):
        return "", missing
    text = lay_out_columns(name, {key: _write_tensor(spec) for key, spec in inputs.items()})
    is_cut = any(_count(spec) > _MAX_VALUES for spec in inputs.values())
    return text, "Lists that end in ... go on as their shape says." if is_cut else ""


def _count(spec: Mapping[str, Any]) -> int:
    return math.prod(_fill(spec["shape"]))


def _fill(shape: list[int | None] | None) -> list[int]:
    return [1] if shape is None else [1 if size is None else size for size in shape]


def _write_tensor(spec: Mapping[str, Any]) -> str:
    value = _VALUES.get(spec["dtype"], _WHOLE_NUMBER)
    sizes = _fill(spec["shape"])
    return _nest(value, sizes, is_whole=math.prod(sizes) <= _MAX_VALUES)


def _nest(value: str, sizes: list[int], *, is_whole: bool) -> str:
    if not sizes:
        return value
    inner = _nest(value, sizes[1:], is_whole=is_whole)
    if is_whole:
        return f"[{', '.join([inner] * sizes[0])}]"
    # The innermost list shows a few values, the others their first list only.
    shown = min(sizes[0], 1 if len(sizes) > 1 else 3)
    more = ", ..." if sizes[0] > shown else ""
    return f"[{', '.join([inner] * shown)}{more}]"
