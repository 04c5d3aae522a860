"""One row of the reliability table: a fault, how often it was tried, how often the bar was held.

What passes through: each campaign counts trials into rows; `benchmarks.reliability` draws them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class FaultRow:
    """One kind of fault.

    Attributes:
        fault: In words.
        tried: How often.
        misses: What was not as it has to be, with how often.
        notes: Figures and outcomes worth knowing.
    """

    fault: str
    tried: int = 0
    misses: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def note_trial(self, misses: list[str], *notes: str) -> None:
        """Counts one trial."""
        self.tried += 1
        self.misses.update(set(misses))
        self.notes.update(notes)

    def describe(self) -> tuple[str, str, str, str]:
        """Gives the row's cells: fault, trials, verdict, notes."""
        missed = "; ".join(f"{count}x {miss}" for miss, count in self.misses.items())
        verdict = "not tried" if not self.tried else "held" if not self.misses else f"MISSED: {missed}"
        return self.fault, str(self.tried), verdict, ", ".join(_count(n, c) for n, c in self.notes.items())


def _count(note: str, count: int) -> str:
    return note if count == 1 else f"{count}x {note}"
