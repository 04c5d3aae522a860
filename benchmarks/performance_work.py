"""Times the work alone: one side of a comparison in a process that has imported all it needs before.

What passes through: a side and its files come in; what the work took goes out as one line of JSON. A small
model goes first, so that what is imported late is imported. Run by `performance.py`:

    python -m benchmarks.performance_work confined --small SMALL [--source SOURCE] --scratch DIR
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIDES = ("confined", "checked", "restore_and_save", "load_and_export", "serving_load", "import_tensorflow")
INPUTS = {"rows": "rows:0"}
OUTPUTS = {"scores": "scores:0"}

# Fields of /proc/PID/stat behind the name in brackets: utime, stime, cutime, cstime (proc(5)).
_CPU_FIELDS = slice(11, 15)
_LOOK_S = 0.005
_WARMING_ROUNDS = 2  # the second lets the worker import what the first one's job had needed

Convert = Callable[[Path, Path], Any]


def make_side(side: str) -> Convert:
    """Imports what a side needs, and gives the function that converts a source into a folder."""
    if side in ("confined", "checked"):
        return _make_own(is_checked=side == "checked")
    if side == "restore_and_save":
        from benchmarks.usual_way.restore_and_save import restore_and_save

        return lambda source, out_dir: restore_and_save(str(source), str(out_dir), INPUTS, OUTPUTS)
    if side == "load_and_export":
        from benchmarks.usual_way.load_and_export import load_and_export

        return lambda source, out_dir: load_and_export(str(source), str(out_dir))
    if side == "serving_load":
        return _load_and_run
    import tensorflow  # noqa: F401

    return lambda source, out_dir: None


def _make_own(*, is_checked: bool) -> Convert:
    from servable.confinement.converting import convert_confined
    from servable.convert import ConversionOptions, check_conversion
    from servable.signature import SignatureRequest

    def convert(source: Path, out_dir: Path) -> Any:
        # Of a Keras file the signature is its own.
        request = SignatureRequest("serving_default", INPUTS, OUTPUTS)
        signatures = () if source.is_file() else (request,)
        options = ConversionOptions(signatures=signatures, make_baseline=is_checked)
        conversion = convert_confined(source, out_dir, options)
        if is_checked and not check_conversion(conversion).passed:
            raise RuntimeError(f"{source} was not found fit to serve")

    return convert


def _load_and_run(source: Path, out_dir: Path) -> dict[str, float]:
    """Does what the check `serving_load` does: the C++ loader in a child, one request, the child's end."""
    from servable.baseline import invent_inputs
    from servable.export.exporting import read_signatures
    from servable.runtime.outcome import Call
    from servable.runtime.session import run_calls

    signature = read_signatures(source)["serving_default"]
    arrays = invent_inputs(signature)
    feeds = {spec.tensor: arrays[key] for key, spec in signature.inputs.items()}
    fetches = tuple(spec.tensor for spec in signature.outputs.values())
    outcome = run_calls(source, [Call(feeds, fetches)])
    fault = outcome.load_fault or outcome.results[0].fault
    if fault is not None:
        raise RuntimeError(f"{source} does not run: {fault.message}")
    return {"child_peak_bytes": outcome.peak_memory_bytes}


def measure_work(side: str, source: Path | None, *, small: Path, scratch: Path) -> dict[str, float]:
    """Converts the small model, then the large one, and times that.

    Args:
        side: One of `SIDES`.
        source: None leaves the large one out: what then remains is what imports take.
        small: A source of the same kind.
        scratch: Folder for results; emptied of them.

    Returns:
        work_s, work_cpu_s, peak_bytes, by how much that lies over the small model's (over_small_bytes), and
        what the side itself tells; nothing without a large source.
    """
    convert = make_side(side)
    for _ in range(_WARMING_ROUNDS):
        with _make_room(scratch) as out_dir, watch_peak() as small_peak:
            convert(small, out_dir)
    if source is None:
        return {}
    with _make_room(scratch) as out_dir, watch_peak() as peak:
        cpu_s, started_s = read_cpu_s(), time.perf_counter()
        told = convert(source, out_dir)
        work = {"work_s": time.perf_counter() - started_s, "work_cpu_s": read_cpu_s() - cpu_s}
    work |= {"peak_bytes": float(max(peak)), "over_small_bytes": float(max(peak) - max(small_peak))}
    return work | (told if isinstance(told, dict) else {})


def read_cpu_s() -> float:
    """Adds up the processor time of this process and of its children, also of those that still run."""
    ticks = _read_ticks("self")
    for children in Path("/proc/self/task").glob("*/children"):
        ticks += sum(_read_ticks(number) for number in children.read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")


def _read_ticks(number: str) -> int:
    behind_name = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, behind_name[_CPU_FIELDS]))


@contextmanager
def watch_peak() -> Iterator[list[int]]:
    """Looks all the while how large the process that works is: a fork of a child's, else this one.

    A fork begins smaller than what it is forked from, so the largest of all processes says nothing of it.

    Yields:
        Bytes; filled when the block ends.
    """
    peaks: dict[str, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_S):
            for child in _list_children("self"):
                for fork in _list_children(child):
                    peaks[fork] = max(peaks.get(fork, 0), _read_peak(fork))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    told: list[int] = []
    try:
        yield told
    finally:
        ended.set()
        watcher.join()
        told.append(max(peaks.values(), default=_read_peak("self")))


def _list_children(number: str) -> list[str]:
    try:
        tasks = Path(f"/proc/{number}/task").glob("*/children")
        return [child for task in tasks for child in task.read_text().split()]
    except OSError:  # it has just ended
        return []


def _read_peak(number: str) -> int:
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


@contextmanager
def _make_room(scratch: Path) -> Iterator[Path]:
    out_dir = scratch / "made"
    os.sync()  # what others wrote is not to be waited for by this one
    try:
        yield out_dir
    finally:
        shutil.rmtree(out_dir, ignore_errors=True)


def main() -> int:
    """Measures one side from the command line."""
    parser = argparse.ArgumentParser(description="Time the work of one side, without its imports.")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--small", type=Path, required=True, help="a small source of the same kind")
    parser.add_argument("--source", type=Path, help="what is timed")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for what is made")
    options = parser.parse_args()
    print(
        json.dumps(measure_work(options.side, options.source, small=options.small, scratch=options.scratch))
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
