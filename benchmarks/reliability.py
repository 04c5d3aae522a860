"""The reliability table: kills, disks, two at a time, resources; one command prints it.

What passes through: a campaign's name, a count and a seed come in; the table goes out, and exit code 1 where
a bar was missed.

    python -m benchmarks.reliability kill --count 200 --seed 1
    python -m benchmarks.reliability all
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults_kill.killing import Stage
from benchmarks.faults_kill.works import digest_dir, make_convert
from benchmarks.measuring import BenchmarkError, draw_table, positive_int
from benchmarks.reliability_concurrency import list_rows
from benchmarks.reliability_disk import be_slow, fail_remote, fill_disks
from benchmarks.reliability_kill import KINDS, KillTally, kill_works
from benchmarks.reliability_resources import be_large, misbehave, name_in_every_script
from benchmarks.reliability_rows import FaultRow

CAMPAIGNS = ("kill", "disk", "concurrency", "resources")
_HEAD = ("fault", "tried", "bar", "notes")


def try_campaign(
    name: str, work_dir: Path, *, count: int, seed: int, kinds: Sequence[str]
) -> Iterator[FaultRow]:
    """Tries one campaign's faults.

    Args:
        name: One of `CAMPAIGNS`.
        work_dir: Takes all files.
        count: Kills, or twenty times the trials of two at a time.
        seed: Of the moments of kills.
        kinds: Of work that is killed.

    Raises:
        BenchmarkError: Undisturbed, the work does not succeed.
    """
    if name == "kill":
        yield from map(_describe_kills, kill_works(work_dir, count=count, seed=seed, kinds=kinds))
    elif name == "disk":
        yield from (row for stays_broken in (False, True) for row in fail_remote(stays_broken=stays_broken))
        yield be_slow()
        with _open_stage() as stage:
            yield from fill_disks(stage, work_dir)
    elif name == "concurrency":
        with _open_stage() as stage:
            (folder := work_dir / "reference").mkdir()
            work = make_convert("")
            work.prepare(folder)
            if stage.finish(stage.start(work.act, folder)):
                raise BenchmarkError((folder / "log").read_text(errors="replace")[-2000:])
            reference = digest_dir(folder / "out" / "1")
            yield from list_rows(stage, work_dir, count=max(1, count // 20), reference=reference)
    else:
        yield from misbehave(work_dir)
        yield name_in_every_script(work_dir)
        yield from be_large(work_dir)


def _describe_kills(tally: KillTally) -> FaultRow:
    row = FaultRow(f"kill -9 of {tally.kind}", tally.kills, tally.faults)
    row.notes.update(
        [
            f"{tally.took_s:.1f} s undisturbed",
            f"{tally.too_late} too late",
            f"{tally.finished} found it finished",
            f"at most {tally.most_left[0]} temporary names left, {tally.most_left[1]} after the rerun",
            f"nothing outlived it by more than {tally.longest_s:.2f} s",
        ]
    )
    return row


@contextmanager
def _open_stage() -> Iterator[Stage]:
    stage = Stage()
    try:
        yield stage
    finally:
        stage.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries from the command line and prints the table, row by row to stderr as they come."""
    parser = argparse.ArgumentParser(description="Try how the commands bear faults.")
    parser.add_argument("campaign", nargs="?", choices=(*CAMPAIGNS, "all"), default="all")
    parser.add_argument("--count", type=positive_int, default=200, help="kills (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of their moments (default: 1)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="what is killed")
    options = parser.parse_args(arguments)
    rows = []
    for name in CAMPAIGNS if options.campaign == "all" else (options.campaign,):
        with tempfile.TemporaryDirectory(prefix="reliability-", ignore_cleanup_errors=True) as folder:
            try:
                for row in try_campaign(
                    name, Path(folder), count=options.count, seed=options.seed, kinds=options.kinds
                ):
                    rows.append(row)
                    print(*row.describe(), sep="; ", file=sys.stderr)
            except BenchmarkError as error:
                print(error, file=sys.stderr)
                return 2
    print(draw_table(_HEAD, [row.describe() for row in rows]))
    return 1 if any(row.misses for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
