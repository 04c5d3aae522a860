"""Budgets: what a model may cost, alone and beside the one that it is to replace.

What passes through: a policy's plain data and the figures that `cost` has measured come in; figures that are
over their budget go out, in words. Nothing is measured here. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from servable.checks.plain_values import read_number

# Figure of `cost` to what it is. Latencies are those of requests of one row.
FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "variable_bytes": "bytes of variables",
        "graph_bytes": "bytes of the graph",
        "peak_memory_bytes": "bytes of memory at most",
        "load_time_s": "s to load",
        "latency_p50_s": "s for half of the requests of one row",
        "latency_p90_s": "s for 9 of 10 requests of one row",
        "latency_p99_s": "s for 99 of 100 requests of one row",
        "rows_per_s": "rows a second",
    }
)
# More of these is better, so that the budget is the least that is wanted.
_LEAST = frozenset({"rows_per_s"})
_RATIO = "_ratio"
_TIMED = ("latency", "rows", "load_time")
BUDGET_NAMES = (*FIGURES, *(name + _RATIO for name in FIGURES))


def find_budget_faults(budget: Mapping[str, float]) -> list[str]:
    """Lists what is wrong with a budget, in words."""
    faults = [
        f"budget: {name!r} is not known, expected some of {', '.join(BUDGET_NAMES)}"
        for name in budget
        if name not in BUDGET_NAMES
    ]
    return faults + [
        f"budget: {name} must be more than 0, is {most}" for name, most in budget.items() if not most > 0
    ]


def read_budget(value: Any) -> dict[str, float]:
    """Reads ``{latency_p99_s: 0.05, latency_p50_s_ratio: 1.2}``.

    Raises:
        TypeError: A value is no number.
        ValueError: Likewise, a text.
    """
    return {str(name): read_number(most) for name, most in value.items()}


def is_timed(budget: Mapping[str, float]) -> bool:
    """Says whether times decide, so that they are worth measuring well."""
    return any(name.startswith(_TIMED) for name in budget)


def is_compared(budget: Mapping[str, float]) -> bool:
    """Says whether a previous model decides."""
    return any(name.endswith(_RATIO) for name in budget)


def find_excesses(budget: Mapping[str, float], figures: Mapping[str, float]) -> Iterator[str]:
    """Yields what costs more than its budget.

    Args:
        budget: Of the policy.
        figures: As in `FIGURES`.
    """
    for name, limit in budget.items():
        if name in FIGURES and name in figures:
            yield from _judge(figures[name], limit, FIGURES[name], least=name in _LEAST, origin="the budget")


def find_regressions(budget: Mapping[str, float], ratios: Mapping[str, float]) -> Iterator[str]:
    """Yields what costs more beside the previous model than its budget allows.

    Args:
        budget: Of the policy.
        ratios: Figure name to this model's figure divided by the previous one's.
    """
    for name, limit in budget.items():
        figure = name.removesuffix(_RATIO)
        if figure != name and figure in ratios:
            words = f"times the previous model's {FIGURES[figure]}"
            yield from _judge(ratios[figure], limit, words, least=figure in _LEAST, origin=f"budget {name}")


def _judge(value: float, limit: float, words: str, *, least: bool, origin: str) -> Iterator[str]:
    if (value < limit) if least else (value > limit):
        bound = "at least" if least else "at most"
        yield f"{origin} is {bound} {limit:g} {words}, measured {value:.4g}"
