"""Performance rows: what a person waits for at the prompt, and the check in the serving runtime.

What passes through: a `Place` comes in, rows go out. Commands are measured as whole processes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from benchmarks.measuring import BenchmarkError
from benchmarks.performance_files import ARCHIVE_NAME, HDF5_NAME
from benchmarks.performance_place import MB, Place
from benchmarks.performance_rows import Row, run_in_turns
from benchmarks.performance_work import INPUTS, OUTPUTS

_PROMPT_BAR_S, _CONVERT_BAR, _LOAD_BAR_S, _LOAD_BAR_MB = 0.5, 1.15, 3.0, 450.0
# Short commands are repeated more often: one takes less than a second.
_PROMPT_ROUNDS: Final = 3

_LISTING = """
import json, sys
from servable.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps([name for name in ("tensorflow", "keras", "tf_keras") if name in sys.modules]))
"""


def measure_prompts(place: Place) -> list[Row]:
    """Measures help, targets, and inspect of each kind of file."""
    prefix, keras_dir = place.make_checkpoint(), place.make_keras_files(0)
    saved_model = _make_saved_model(place, prefix)
    commands: dict[str, tuple[str | Path, ...]] = {
        "servable --help": ("--help",),
        "servable targets": ("targets",),
        "servable inspect, checkpoint": ("inspect", prefix),
        "servable inspect, .h5": ("inspect", keras_dir / HDF5_NAME),
        "servable inspect, .keras": ("inspect", keras_dir / ARCHIVE_NAME),
        "servable inspect, SavedModel": ("inspect", saved_model),
    }
    sides = {
        name: lambda words=words: place.measure(sys.executable, "-m", "servable.cli", *words)
        for name, words in commands.items()
    }
    repeats = place.repeats * _PROMPT_ROUNDS
    measured = run_in_turns(sides, repeats=repeats, say=place.say, what="prompt", warms=True)
    rows = []
    for name, words in commands.items():
        heavy = json.loads(place.run_python("-c", _LISTING, *words).output.splitlines()[-1])
        if heavy:
            raise BenchmarkError(f"{name} imports {', '.join(heavy)}.")
        rows.append(
            Row(
                name,
                ours=f"{measured.middle(name, 's'):.2f} s",
                beside="no TensorFlow imported",
                figure=measured.middle(name, "s"),
                cpu_figure=measured.middle(name, "cpu_s"),
                bar=_PROMPT_BAR_S,
                unit="s",
            )
        )
    return rows


def measure_small_convert(place: Place) -> list[Row]:
    """Measures `servable convert` of a small model, checks and all, beside an import and the work."""
    prefix = place.make_checkpoint()

    def convert() -> dict[str, float]:
        with place.new_path("converted") as out_dir:
            return place.measure(*make_convert_command(prefix, out_dir))

    def work() -> dict[str, float]:
        told = place.measure_work("checked", prefix, small=prefix)
        return {"s": told["work_s"], "cpu_s": told["work_cpu_s"]}

    sides = {
        "servable": convert,
        "import": lambda: place.measure(sys.executable, "-c", "import tensorflow"),
        "work": work,
    }
    measured = run_in_turns(sides, repeats=place.repeats, say=place.say, what="small convert", warms=True)
    whole, alone, done = (measured.middle(side, "s") for side in sides)
    cpu = [measured.middle(side, "cpu_s") for side in sides]
    return [
        Row(
            "servable convert of a small checkpoint, checks and all, whole process",
            ours=f"{whole:.1f} s",
            beside=f"import tensorflow {alone:.1f} s, and the work {done:.1f} s",
            figure=whole / (alone + done),
            cpu_figure=cpu[0] / (cpu[1] + cpu[2]),
            bar=_CONVERT_BAR,
        )
    ]


def measure_serving_load(place: Place) -> list[Row]:
    """Measures the child that loads a small model in the C++ runtime and asks it once."""
    saved_model = _make_saved_model(place, place.make_checkpoint())
    sides = {"child": lambda: place.measure_work("serving_load", saved_model, small=saved_model)}
    measured = run_in_turns(sides, repeats=place.repeats, say=place.say, what="serving load", warms=True)
    work = "serving-load check of a small model in the child"
    seconds, megabytes = measured.middle("child", "work_s"), measured.middle("child", "child_peak_bytes") / MB
    return [
        Row(
            f"{work}, time",
            ours=f"{seconds:.2f} s",
            beside="start, load, one request, end",
            figure=seconds,
            cpu_figure=measured.middle("child", "work_cpu_s"),
            bar=_LOAD_BAR_S,
            unit="s",
        ),
        Row(
            f"{work}, memory",
            ours=f"{megabytes:.0f} MB",
            figure=megabytes,
            bar=_LOAD_BAR_MB,
            unit="MB",
        ),
    ]


def make_convert_command(prefix: Path, out_dir: Path, *flags: str) -> list[str | Path]:
    """Gives the command line that converts a checkpoint of `make_checkpoint`."""
    words = [f"--input={key}={tensor}" for key, tensor in INPUTS.items()]
    words += [f"--output={key}={tensor}" for key, tensor in OUTPUTS.items()]
    return [sys.executable, "-m", "servable.cli", "convert", prefix, out_dir, *words, *flags]


def _make_saved_model(place: Place, prefix: Path) -> Path:
    path = place.work_dir / "small_saved_model"
    if not path.exists():
        place.run(*make_convert_command(prefix, path, "--no-baseline", "--no-check"))
    return path
