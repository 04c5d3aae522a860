"""What a row of the performance table is: a figure, a bar, and whether the bar is held.

What passes through: measurements become `Row`s, rows become a table in Markdown.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HELD, MISSED, TOLD, LEFT_OUT = "held", "missed", "no bar", "not run"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        work: What was done.
        ours: What it took, in words.
        beside: What the usual way took, or what the figure is measured against.
        figure: The figure that is judged, in `unit`; None where it could not be taken.
        bar: The limit; None where the row only tells.
        unit: Such as "x", "s" or "MB".
        at_least: Whether the figure has to reach the bar rather than stay below it.
        cpu_figure: The same figure in processor time, which a busy machine does not change; None for memory.
        note: Why it could not be taken, or what else there is to say.
    """

    work: str
    ours: str = ""
    beside: str = ""
    figure: float | None = None
    bar: float | None = None
    unit: str = "x"
    at_least: bool = False
    cpu_figure: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the bar is held."""
        if self.figure is None:
            return LEFT_OUT
        if self.bar is None:
            return TOLD
        is_held = self.figure >= self.bar if self.at_least else self.figure <= self.bar
        return HELD if is_held else MISSED


@dataclass(frozen=True, slots=True)
class Round:
    """Runs of several sides in turns.

    Attributes:
        values: Side to what each of its runs told, by name.
    """

    values: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)

    def middle(self, side: str, name: str) -> float:
        """Gives the median over a side's runs."""
        return median(run[name] for run in self.values[side])

    def ratio(self, side: str, other: str, name: str) -> float:
        """Gives the median over rounds of one side's value beside the other's of the same round.

        Runs of one round lie next to each other, so what else the machine does weighs on both.
        """
        pairs = zip(self.values[side], self.values[other], strict=True)
        return median(run[name] / max(beside[name], 1e-9) for run, beside in pairs)


def run_in_turns(
    sides: Mapping[str, Callable[[], dict[str, float]]],
    *,
    repeats: int,
    say: Say,
    what: str,
    warms: bool = False,
) -> Round:
    """Runs every side once per round, in the same order.

    Args:
        sides: Name to what runs it once.
        repeats: Rounds.
        say: Told of the progress.
        what: What is measured, for that.
        warms: Whether a first round does not count: it leaves Python's bytecode behind for the others.
    """
    values: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for number in range(0 if warms else 1, repeats + 1):
        for side, run in sides.items():
            say(f"{what}: {side}, {number} of {repeats}")
            figures = run()
            if number:
                values[side].append(figures)
    return Round(values)


def draw_markdown(rows: Sequence[Row]) -> str:
    """Draws the table that README quotes."""
    head = ("work", "here", "beside", "figure", "bar", "in CPU time", "")
    lines = [_draw_line(head), "|" + "---|" * len(head)]
    lines += [_draw_line(_make_cells(row)) for row in rows]
    return "\n".join(lines)


def _make_cells(row: Row) -> Sequence[str]:
    def show(value: float | None) -> str:
        if value is None:
            return ""
        digits = 0 if row.unit == "MB" else 2
        return f"{value:.{digits}f} {row.unit}"

    bar = show(row.bar)
    if bar:
        bar = f"at least {bar}" if row.at_least else f"at most {bar}"
    verdict = row.verdict if not row.note else f"{row.verdict}: {row.note}"
    return (row.work, row.ours, row.beside, show(row.figure), bar, show(row.cpu_figure), verdict)


def _draw_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def describe_machine() -> str:
    """Says in one sentence what this ran on, and how busy that was."""
    cpu = _find_line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    memory_kib = _find_line("/proc/meminfo", "MemTotal").split()
    memory = f"{int(memory_kib[0]) / 2**20:.0f} GiB of memory, " if memory_kib else ""
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return (
        f"{os.cpu_count()} cores of {cpu}, {memory}{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; {load}."
    )


def _find_line(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Gives the rows as plain values, verdicts included."""
    names = ("work", "ours", "beside", "figure", "bar", "unit", "at_least", "cpu_figure", "note", "verdict")
    return [{name: getattr(row, name) for name in names} for row in rows]
