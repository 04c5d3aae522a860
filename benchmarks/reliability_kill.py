"""Kills conversions, checks, pipeline runs and pushes at random moments, and looks at what they leave.

What passes through: how many kills and a seed come in, one row for each kind of work goes out. Every trial
has a folder of its own: the work is killed there, what it left is looked at, and it is run again as it is.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.faults_kill.killing import Stage
from benchmarks.faults_kill.works import Work, digest_dir, make_check, make_convert, make_push, make_run
from benchmarks.measuring import BenchmarkError

KINDS: Final = ("convert", "check", "run", "push")
# Of the time that the work takes undisturbed: a little is left for slower runs.
_RANGE: Final = 1.1
# A file name or two that a rerun has not cleared away is harmless; more would grow with every kill.
_MAX_LEFT: Final = 1
_MOST_TRIALS: Final = 2


@dataclass(slots=True)
class KillTally:
    """What became of one kind of work.

    Attributes:
        kind: One of `KINDS`.
        took_s: Undisturbed.
        kills: That met it at work; the others came too late.
        too_late: These.
        finished: Of the kills, how many found the result there already.
        most_left: Temporary names that a kill left, and the rerun.
        longest_s: That anything outlived a kill.
        faults: In words, with how often.
    """

    kind: str
    took_s: float = 0.0
    kills: int = 0
    too_late: int = 0
    finished: int = 0
    most_left: tuple[int, int] = (0, 0)
    longest_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)


def kill_works(work_dir: Path, *, count: int, seed: int, kinds: Sequence[str] = KINDS) -> Iterator[KillTally]:
    """Kills each kind of work.

    Args:
        work_dir: Takes all files.
        count: Kills of all kinds together; a moment at which the work was over already is another trial.
        seed: Of the moments.
        kinds: Which.

    Yields:
        One tally for each kind.

    Raises:
        BenchmarkError: Undisturbed, the work does not succeed.
    """
    stage = Stage()
    try:
        (reference_dir := work_dir / "reference").mkdir()
        convert = make_convert("")
        _run_whole(stage, convert, reference_dir)
        saved_model_dir = reference_dir / "out" / "1"
        reference = digest_dir(saved_model_dir)
        if {"run", "push"} & set(kinds):
            from pipelines.branch_running import import_tfx

            import_tfx()
        works = {
            "convert": lambda: make_convert(reference),
            "check": lambda: make_check(saved_model_dir),
            "run": lambda: make_run(reference),
            "push": make_push,
        }
        for position, kind in enumerate(kinds):
            share = count // len(kinds) + (position < count % len(kinds))
            yield _kill_work(stage, works[kind](), KillTally(kind), work_dir / kind, share, seed)
    finally:
        stage.close()


def _kill_work(
    stage: Stage, work: Work, tally: KillTally, work_dir: Path, count: int, seed: int
) -> KillTally:
    work_dir.mkdir()
    # The first pays for imports that the worker keeps; the second tells how long a trial takes.
    for name in ("first", "whole"):
        (folder := work_dir / name).mkdir()
        tally.took_s = _run_whole(stage, work, folder)
        if faults := work.find_faults(folder):
            raise BenchmarkError(f"{tally.kind}, undisturbed: {faults}")
    moments = random.Random(f"{seed} {tally.kind}")
    for number in range(_MOST_TRIALS * count):
        if tally.kills >= count:
            break
        (folder := work_dir / str(number)).mkdir()
        work.prepare(folder)
        faults = _kill_once(stage, work, tally, folder, moments.random() * _RANGE * tally.took_s)
        tally.faults.update(set(faults))
        (work_dir / "tally").write_text(f"{tally}\n")  # of a campaign that is stopped, too
        if not faults:
            shutil.rmtree(folder)
    return tally


def _kill_once(stage: Stage, work: Work, tally: KillTally, folder: Path, delay_s: float) -> list[str]:
    if not stage.kill_after(stage.start(work.act, folder), delay_s):
        tally.too_late += 1
        return work.find_faults(folder)
    tally.kills += 1
    left_running, waited_s = stage.count_outliving()
    tally.longest_s = max(tally.longest_s, waited_s)
    faults = ["a process that outlives its parent"] if left_running else []
    faults += work.find_faults(folder)
    left = len(work.list_left(folder))
    was_finished = work.is_finished(folder)
    tally.finished += was_finished
    code = stage.finish(stage.start(work.act, folder))
    # What was finished is never overwritten; a command that finds it there says so.
    if code != 0 and not (was_finished and code == 2):
        faults.append(f"a rerun that ends with {code}")
    if not work.is_finished(folder):
        faults.append("a rerun without a result")
    faults += [f"after the rerun: {fault}" for fault in work.find_faults(folder)]
    left_after = len(work.list_left(folder))
    if left_after > _MAX_LEFT and not was_finished:
        faults.append("temporary files that a rerun does not clear away")
    tally.most_left = max(tally.most_left[0], left), max(tally.most_left[1], left_after)
    return faults


def _run_whole(stage: Stage, work: Work, folder: Path) -> float:
    """Runs undisturbed, and gives the time that it takes in seconds."""
    work.prepare(folder)
    began_s = time.monotonic()
    code = stage.finish(stage.start(work.act, folder))
    took_s = time.monotonic() - began_s
    if code != 0 or not work.is_finished(folder):
        log = (folder / "log").read_text(errors="replace")[-2000:]
        raise BenchmarkError(f"the work, undisturbed, ended with {code}:\n{log}")
    stage.count_outliving()
    return took_s
