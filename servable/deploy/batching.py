"""How a server should join requests: sizes and waiting time, from what the checks have measured.

What passes through: a report comes in, a plan goes out, or the reason why requests had better not be
joined. A server fills a batch up to the next allowed size with rows that nobody asked for, so that each
size has to be worth its time; and rows must not change each other's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from servable.report import Report, Severity

# Checks that say whether rows may be joined.
_NEEDED_CHECKS: Final = ("batch", "inference_mode")
# A smaller size is kept only where it saves at least a fifth of the time of the next one.
_LEAST_GAIN: Final = 1.25
# Nobody should wait longer for others, however slow the model is.
_MAX_WAIT_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How requests are joined.

    Attributes:
        sizes: Allowed numbers of rows, rising; the last one is the largest. Empty where nothing is joined.
        wait_s: How long the first request of a batch waits for others.
        reason: Why nothing is joined.
    """

    sizes: tuple[int, ...] = ()
    wait_s: float = 0.0
    reason: str = ""


def plan_batches(report: Report) -> BatchPlan:
    """Plans batches from the latencies of requests with one row and with many.

    The largest size is the measured one that answers the most rows a second, of every signature. Between
    one row and that, sizes double; one that takes hardly less time than the next, as the measured times say
    with a straight line between them, is left out. The first request waits as long as it takes to answer it
    alone.

    Args:
        report: Of all checks.
    """
    for check in _NEEDED_CHECKS:
        if check not in report.checked:
            return BatchPlan(reason=f"check {check} was not made")
        if any(f.check == check and f.severity is not Severity.INFO for f in report.findings):
            return BatchPlan(reason=f"check {check} has findings")
    times_s = _read_times(report.facts.get("cost") or {})
    if len(times_s) < 2 or 1 not in times_s:
        return BatchPlan(reason="latencies of requests with one row and with more were not measured")
    largest = max(times_s, key=lambda rows: rows / times_s[rows])
    if largest == 1:
        return BatchPlan(reason="requests with more rows take as much time for each row as one alone")
    sizes = [largest]
    size = _find_power_below(largest)
    while size >= 1:
        if _estimate(times_s, sizes[-1]) >= _LEAST_GAIN * _estimate(times_s, size):
            sizes.append(size)
        size //= 2
    return BatchPlan(tuple(sorted(sizes)), min(times_s[1], _MAX_WAIT_S))


def _read_times(cost: Mapping[str, Any]) -> dict[int, float]:
    """Gives the slowest signature's median time by number of rows, where all were measured."""
    measured = [
        {int(rows): float(facts["p50_s"]) for rows, facts in sizes.items()}
        for sizes in (cost.get("latencies") or {}).values()
    ]
    if not measured:
        return {}
    common = set.intersection(*(set(times) for times in measured))
    return {rows: max(times[rows] for times in measured) for rows in sorted(common)}


def _find_power_below(rows: int) -> int:
    return 1 << ((rows - 1).bit_length() - 1)


def _estimate(times_s: Mapping[int, float], rows: int) -> float:
    """Reads a straight line between the measured numbers of rows."""
    below = max(size for size in times_s if size <= rows)
    above = min(size for size in times_s if size >= rows)
    if below == above:
        return times_s[below]
    share = (rows - below) / (above - below)
    return times_s[below] + share * (times_s[above] - times_s[below])
