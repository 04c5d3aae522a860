"""Comparing two arrays element by element, with a tolerance, and saying where they differ most.

What passes through: what was expected and what was received come in, a `Difference` comes out. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from servable.checks.tolerances import Tolerance

_SHOWN_CHARS = 60
# numpy has no kind of its own for these.
_INEXACT_EXTRAS = tuple(
    np.dtype(extra) for extra in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two arrays differ.

    Attributes:
        message: In words, with the worst element's index and both values; "" when they agree.
        worst: Largest absolute difference, of tolerated ones too; None where that is no number
            (strings, other shape or type, NaN or infinity on one side only).
    """

    message: str
    worst: float | None


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """True for floating-point and complex types, those of ml_dtypes included."""
    return dtype.kind in "fc" or dtype in _INEXACT_EXTRAS


def compare_arrays(expected: np.ndarray, received: np.ndarray, tolerance: Tolerance) -> Difference:
    """Compares elementwise: inexact types with tolerance, all others exactly. NaN equals NaN here.

    Args:
        expected: The right values; strings as object arrays of bytes.
        received: The values in question.
        tolerance: For inexact types.
    """
    if expected.shape != received.shape:
        return Difference(f"shape: expected {list(expected.shape)}, received {list(received.shape)}", None)
    if expected.dtype != received.dtype and not (
        expected.dtype.kind in "OSU" and received.dtype.kind in "OSU"
    ):
        return Difference(f"type: expected {expected.dtype.name}, received {received.dtype.name}", None)
    if expected.size == 0:
        return Difference("", 0.0)
    if is_inexact(expected.dtype):
        return _compare_inexact(expected, received, tolerance)
    return _compare_exact(expected, received)


def count_not_finite(array: np.ndarray) -> tuple[int, int, tuple[int, ...]]:
    """Counts NaN and infinite elements.

    Returns:
        How many NaN, how many infinite, and the index of the first of either (empty when there is none).
    """
    if not is_inexact(array.dtype):
        return 0, 0, ()
    values = _widen(array)
    nan, inf = np.isnan(values), np.isinf(values)
    bad = nan | inf
    first = _locate(int(np.argmax(bad)), bad.shape) if bad.any() else ()
    return int(nan.sum()), int(inf.sum()), first


def _compare_inexact(expected: np.ndarray, received: np.ndarray, tolerance: Tolerance) -> Difference:
    left, right = _widen(expected), _widen(received)
    with np.errstate(invalid="ignore", over="ignore"):
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        distance = np.where(same, 0.0, np.abs(left - right))
        excess = distance - (tolerance.atol + tolerance.rtol * np.abs(left))
    # A number against NaN or infinity is wrong whatever is tolerated: rtol times infinity is infinity.
    hopeless = ~same & ~(np.isfinite(left) & np.isfinite(right))
    excess = np.where(hopeless, np.inf, np.where(same, -np.inf, excess))
    wrong = int((excess > 0).sum())
    finite = distance[~hopeless]
    worst = None if hopeless.any() else float(finite.max())
    if not wrong:
        return Difference("", worst)
    at = _locate(int(np.argmax(excess)), excess.shape)
    message = (
        f"{wrong} of {expected.size} values differ; worst at {_show_index(at)}: expected {left[at]:.9g}, "
        f"received {right[at]:.9g} (tolerance {tolerance.atol:g} + {tolerance.rtol:g} * |expected|)"
    )
    return Difference(message, worst)


def _compare_exact(expected: np.ndarray, received: np.ndarray) -> Difference:
    is_text = expected.dtype.kind in "OSU"
    if is_text:
        pairs = zip(expected.ravel().tolist(), received.ravel().tolist(), strict=True)
        wrong = np.array([_to_bytes(a) != _to_bytes(b) for a, b in pairs]).reshape(expected.shape)
    else:
        wrong = expected != received
    if not wrong.any():
        return Difference("", None if is_text else 0.0)
    at = _locate(int(np.argmax(wrong)), wrong.shape)
    message = (
        f"{int(wrong.sum())} of {expected.size} values differ; first at {_show_index(at)}: "
        f"expected {_show(expected[at])}, received {_show(received[at])} (compared exactly)"
    )
    if is_text:
        return Difference(message, None)
    # Python integers, so that neither unsigned nor 64-bit values wrap around.
    pairs = zip(expected[wrong].tolist(), received[wrong].tolist(), strict=True)
    return Difference(message, float(max(abs(int(a) - int(b)) for a, b in pairs)))


def _widen(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _locate(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(position) for position in np.unravel_index(flat, shape))


def _show_index(index: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, index)) + "]"


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, bytes | str) else str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def _to_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
