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
        work_s, work_cpu_s and what the side itself tells; nothing without a large source.
    """
    convert = make_side(side)
    for _ in range(_WARMING_ROUNDS):
        with _make_room(scratch) as out_dir:
            convert(small, out_dir)
    if source is None:
        return {}
    with _make_room(scratch) as out_dir:
        cpu_s, started_s = read_cpu_s(), time.perf_counter()
        told = convert(source, out_dir)
        work = {"work_s": time.perf_counter() - started_s, "work_cpu_s": read_cpu_s() - cpu_s}
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
