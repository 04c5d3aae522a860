"""Figures for people: how far a candidate is off, and what a variable's values are like.

What passes through: arrays come in, plain JSON values of a bounded size go out, for `report_page` to draw.
They judge nothing: that is the business of the checks.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from servable.checks.comparison import is_inexact

MAX_POINTS: Final = 300
_WORST_POINTS: Final = 50
# Of the histogram, one for each power of ten; float64 has 632 of them.
_MAX_DECADES: Final = 18
_QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)


def compare_in_figures(
    expected: np.ndarray, received: np.ndarray, *, atol: float, rtol: float
) -> dict[str, Any] | None:
    """Describes how a candidate's output differs from the baseline's.

    Args:
        expected: The baseline's values.
        received: The candidate's.
        atol: How far a value may be off,
        rtol: and how much further for each unit of what was expected.

    Returns:
        `values`, `outside` the tolerance, `atol`, `rtol`; `points`, pairs of baseline and candidate with the
        worst among them; `errors`, absolute differences in bins of a power of ten, and their quantiles. None
        where there is nothing to draw: other shape or type, text, complex numbers, no finite value.
    """
    if expected.shape != received.shape or expected.dtype != received.dtype or not expected.size:
        return None
    if not (is_inexact(expected.dtype) or expected.dtype.kind in "iub") or expected.dtype.kind == "c":
        return None
    left, right = (array.astype(np.float64).ravel() for array in (expected, received))
    finite = np.isfinite(left) & np.isfinite(right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    hopeless = int((~finite & ~same).sum())
    left, right = left[finite], right[finite]
    if not left.size:
        return None
    errors = np.abs(left - right)
    outside = int((errors > atol + rtol * np.abs(left)).sum())
    return {
        "values": expected.size,
        "outside": outside + hopeless,
        "atol": atol,
        "rtol": rtol,
        "points": [[_round(left[i]), _round(right[i])] for i in _choose_points(errors)],
        "errors": _count_errors(errors),
    }


class ValueFigures:
    """Mean, standard deviation, least and largest of values that come in pieces.

    Only finite values count; the others are told by the check itself.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # of the distances from the mean
        self._min = math.inf
        self._max = -math.inf

    def add(self, values: np.ndarray) -> None:
        """Takes a piece, of an integer or floating-point type; what is neither is passed over."""
        if values.dtype.kind not in "iuf" and (values.dtype.kind == "c" or not is_inexact(values.dtype)):
            return
        wide = values.astype(np.float64).ravel()
        finite = np.isfinite(wide)
        if not finite.all():
            wide = wide[finite]
        if not wide.size:
            return
        with np.errstate(over="ignore"):
            mean = float(wide.mean())
            squares = float(np.square(wide - mean).sum())
            # Chan, Golub and LeVeque: two pieces' figures give those of both without a second reading.
            total, distance = self._count + wide.size, mean - self._mean
            self._squares += squares + distance * distance * self._count * wide.size / total
            self._mean += distance * wide.size / total
        self._count = total
        self._min, self._max = min(self._min, float(wide.min())), max(self._max, float(wide.max()))

    def to_facts(self) -> dict[str, float | None]:
        """Gives `mean`, `std` (of the whole, not of a sample), `min` and `max`; nothing without values."""
        if not self._count:
            return {}
        figures = {
            "mean": self._mean,
            "std": math.sqrt(self._squares / self._count),
            "min": self._min,
            "max": self._max,
        }
        # JSON has no word for a number that has overflowed.
        return {name: _round(value) if math.isfinite(value) else None for name, value in figures.items()}


def _choose_points(errors: np.ndarray) -> list[int]:
    if errors.size <= MAX_POINTS:
        return list(range(errors.size))
    worst = np.argpartition(errors, -_WORST_POINTS)[-_WORST_POINTS:]
    even = np.linspace(0, errors.size - 1, MAX_POINTS - _WORST_POINTS).astype(np.int64)
    return sorted({*worst.tolist(), *even.tolist()})


def _count_errors(errors: np.ndarray) -> dict[str, Any]:
    some = errors[errors > 0]
    edges: list[float] = []
    counts: list[int] = []
    if some.size:
        powers = np.floor(np.log10(some)).astype(np.int64)
        last = int(powers.max())
        first = max(int(powers.min()), last - _MAX_DECADES + 1)
        # What is smaller still is counted with the smallest that have a bin.
        counts = np.bincount(np.maximum(powers, first) - first, minlength=last - first + 1).tolist()
        edges = [float(f"1e{power}") for power in range(first, last + 2)]
    return {
        "edges": edges,
        "counts": counts,
        "zeros": int(errors.size - some.size),
        "quantiles": {f"{q:g}": _round(np.quantile(errors, q)) for q in _QUANTILES},
    }


def _round(value: Any) -> float:
    """Keeps what a picture can show, and the report small."""
    return float(f"{value:.7g}")
