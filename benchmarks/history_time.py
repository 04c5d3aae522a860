"""How long history and lineage take to answer, of a pipeline that ran many times.

What passes through: where ML Metadata is kept comes in; runs are written into it, the questions are asked
several times in this process, and once by the command from Enter to prompt. A server has to be there already,
with an empty database:

    python -m benchmarks.history_time --runs 200
    python -m benchmarks.history_time --runs 200 --metadata mysql://trainer@127.0.0.1/mlmd --json history.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.make_metadata import RunStory, write_runs
from benchmarks.measuring import draw_table, positive_int, run_measured
from pipelines.history.tracing import trace_history
from pipelines.lineage.versions import find_version

_PIPELINE = "many_runs"
# Every second run finds nothing new, every tenth makes a model that is refused.
_UNCHANGED_EVERY = 2
_REFUSED_EVERY = 10


def measure_answers(
    location: Path | str, *, runs: int, repeats: int, work_dir: Path
) -> list[dict[str, str | float | int]]:
    """Writes the runs and asks.

    Args:
        location: Where ML Metadata is kept; it holds no pipeline of the same name yet.
        runs: How many, of three nodes each.
        repeats: Questions of each kind; the median is told.
        work_dir: Folder for the log.

    Returns:
        One row per question: what, runs, elapsed_s.

    Raises:
        BenchmarkError: The command failed.
        SettingsError: The store does not let us in.
    """
    story = RunStory(runs, unchanged_every=_UNCHANGED_EVERY, refused_every=_REFUSED_EVERY)
    write_runs(location, story, pipeline=_PIPELINE)
    trace_history(location, _PIPELINE)  # imports, and fills the database's caches
    version = next(one.pushed_version for one in trace_history(location, _PIPELINE) if one.pushed_version)
    questions: dict[str, Callable[[], Any]] = {
        "history": lambda: trace_history(location, _PIPELINE),
        "lineage of a version": lambda: find_version(location, version),
    }
    rows: list[dict[str, str | float | int]] = [
        {"what": what, "runs": runs, "elapsed_s": median(_time(ask) for _ in range(repeats))}
        for what, ask in questions.items()
    ]
    commands = {
        "servable history": ["history"],
        "servable lineage": ["lineage", version],
    }
    for what, words in commands.items():
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "servable.cli",
            *words,
            "--metadata",
            str(location),
        ]
        measured = run_measured([*command, "--json"], log_path=work_dir / "log.txt")
        rows.append({"what": what, "runs": runs, "elapsed_s": measured.elapsed_s})
    return rows


def _time(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=positive_int, default=200)
    parser.add_argument("--repeats", type=positive_int, default=5)
    parser.add_argument("--metadata", help="an address; a SQLite file that is thrown away by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work_dir = Path(folder)
        location: Path | str = options.metadata or work_dir / "metadata.sqlite"
        rows = measure_answers(location, runs=options.runs, repeats=options.repeats, work_dir=work_dir)
    cells = [(str(row["what"]), f"{float(row['elapsed_s']):.2f} s") for row in rows]
    print(draw_table(("asked", "time"), cells))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
