"""Requests that are extreme and legal, by dtype: what a client will send one day.

What passes through: a signature and a request that works come in; the same request with other values, one
kind of extreme at a time, goes out. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from servable.checks.rows import has_free_rows, take_rows
from servable.signature import Signature

_MAX_ROWS = 2
_LARGE = 1e4  # float16 goes to 6.5e4
_TEXTS = {
    "empty texts": b"",
    "texts beyond ASCII": "Zürich 東京 \N{SLIGHTLY SMILING FACE}".encode(),
    "texts that are no UTF-8": b"\xff\xfe",
}


class Probe(NamedTuple):
    """One extreme request.

    Attributes:
        what: Its values in words.
        inputs: Arrays by serving key.
        is_finite: Whether NaN in the answer would say something: the mean of no rows is rightly none.
    """

    what: str
    inputs: dict[str, np.ndarray]
    is_finite: bool = True


def list_probes(signature: Signature, inputs: Mapping[str, np.ndarray]) -> Iterator[Probe]:
    """Makes extreme requests out of one that works.

    Args:
        signature: Whose request it is.
        inputs: Of which the first rows are taken.
    """
    rows = range(_MAX_ROWS)
    sizes = {value.shape[0] for key, value in inputs.items() if has_free_rows(signature.inputs[key])}
    can_take = len(sizes) == 1 and min(sizes) >= 1
    few = take_rows(signature, inputs, [row % min(sizes) for row in rows]) if can_take else dict(inputs)
    for what, kinds, change in _list_changes():
        changed = {key: change(value) if value.dtype.kind in kinds else value for key, value in few.items()}
        if any(value.dtype.kind in kinds and value.size for value in few.values()):
            yield Probe(what, changed)
    if can_take:
        yield Probe("no rows", take_rows(signature, inputs, []), is_finite=False)


def _list_changes() -> Iterator[tuple[str, str, Callable[[np.ndarray], np.ndarray]]]:
    yield "zeros", "f", np.zeros_like
    yield "large numbers", "f", lambda value: np.full_like(value, _LARGE)
    yield "negative numbers", "f", lambda value: -np.abs(value) - value.dtype.type(0.5)
    yield "denormal numbers", "f", lambda value: np.full_like(value, np.finfo(value.dtype).smallest_subnormal)
    yield "zeros", "iu", np.zeros_like
    yield "negative integers", "i", lambda value: np.full_like(value, -1)
    yield "the largest integers", "iu", lambda value: np.full_like(value, np.iinfo(value.dtype).max)
    for what, text in _TEXTS.items():
        yield what, "O", _make_filler(text)


def _make_filler(text: bytes) -> Callable[[np.ndarray], np.ndarray]:
    def fill(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        filled = np.empty(value.shape, object)
        filled.fill(text)
        return filled

    return fill
