"""What is counted while a model answers examples: rows, rows that fail, differences, times.

What passes through: counts of one batch come in, are merged in any order and on any machine, and are turned
into a report by `servable.checks.metrics`. The memory that they take does not grow with the rows. Pure.
"""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from servable.checks.measures import Errors, Hits, ScoreBins

# The sides whose metrics are taken.
CANDIDATE, SOURCE, PREVIOUS = "candidate", "source", "previous"

# Ten to a power of ten, from 1 microsecond to 1,000 seconds.
_BINS_PER_POWER = 20
_LOWEST_POWER, _POWERS = -6, 9
_BINS = _BINS_PER_POWER * _POWERS


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """A row that fails, to look at.

    Attributes:
        rank: Smaller ones are shown first.
        origin: File.
        position: Number of the row within it.
        detail: What is wrong with it, beyond what all of its kind have in common.
    """

    rank: float
    origin: str
    position: int
    detail: str = ""

    def __str__(self) -> str:
        place = f"{self.origin or 'row'}#{self.position}"
        return f"{place}: {self.detail}" if self.detail else place


@dataclass(slots=True)
class FailingRows:
    """How many rows fail in one way, and some of them.

    Attributes:
        limit: Samples that are kept: those of the lowest ranks, whatever the order in which they came.
        count: All of them.
        samples: In order.
    """

    limit: int
    count: int = 0
    samples: list[Sample] = field(default_factory=list)

    def add(self, count: int, samples: Iterable[Sample]) -> None:
        """Adds rows.

        Args:
            count: How many.
            samples: At least the `limit` first of them in order.
        """
        self.count += count
        self.samples = heapq.nsmallest(self.limit, [*self.samples, *samples])

    def merge(self, other: FailingRows) -> None:
        """Adds the rows of another one."""
        self.add(other.count, other.samples)


@dataclass(slots=True)
class Difference:
    """How far an output is from the source's own over all rows.

    Attributes:
        rows: How many were compared.
        worst: Largest absolute difference; infinity where one is no number.
        failing: Those that are off by more than the tolerance.
    """

    failing: FailingRows
    rows: int = 0
    worst: float = 0.0

    def merge(self, other: Difference) -> None:
        """Adds the rows of another one."""
        self.rows += other.rows
        self.worst = max(self.worst, other.worst)
        self.failing.merge(other.failing)


@dataclass(slots=True)
class Times:
    """How long requests took, by bins of which 20 make a power of ten.

    Attributes:
        rows: Of all requests.
        total_s: Of all requests.
        bins: int64, requests by time.
    """

    rows: int = 0
    total_s: float = 0.0
    bins: np.ndarray = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    def add(self, rows: int, elapsed_s: float) -> None:
        """Adds a request."""
        power = math.log10(max(elapsed_s, 1e-12)) - _LOWEST_POWER
        self.bins[min(max(int(power * _BINS_PER_POWER), 0), _BINS - 1)] += 1
        self.rows += rows
        self.total_s += elapsed_s

    def merge(self, other: Times) -> None:
        """Adds the requests of another one."""
        self.rows += other.rows
        self.total_s += other.total_s
        self.bins = self.bins + other.bins

    def find_quantile_s(self, share: float) -> float:
        """Gives the time that this share of the requests does not exceed, at most 12% too high."""
        wanted = max(1, math.ceil(share * int(self.bins.sum())))
        place = int(np.searchsorted(np.cumsum(self.bins), wanted))
        return float(10 ** (_LOWEST_POWER + (place + 1) / _BINS_PER_POWER))


@dataclass(slots=True)
class Tally:
    """All that was counted.

    Attributes:
        rows: How many were read.
        unusable: How many of them could not be fed, judged or answered.
        reasons: Why, with samples; a row may have one reason only.
        faults: Why the model cannot be judged by examples at all, with the number of batches.
        measures: By side.
        differences: By output key, from the source's own.
        times: By side.
    """

    rows: int = 0
    unusable: int = 0
    reasons: dict[str, FailingRows] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    measures: dict[str, Hits | ScoreBins | Errors] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    times: dict[str, Times] = field(default_factory=dict)

    def merge(self, other: Tally) -> None:
        """Adds the counts of another one, which stays as it is."""
        self.rows += other.rows
        self.unusable += other.unusable
        for fault, batches in other.faults.items():
            self.faults[fault] = self.faults.get(fault, 0) + batches
        _merge_all(self.reasons, other.reasons)
        _merge_all(self.measures, other.measures)
        _merge_all(self.differences, other.differences)
        _merge_all(self.times, other.times)


def _merge_all(own: dict[str, Any], others: Mapping[str, Any]) -> None:
    for key, other in others.items():
        if key in own:
            own[key].merge(other)
        else:
            own[key] = copy.deepcopy(other)
