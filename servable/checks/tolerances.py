"""How far a value may be off before two models count as different: by dtype, and by output where asked.

What passes through: a policy's plain data comes in, `Tolerance`s go out. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from servable.checks.plain_values import read_number


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may be off: at most ``atol + rtol * abs(expected)``."""

    atol: float
    rtol: float


EXACT = Tolerance(0.0, 0.0)

# Some ten units in the last place of a sum of a few hundred terms, per type. Types that are not here
# (integers, bool, string) are compared exactly.
DEFAULT_TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "float64": Tolerance(1e-6, 1e-6),
        "float32": Tolerance(1e-4, 1e-4),
        "float16": Tolerance(1e-2, 1e-2),
        "bfloat16": Tolerance(5e-2, 5e-2),
        "float8_e4m3fn": Tolerance(0.25, 0.25),
        "float8_e5m2": Tolerance(0.5, 0.5),
        "complex64": Tolerance(1e-4, 1e-4),
        "complex128": Tolerance(1e-6, 1e-6),
    }
)


def find_faults(by_dtype: Mapping[str, Tolerance], by_output: Mapping[str, Tolerance]) -> list[str]:
    """Lists what is wrong with a policy's tolerances, in words.

    Args:
        by_dtype: Tolerances by TensorFlow's name of the type.
        by_output: Tolerances by "KEY" or "SIGNATURE/KEY".
    """
    faults = [
        f"tolerances: {dtype!r} is compared exactly, or is no dtype"
        for dtype in by_dtype
        if dtype not in DEFAULT_TOLERANCES
    ]
    for name, given in (("tolerances", by_dtype), ("output_tolerances", by_output)):
        faults += [
            f"{name}: {key} must not be negative"
            for key, tolerance in given.items()
            if not (tolerance.atol >= 0 and tolerance.rtol >= 0)
        ]
    return faults


def read_tolerances(value: Any) -> dict[str, Tolerance]:
    """Reads ``{float32: {atol: 1e-4, rtol: 1e-4}}``.

    Raises:
        ValueError: An entry has other keys.
        TypeError: A value is no number.
    """
    tolerances = {}
    for key, given in value.items():
        if set(given) != {"atol", "rtol"}:
            raise ValueError(f"{key} takes atol and rtol, has {', '.join(map(str, given)) or 'nothing'}")
        tolerances[str(key)] = Tolerance(read_number(given["atol"]), read_number(given["rtol"]))
    return tolerances
