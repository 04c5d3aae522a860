"""Performance rows: checkpoints and Keras files of several sizes, beside `cp` and the usual scripts.

What passes through: a `Place` comes in, rows go out. Work is timed without imports, in processes that have
converted a small model before; what is made lies on the disk when the work counts as done, ours alone.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks.measuring import count_bytes
from benchmarks.performance_commands import make_convert_command
from benchmarks.performance_files import ARCHIVE_NAME, HDF5_NAME
from benchmarks.performance_place import MB, Place
from benchmarks.performance_rows import Round, Row, run_in_turns
from servable.formats.checkpoints.bundle import open_bundle

_CP_BAR, _RESTORE_BAR = 1.5, 4.0
_SPARE_MB = 64 * 2**20 / MB
_KERAS_BAR, _KERAS_MEMORY_BAR = 1.5, 1.3
# Larger Keras files than this one are not asked for.
_KERAS_LIMIT_MB = 1000.0


def measure_checkpoints(place: Place) -> list[Row]:
    """Measures checkpoints with Adam's slots, of every size."""
    rows = []
    small = place.make_checkpoint()
    for megabytes in place.sizes:
        prefix = place.make_checkpoint(megabytes)
        rows += _measure_checkpoint(place, prefix, small, megabytes)
        place.forget(prefix)
    return rows


def _measure_checkpoint(place: Place, prefix: Path, small: Path, megabytes: float) -> list[Row]:
    with place.new_path("kept") as kept:
        place.run(*make_convert_command(prefix, kept, "--no-baseline", "--no-check"))
        kept_bytes = count_bytes(kept)

        def copy(*, flush: bool) -> dict[str, float]:
            with place.new_path("copied") as out_dir:
                script = 'cp -r "$0" "$1"' + (' && sync "$1" "$1"/* "$1"/*/*' if flush else "")
                run = place.measure("sh", "-c", script, kept, out_dir)
            return {"work_s": run["s"], "work_cpu_s": run["cpu_s"], "peak_bytes": run["peak_bytes"]}

        sides = {
            "cp": lambda: copy(flush=False),
            "cp, flushed": lambda: copy(flush=True),
            "servable": lambda: place.measure_work("confined", prefix, small=small),
            "usual": lambda: place.measure_work("restore_and_save", prefix, small=small),
        }
        what = f"checkpoint of {megabytes:g} MB"
        measured = run_in_turns(sides, repeats=place.repeats, say=place.say, what=what)
    return [*_judge_times(measured, what, kept_bytes), _judge_memory(measured, what, prefix)]


def _judge_times(measured: Round, what: str, kept_bytes: int) -> list[Row]:
    def row(beside: str, text: str, bar: float | None, *, is_faster: bool = False) -> Row:
        first, second = (beside, "servable") if is_faster else ("servable", beside)
        return Row(
            f"{what}, work without imports",
            ours=f"{measured.middle('servable', 'work_s'):.2f} s",
            beside=f"{text}, {measured.middle(beside, 'work_s'):.2f} s",
            figure=measured.ratio(first, second, "work_s"),
            cpu_figure=measured.ratio(first, second, "work_cpu_s"),
            bar=bar,
            at_least=is_faster,
        )

    kept = f"{kept_bytes / MB:.0f} MB kept"
    return [
        row("cp", f"cp of the {kept}", _CP_BAR),
        row("cp, flushed", f"cp and sync of the {kept}", None),
        row("usual", "restore + simple_save", _RESTORE_BAR, is_faster=True),
    ]


def _judge_memory(measured: Round, what: str, prefix: Path) -> Row:
    largest = max(entry.size_bytes for entry in open_bundle(prefix).entries.values()) / MB
    over, peak = (measured.middle("servable", name) / MB for name in ("over_small_bytes", "peak_bytes"))
    usual = measured.middle("usual", "peak_bytes") / MB
    return Row(
        f"{what}, memory over that of a small model",
        ours=f"{peak:.0f} MB in all",
        beside=f"largest tensor of {largest:.0f} MB, and 64 MiB; restore + simple_save {usual:.0f} MB in all",
        figure=over,
        bar=largest + _SPARE_MB,
        unit="MB",
    )


def measure_keras(place: Place) -> list[Row]:
    """Measures `.keras` and `.h5` files of the same weights, of every size up to 1 GB."""
    rows = []
    small = place.make_keras_files(0)
    sizes = [size for size in place.sizes if size <= _KERAS_LIMIT_MB]
    for megabytes, name in itertools.product(sizes, (ARCHIVE_NAME, HDF5_NAME)):
        folder = place.make_keras_files(megabytes)
        rows += _measure_keras_file(place, folder / name, small / name, f"{name} of {megabytes:g} MB")
        if name == HDF5_NAME:
            place.forget(folder)
    return rows


def _measure_keras_file(place: Place, path: Path, small: Path, what: str) -> list[Row]:
    sides = {
        "servable": lambda: place.measure_work("confined", path, small=small),
        "usual": lambda: place.measure_work("load_and_export", path, small=small),
    }
    measured = run_in_turns(sides, repeats=place.repeats, say=place.say, what=what)
    weights = count_bytes(path) / MB
    over, peak = (measured.middle("servable", name) / MB for name in ("over_small_bytes", "peak_bytes"))
    usual = measured.middle("usual", "peak_bytes") / MB
    return [
        Row(
            f"{what}, work without imports",
            ours=f"{measured.middle('servable', 'work_s'):.2f} s",
            beside=f"load_model + export, {measured.middle('usual', 'work_s'):.2f} s",
            figure=measured.ratio("servable", "usual", "work_s"),
            cpu_figure=measured.ratio("servable", "usual", "work_cpu_s"),
            bar=_KERAS_BAR,
        ),
        Row(
            f"{what}, memory over that of a small model",
            ours=f"{peak:.0f} MB in all",
            beside=f"{weights:.0f} MB of weights; load_model + export {usual:.0f} MB in all",
            figure=over / weights,
            bar=_KERAS_MEMORY_BAR,
        ),
    ]
