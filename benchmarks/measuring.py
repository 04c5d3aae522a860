"""Runs commands as processes of their own and tells time, peak memory and bytes written.

What passes through: each benchmark hands in command lines and gets `Measurement`s. The commands are started
by `launch.py`, a small process, so that the size of this one does not count for them.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

REPOSITORY_DIR = Path(__file__).resolve().parents[1]

_LAUNCHER_PATH = Path(__file__).with_name("launch.py")
_LOG_TAIL_CHARS = 2000


class BenchmarkError(Exception):
    """A measured command did not do its work, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of a command took.

    Attributes:
        elapsed_s: Wall time from start to end of the process.
        peak_bytes: Largest resident memory of the process, or of any one process that it started.
        output: What it printed on stdout.
        cpu_s: Processor time, user's and system's, of the process and of all that it waited for.
    """

    elapsed_s: float
    peak_bytes: int
    output: str
    cpu_s: float = 0.0


def run_measured(command: Sequence[str | Path], *, log_path: Path) -> Measurement:
    """Runs a command to its end and measures it.

    Args:
        command: Program and arguments, run in the repository's folder.
        log_path: File that takes what it says on stderr.

    Raises:
        BenchmarkError: The command failed, or is not there; the message has the end of its log.
    """
    arguments = [str(part) for part in command]
    output_path, report_path = log_path.with_suffix(".out"), log_path.with_suffix(".json")
    launch = [sys.executable, "-I", "-S", str(_LAUNCHER_PATH), str(report_path.absolute()), *arguments]
    with log_path.open("wb") as log, output_path.open("wb") as output:
        subprocess.run(launch, stdout=output, stderr=log, cwd=REPOSITORY_DIR, check=False)
    tail = log_path.read_text(errors="replace")[-_LOG_TAIL_CHARS:]
    if not report_path.exists():
        raise BenchmarkError(f"{' '.join(arguments)}\ncould not be started:\n{tail}")
    report = json.loads(report_path.read_text())
    text = output_path.read_text(errors="replace")
    report_path.unlink()
    output_path.unlink()
    if report["exit_code"] != 0:
        raise BenchmarkError(f"{' '.join(arguments)}\nended with {report['exit_code']}:\n{tail}")
    return Measurement(report["elapsed_s"], report["peak_bytes"], text, report["cpu_s"])


def take_median(measurements: Sequence[Measurement]) -> Measurement:
    """Takes the medians of times and peaks, each by itself; the output is the last run's.

    Args:
        measurements: At least one run of the same command.
    """
    return Measurement(
        median(one.elapsed_s for one in measurements),
        int(median(one.peak_bytes for one in measurements)),
        measurements[-1].output,
        median(one.cpu_s for one in measurements),
    )


def count_bytes(path: Path) -> int:
    """Adds up the sizes of a file, or of all files under a folder; of nothing, 0."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def positive_int(text: str) -> int:
    """Reads a whole number above zero, as a type for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text}")
    return number


def positive_float(text: str) -> float:
    """Reads a finite number above zero, as a type for argparse."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text}")
    return number


def draw_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Draws rows as text columns: the first flush left, the others flush right.

    Args:
        head: Column titles.
        rows: As many cells each as there are titles.
    """
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
