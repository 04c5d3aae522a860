"""Performance rows: a folder of small models, one of them damaged, converted by one worker and by several.

What passes through: a `Place` comes in, rows go out. Whole processes are measured, checks and all.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Final

from benchmarks.measuring import BenchmarkError
from benchmarks.performance_commands import make_convert_command
from benchmarks.performance_place import Place
from benchmarks.performance_rows import Row, run_in_turns

_MODELS: Final = 200
# Of what twice the workers could give at best: start-up is not shared, and checks run in processes beside.
_SHARE_OF_CORES = 0.75
# A folder takes minutes where other rows take seconds.
_ROUNDS: Final = 3
# The damaged one makes it end with 2, "some could not be converted".
_EXPECT_FAILURE = '"$@"; test $? -eq 2'


def make_models(folder: Path, prefix: Path, *, count: int) -> None:
    """Fills a folder with copies of a checkpoint, and one that is cut short."""
    for number in range(count):
        shutil.copytree(prefix.parent, folder / f"model{number:03}")
    shutil.copytree(prefix.parent, folder / "cut_short")
    (data,) = (folder / "cut_short").glob(f"{prefix.name}.data-*")
    os.truncate(data, data.stat().st_size // 2)


def measure_many(place: Place) -> list[Row]:
    """Measures `convert --many` with one worker beside one for each core."""
    models, cores = place.make_dir("models"), len(os.sched_getaffinity(0))
    make_models(models, place.make_checkpoint(), count=_MODELS)

    def convert(workers: int) -> dict[str, float]:
        with place.new_path("many") as out_dir:
            out_dir.mkdir()
            command = make_convert_command(models, out_dir, "--many", f"--workers={workers}", "--json")
            run = place.run("sh", "-c", _EXPECT_FAILURE, "sh", *command)
            made = len(list(out_dir.glob("model*/1/saved_model.pb")))
        counts = json.loads(run.output)["counts"]
        if made != _MODELS or sum(counts.values()) != _MODELS + 1:
            raise BenchmarkError(f"Of {_MODELS} models {made} were made: {counts}.")
        return {"s": run.elapsed_s, "cpu_s": run.cpu_s}

    sides = {"one": lambda: convert(1), "all": lambda: convert(cores)}
    rounds = max(1, place.repeats // _ROUNDS)
    measured = run_in_turns(sides, repeats=rounds, say=place.say, what="many")
    one, every = measured.middle("one", "s"), measured.middle("all", "s")
    return [
        Row(
            f"servable convert --many, {_MODELS} models and a damaged one, which stops no other",
            ours=f"{cores} workers, {every:.0f} s ({every / _MODELS:.2f} s each)",
            beside=f"one worker, {one:.0f} s",
            figure=measured.ratio("one", "all", "s"),
            bar=_SHARE_OF_CORES * cores,
            at_least=True,
        )
    ]
