"""Where the marks of a chart go: numbers of the report become places on a small sheet.

What passes through: facts of the checks come in, coordinates in the units of an SVG's view box go out; the
template draws them. Colours and letters are the template's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from servable.report_page.units import choose_ticks, show_number, show_seconds

WIDTH: Final = 320
HEIGHT: Final = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 36
_BAR_GAP: Final = 0.18
# Between the bar of equal values and those with a scale, in bars.
_SCALE_GAP: Final = 0.6
# A tolerance that lies further off than this many powers of ten would press the bars together.
_MAX_DECADES_TO_TOLERANCE: Final = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A value of the baseline and the candidate's."""

    x: float
    y: float
    is_outside: bool


@dataclass(frozen=True, slots=True)
class Scatter:
    """Candidate against baseline on equal axes; the diagonal is where both agree."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its count and the text below it."""

    x: float
    y: float
    width: float
    height: float
    count: str
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values are off by how much; `tolerance_x` is None where it is not on the sheet."""

    bars: tuple[Bar, ...]
    tolerance_x: float | None
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM
    top: float = _TOP


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Requests of one size: widths of the bars, in hundredths of the longest."""

    rows: str
    p50_percent: float
    p99_percent: float
    p50: str
    p90: str
    p99: str
    rows_per_s: str


def draw_scatter(comparison: Mapping[str, Any]) -> Scatter | None:
    """Places pairs of baseline and candidate.

    Args:
        comparison: Of `servable.checks.figures.compare_in_figures`.

    Returns:
        None where there are no pairs, or they are too large for a sheet.
    """
    pairs = [(float(a), float(b)) for a, b in comparison["points"]]
    if not pairs:
        return None
    low, high = min(map(min, pairs)), max(map(max, pairs))
    margin = (high - low) * 0.04 or abs(high) * 0.5 or 1.0
    low, high = low - margin, high + margin
    if not math.isfinite(high - low):
        return None
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def place_x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * width, 1)

    def place_y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * height, 1)

    atol, rtol = comparison["atol"], comparison["rtol"]
    dots = [Dot(place_x(a), place_y(b), abs(a - b) > atol + rtol * abs(a)) for a, b in pairs]
    ticks = choose_ticks(low, high)
    return Scatter(
        # Those that matter are drawn last, over the others.
        tuple(sorted(dots, key=lambda dot: dot.is_outside)),
        tuple(Tick(place_x(value), _show_tick(value, high - low)) for value in ticks),
        tuple(Tick(place_y(value), _show_tick(value, high - low)) for value in ticks),
    )


def draw_histogram(comparison: Mapping[str, Any]) -> Histogram:
    """Places a bar for equal values and one for each power of ten of the differences.

    Args:
        comparison: Of `servable.checks.figures.compare_in_figures`.
    """
    errors = comparison["errors"]
    powers = [round(math.log10(edge)) for edge in errors["edges"]]
    counts = dict(zip(powers, errors["counts"], strict=False))
    atol = comparison["atol"]
    if powers and atol > 0 and 0 <= math.floor(math.log10(atol)) - powers[-2] < _MAX_DECADES_TO_TOLERANCE:
        for power in range(powers[0], math.floor(math.log10(atol)) + 1):
            counts.setdefault(power, 0)
    columns: list[tuple[str, int]] = [("equal", errors["zeros"])]
    columns += [(f"1e{power}", counts[power]) for power in sorted(counts)]
    return _place_bars(columns, _find_place(atol, sorted(counts)))


def draw_latencies(sizes: Mapping[str, Mapping[str, Any]]) -> list[LatencyRow]:
    """Places the latencies of one signature, by the rows of a request.

    Args:
        sizes: Rows to `p50_s`, `p90_s`, `p99_s` and `rows_per_s`.
    """
    longest_s = max(one["p99_s"] for one in sizes.values()) or 1.0
    return [
        LatencyRow(
            str(rows),
            round(100 * one["p50_s"] / longest_s, 1),
            round(100 * one["p99_s"] / longest_s, 1),
            show_seconds(one["p50_s"]),
            show_seconds(one["p90_s"]),
            show_seconds(one["p99_s"]),
            show_number(one["rows_per_s"]) if one.get("rows_per_s") else "",
        )
        for rows, one in sorted(sizes.items(), key=lambda item: int(item[0]))
    ]


def _find_place(atol: float, powers: Sequence[int]) -> float | None:
    """Says how many bars from the left the tolerance lies; None where it is not among them."""
    if not powers or atol <= 0:
        return None
    place = math.log10(atol) - powers[0]
    return 1 + _SCALE_GAP + place if 0 <= place <= len(powers) else None


def _place_bars(columns: Sequence[tuple[str, int]], tolerance: float | None) -> Histogram:
    step = (WIDTH - _LEFT - _RIGHT) / (len(columns) + (_SCALE_GAP if len(columns) > 1 else 0))
    width = min(step * (1 - _BAR_GAP), 60.0)
    full_height = HEIGHT - _TOP - _BOTTOM - 14  # room for the count of the highest
    most = max(count for _, count in columns) or 1
    every = math.ceil(len(columns) / 7)
    bars = []
    for number, (text, count) in enumerate(columns):
        # A single value among thousands is still seen.
        height = max(full_height * count / most, 2.0) if count else 0.0
        place = number + 0.5 + (_SCALE_GAP if number else 0)
        bars.append(
            Bar(
                round(_LEFT + step * place - width / 2, 1),
                round(HEIGHT - _BOTTOM - height, 1),
                round(width, 1),
                round(height, 1),
                _show_count(count) if count else "",
                text if number == 0 or number % every == 0 else "",
            )
        )
    return Histogram(tuple(bars), None if tolerance is None else round(_LEFT + step * tolerance, 1))


def _show_count(count: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= size:
            return f"{count / (1000 if letter == 'k' else size):.3g}{letter}"
    return str(count)


def _show_tick(value: float, span: float) -> str:
    return "0" if abs(value) < span * 1e-6 else f"{value:.4g}"
