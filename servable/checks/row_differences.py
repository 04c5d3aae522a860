"""Which rows of an output differ from what was expected, and by how much.

What passes through: two arrays of as many rows and a tolerance come in, a verdict for each row goes out; the
rule for one element is that of `servable.checks.comparison`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from servable.checks.comparison import is_inexact
from servable.checks.tolerances import Tolerance


@dataclass(frozen=True, slots=True)
class RowDifferences:
    """How rows differ.

    Attributes:
        differs: bool [rows], whether a value of the row is off by more than the tolerance.
        distances: float64 [rows], largest absolute difference; infinity where that is no number (texts, NaN
            or infinity on one side only).
    """

    differs: np.ndarray
    distances: np.ndarray


def compare_rows(expected: np.ndarray, received: np.ndarray, tolerance: Tolerance) -> RowDifferences:
    """Compares row by row: inexact outputs with tolerance, all others exactly. NaN equals NaN here.

    Args:
        expected: [rows, ...], strings as object arrays of bytes.
        received: Of the same shape; its type decides how.
        tolerance: For inexact types.
    """
    rows = len(received)
    left, right = expected.reshape(rows, -1), received.reshape(rows, -1)
    if not is_inexact(right.dtype):
        wrong = np.asarray(left != right, dtype=bool)
        differs = np.asarray(wrong.any(axis=1))
        if right.dtype == object:
            return RowDifferences(differs, np.where(differs, np.inf, 0.0))
        sizes = np.abs(left.astype(np.float64) - right.astype(np.float64))
        return RowDifferences(differs, sizes.max(axis=1, initial=0.0))
    wide = np.complex128 if right.dtype.kind == "c" else np.float64
    left, right = left.astype(wide), right.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        distance = np.where(same, 0.0, np.abs(left - right))
        allowed = tolerance.atol + tolerance.rtol * np.abs(left)
        # A number against NaN or infinity is wrong whatever is tolerated: rtol times infinity is infinity.
        hopeless = ~same & ~(np.isfinite(left) & np.isfinite(right))
        wrong = hopeless | (~same & (distance > allowed))
    distance = np.where(hopeless, np.inf, distance)
    return RowDifferences(np.asarray(wrong.any(axis=1)), distance.max(axis=1, initial=0.0))
