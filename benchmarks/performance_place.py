"""Where the performance rows are measured: a folder, the commands, and files made once.

What passes through: a row asks for a source of some size or for a run of a command; paths and figures go
out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.make_checkpoint import CHECKPOINT_NAME
from benchmarks.measuring import BenchmarkError, Measurement, run_measured
from benchmarks.performance_rows import Say

SMALL_MEGABYTES = 1.0
MB = 1e6


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to work in, and what was asked for.

    Attributes:
        work_dir: Takes everything; removed at the end.
        repeats: Rounds of each comparison.
        sizes: Megabytes (10^6 bytes) of the large sources, rising.
        say: Told of the progress.
        made: Folders with sources that were made already.
    """

    work_dir: Path
    repeats: int
    sizes: Sequence[float]
    say: Say
    made: dict[str, Path] = field(default_factory=dict)

    def run(self, *command: str | Path) -> Measurement:
        """Runs a command in the repository's folder.

        Raises:
            BenchmarkError: It failed.
        """
        return run_measured(command, log_path=self.work_dir / "log.txt")

    def run_python(self, *words: str | Path) -> Measurement:
        """Runs this Python.

        Raises:
            BenchmarkError: It failed.
        """
        return self.run(sys.executable, *words)

    def measure(self, *command: str | Path) -> dict[str, float]:
        """Runs a command from start to end, as figures."""
        os.sync()
        run = self.run(*command)
        return {"s": run.elapsed_s, "cpu_s": run.cpu_s, "peak_bytes": float(run.peak_bytes)}

    def measure_work(self, side: str, source: Path | None, *, small: Path) -> dict[str, float]:
        """Runs one side of `performance_work` and gives its figures."""
        scratch = self.make_dir("scratch")
        words: list[str | Path] = ["-m", "benchmarks.performance_work", side]
        words += ["--small", small, "--scratch", scratch]
        run = self.run_python(*words, *(() if source is None else ("--source", source)))
        told: dict[str, float] = json.loads(run.output.splitlines()[-1])
        return told

    def make_checkpoint(self, megabytes: float = SMALL_MEGABYTES) -> Path:
        """Makes a checkpoint with Adam's slots, once; gives its prefix."""
        key = f"checkpoint-{megabytes:g}"
        self._make(key, megabytes, "benchmarks.make_checkpoint")
        return self.made[key] / CHECKPOINT_NAME

    def make_keras_files(self, megabytes: float) -> Path:
        """Makes `model.keras` and `model.h5`, once; gives their folder."""
        key = f"keras-{megabytes:g}"
        self._make(key, megabytes, "benchmarks.performance_files")
        return self.made[key]

    def _make(self, key: str, megabytes: float, module: str) -> None:
        if key in self.made:
            return
        require_room(self.work_dir, megabytes)
        self.say(f"making {key}")
        out_dir = self.work_dir / key
        self.run_python("-m", module, "--megabytes", str(megabytes), "--out", out_dir)
        self.made[key] = out_dir

    def forget(self, path: Path) -> None:
        """Removes a large source when no row needs it any more."""
        folder = path if path in self.made.values() else path.parent
        for key, made in list(self.made.items()):
            if made == folder:
                shutil.rmtree(made)
                del self.made[key]

    def make_dir(self, name: str) -> Path:
        """Gives an empty folder of this name."""
        path = self.work_dir / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    @contextmanager
    def new_path(self, name: str) -> Iterator[Path]:
        """Gives a path that does not exist, and removes what is there at the end."""
        path = self.work_dir / name
        shutil.rmtree(path, ignore_errors=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def require_room(folder: Path, megabytes: float) -> None:
    """Refuses a size that the disk has no room for: the source, and twice what is made of it.

    Raises:
        BenchmarkError: There is too little.
    """
    needed_bytes, free_bytes = int(3 * megabytes * MB), shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise BenchmarkError(f"{folder} needs {needed_bytes} bytes of room and has {free_bytes}.")
