"""How long requests take: latencies of one signature by number of rows, of one model or of two in turns.

What passes through: sessions with models and requests come in, `Latencies` go out. Times are those of the
run alone, as the child measures it, without moving arrays between processes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from servable.checks.context import call_signature
from servable.runtime.session import Session
from servable.signature import Signature

_LEAST_RUNS = 3
_MOST_RUNS = 2000


@dataclass(frozen=True, slots=True)
class Latencies:
    """Times of requests of the same size.

    Attributes:
        rows: Of each request.
        runs: How many were made.
        p50_s: Half of the requests took no longer.
        p90_s: 9 of 10.
        p99_s: 99 of 100; of fewer than 100 runs the slowest.
    """

    rows: int
    runs: int
    p50_s: float
    p90_s: float
    p99_s: float

    @property
    def rows_per_s(self) -> float:
        """Of one client that asks again as soon as it is answered."""
        return self.rows / self.p50_s if self.p50_s > 0 else 0.0

    def to_facts(self) -> dict[str, float | int]:
        """Gives plain JSON values."""
        times = {name: round(getattr(self, name), 7) for name in ("p50_s", "p90_s", "p99_s")}
        return {"runs": self.runs, **times, "rows_per_s": round(self.rows_per_s, 1)}


def measure_latencies(
    sessions: Sequence[Session],
    signatures: Sequence[Signature],
    inputs: Mapping[str, np.ndarray],
    *,
    rows: int,
    time_s: float,
) -> list[Latencies] | None:
    """Asks each session in turn, so that whatever else the machine does falls on all alike.

    Args:
        sessions: With a model each.
        signatures: Of each session's model, with the same inputs.
        inputs: One request.
        rows: Of that request.
        time_s: For all sessions together; no run is cut short by it.

    Returns:
        Of each session, or None where one could not answer.
    """
    times_s: list[list[float]] = [[] for _ in sessions]
    for _ in range(2):  # the first run of a size prepares what others find ready
        for session, signature in zip(sessions, signatures, strict=True):
            if call_signature(session, signature, inputs).fault is not None:
                return None
    deadline_s = time.monotonic() + time_s
    while len(times_s[0]) < _LEAST_RUNS or (time.monotonic() < deadline_s and len(times_s[0]) < _MOST_RUNS):
        for session, signature, taken in zip(sessions, signatures, times_s, strict=True):
            result = call_signature(session, signature, inputs)
            if result.fault is not None:
                return None
            taken.append(result.elapsed_s)
    return [_summarize(taken, rows) for taken in times_s]


def _summarize(times_s: list[float], rows: int) -> Latencies:
    ordered = np.sort(np.array(times_s))
    p50, p90, p99 = (float(np.quantile(ordered, q, method="higher")) for q in (0.5, 0.9, 0.99))
    return Latencies(rows, len(times_s), p50, p90, p99)
