"""Numbers as people read them: bytes, seconds, counts.

What passes through: a fact's name and value come in, text goes out.
"""

from __future__ import annotations

import math
from typing import Any

_BYTE_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def name_fact(key: str) -> str:
    """Writes a fact's name without its unit, which goes to the value."""
    for unit in ("_bytes", "_s"):
        key = key.removesuffix(unit)
    return key.replace("_", " ")


def show_value(key: str, value: Any) -> str:
    """Writes a fact's value with the unit that its name ends in."""
    if value is None:
        return "not a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key.endswith("_bytes"):
        return show_bytes(value)
    if key.endswith("_s") and not key.endswith("per_s"):
        return show_seconds(value)
    return f"{value:,}" if isinstance(value, int) else show_number(value)


def show_bytes(value: float) -> str:
    """Writes a size: "31.4 kB"."""
    unit = 0
    while value >= 1000 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_BYTE_UNITS[unit]}"


def show_seconds(value: float) -> str:
    """Writes a time: "0.25 s", "3.1 ms"."""
    if 0 < value < 0.0995:
        return f"{value * 1e3:.3g} ms" if value >= 1e-4 else f"{value * 1e6:.3g} us"
    return f"{value:.3g} s"


def show_number(value: float) -> str:
    """Writes a number short: "0.25", "5e-08", "1,200"."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def choose_ticks(low: float, high: float, *, count: int = 4) -> list[float]:
    """Chooses round numbers between two ends, about as many as asked."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * (count + 1.5) >= high - low)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]
