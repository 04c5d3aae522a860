"""Fuzzes the readers of model files, guided by coverage, and tells what came of it.

What passes through: the zoo's files are the first inputs; what leads to other lines of code is kept and
changed further. A crash is anything but a `ServableError`; a hang is over the time limit; memory has a bound.
Every kind of fault is kept once, by the line that it came from. Needs atheris, which nothing else here does.

    pip install --target FOLDER atheris
    PYTHONPATH=FOLDER python -m benchmarks.fuzz_readers --seconds 600 --out FUZZ [READER ...]
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from benchmarks.measuring import REPOSITORY_DIR, draw_table, positive_int

_CHILD: Final = "--in-this-process"
_HANG_S: Final = 20.0  # of processor time
_MEMORY_BYTES: Final = 1 << 30  # above what the process has at its start
_MAX_INPUT_BYTES: Final = 1 << 18
_TELL_S: Final = 5.0


class HangError(Exception):
    """One input took longer than it may."""


def fuzz_reader(name: str, seconds: int, out_dir: Path) -> NoReturn:
    """Fuzzes one reader in this process until the time is over; libFuzzer then ends the process."""
    # Only here: an extra that nobody else has to install.
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["servable"]):
        from benchmarks.faults_readers.readers import READERS, ignore_checksums, list_seeds
        from servable.errors import ServableError
    ignore_checksums()
    corpus_dir, faults_dir = out_dir / name / "corpus", out_dir / name / "faults"
    for folder in (corpus_dir, faults_dir):
        folder.mkdir(parents=True, exist_ok=True)
    for path in list_seeds(name):
        data = path.read_bytes()
        (corpus_dir / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    reader = READERS[name]
    reader.prepare(folder)
    counts = {"inputs": 0, "refused": 0, "read": 0, "faults": 0}
    told_s = 0.0

    def try_input(data: bytes) -> None:
        nonlocal told_s
        counts["inputs"] += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, _HANG_S)
        try:
            reader.read(data, folder)
            counts["read"] += 1
        except ServableError:
            counts["refused"] += 1
        except Exception as error:  # what is looked for
            counts["faults"] += 1
            _keep_fault(faults_dir, data, error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if time.monotonic() - told_s > _TELL_S:
            told_s = time.monotonic()
            gc.collect()
            usage = resource.getrusage(resource.RUSAGE_SELF)
            facts = counts | {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_kib": usage.ru_maxrss}
            (out_dir / name / "facts.json").write_text(json.dumps(facts))

    signal.signal(signal.SIGVTALRM, _raise_hang)
    used_bytes = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used_bytes + _MEMORY_BYTES,) * 2)
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_INPUT_BYTES}",
        "-rss_limit_mb=0",
        "-timeout=600",
        "-verbosity=0",
        f"-artifact_prefix={faults_dir}/",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus_dir)], try_input)
    atheris.Fuzz()
    os._exit(0)


def tell_results(out_dir: Path) -> list[list[str]]:
    """Reads what the processes wrote: one row for each reader."""
    rows = []
    for path in sorted(out_dir.glob("*/facts.json")):
        facts: dict[str, Any] = json.loads(path.read_text())
        kinds = sorted(file.stem for file in (path.parent / "faults").glob("*.txt"))
        figures = [f"{facts[key]:,}" for key in ("inputs", "read", "refused")]
        cpu = f"{facts['cpu_s'] / 60:.1f} min"
        rows.append([path.parent.name, *figures, cpu, f"{facts['peak_kib'] / 1024:.0f} MiB", str(len(kinds))])
    return rows


def _raise_hang(number: int, frame: FrameType | None) -> NoReturn:
    raise HangError(f"more than {_HANG_S:g} s of processor time")


def _keep_fault(faults_dir: Path, data: bytes, error: Exception) -> None:
    own = [f for f in traceback.extract_tb(error.__traceback__) if "/servable/" in f.filename]
    place = f"{Path(own[-1].filename).stem}-{own[-1].lineno}" if own else "elsewhere"
    stem = f"{type(error).__name__}-{place}"
    path = faults_dir / f"{stem}.bin"
    if not path.exists() or path.stat().st_size > len(data):  # the smallest of its kind
        path.write_bytes(data)
        text = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzzes from the command line, one process for each reader, and prints a table."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of model files.")
    parser.add_argument("readers", nargs="*", metavar="READER", help="default: all of them")
    parser.add_argument("--seconds", type=positive_int, default=600, help="of each (default: 600)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="takes corpus and faults")
    parser.add_argument(_CHILD, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_this_process:
        fuzz_reader(options.readers[0], options.seconds, options.out)
    from benchmarks.faults_readers.readers import READERS

    options.out.mkdir(parents=True, exist_ok=True)
    children = []
    for name in options.readers or READERS:
        words = [name, f"--seconds={options.seconds}", f"--out={options.out}", _CHILD]
        command = [sys.executable, "-m", "benchmarks.fuzz_readers", *words]
        with (options.out / f"{name}.log").open("wb") as log:
            # The machine belongs to others first.
            children.append(
                subprocess.Popen(["nice", "-n", "19", *command], stdout=log, stderr=log, cwd=REPOSITORY_DIR)
            )
    codes = [child.wait() for child in children]
    rows = tell_results(options.out)
    print(draw_table(("reader", "inputs", "read", "refused", "processor", "peak", "kinds of fault"), rows))
    return 1 if any(codes) or any(row[-1] != "0" for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
