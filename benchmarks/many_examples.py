"""How long labelled examples take: in the Beam pipeline of the validator, and in plain loops beside it.

What passes through: handwritten digits with noise, as many as asked for, are written once as gzipped
TFRecords; then every way counts the same rows with the same model, each in processes of its own, in turns.

    python -m benchmarks.many_examples --rows 100000 --repeats 3 --json examples.json
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measuring import BenchmarkError, draw_table, positive_int, run_measured
from servable.formats.protos import Example
from servable.formats.tfrecords import mask_checksum

SHARDS = 4
_SEED = 20
_NOISE = 0.02
_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
# Name of a way to the arguments of `benchmarks.ask_examples`. The first one is what the others are beside.
WAYS: dict[str, tuple[str, ...]] = {
    "plain loop, TensorFlow in Python": ("tensorflow",),
    "servable check, one process": ("loop",),
    "Beam, in this process": ("beam",),
    "Beam, two worker processes": ("beam", *_WORKERS),
}


def write_examples(folder: Path, rows: int) -> None:
    """Writes noisy digits as `SHARDS` gzipped TFRecord files of tf.Examples: `images` and `digit`.

    Args:
        folder: Where they go; made when missing.
        rows: Of all files.
    """
    from examples.digits.data import load_digits

    digits = load_digits()
    random = np.random.default_rng(_SEED)
    picks = random.integers(0, len(digits.held_out_labels), rows)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(SHARDS):
        name = f"data-{shard:05d}-of-{SHARDS:05d}.gz"
        with gzip.open(folder / name, "wb", compresslevel=1) as file:
            for pick in picks[shard::SHARDS].tolist():
                image = digits.held_out_images[pick].ravel()
                example = Example()
                feature = example.features.feature
                feature["images"].float_list.value.extend((image + random.normal(0, _NOISE, 64)).tolist())
                feature["digit"].int64_list.value.append(int(digits.held_out_labels[pick]))
                file.write(_frame(example.SerializeToString()))


def measure_ways(work_dir: Path, *, rows: int, repeats: int) -> list[dict[str, str | float]]:
    """Trains, converts, writes the examples, and measures every way.

    Args:
        work_dir: Takes all files.
        rows: Of the examples.
        repeats: Runs of each way, in turns; the median is told.

    Returns:
        One row for each way: `way`, `elapsed_s` for reading, asking and counting alone, `processors_s` that
        this kept processors busy, `process_s` from start to end of the process, `accuracy`.

    Raises:
        BenchmarkError: A step failed, or two ways count differently.
    """
    log_path = work_dir / "log.txt"
    python: list[str | Path] = [sys.executable, "-m"]
    model_dir, examples_dir = work_dir / "digits" / "1", work_dir / "examples"
    run_measured([*python, "examples.digits.train_keras", "--out", work_dir / "trained"], log_path=log_path)
    source_path = work_dir / "trained" / "digits.h5"
    run_measured([*python, "servable.cli", "convert", source_path, model_dir], log_path=log_path)
    write_examples(examples_dir, rows)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, words in WAYS.items():
            ask = [*python, "benchmarks.ask_examples", model_dir, examples_dir, *words]
            run = run_measured(ask, log_path=log_path)
            answer = json.loads(run.output.splitlines()[-1])
            found[way].append({**answer, "process_s": run.elapsed_s})
    # A report rounds its figures, a plain loop does not.
    accuracies = {round(one["accuracy"], 6) for runs in found.values() for one in runs}
    if len(accuracies) != 1:
        raise BenchmarkError(f"the ways do not count alike: accuracies {sorted(accuracies)}")
    return [
        {
            "way": way,
            **{
                key: median(one[key] for one in runs)
                for key in ("elapsed_s", "processors_s", "process_s", "accuracy")
            },
        }
        for way, runs in found.items()
    ]


def _frame(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", mask_checksum(head)) + data + struct.pack("<I", mask_checksum(data))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures from the command line and prints a table."""
    parser = argparse.ArgumentParser(description="Measure how long labelled examples take.")
    parser.add_argument("--rows", type=positive_int, default=100_000, help="examples (default: 100000)")
    parser.add_argument("--repeats", type=positive_int, default=3, help="runs of each way (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="many-examples-") as folder:
        try:
            rows = measure_ways(Path(folder), rows=options.rows, repeats=options.repeats)
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 2
    if options.json:
        options.json.write_text(json.dumps({"examples": options.rows, "rows": rows}, indent=2) + "\n")
    first = float(rows[0]["elapsed_s"])
    cells = [
        (
            str(row["way"]),
            f"{float(row['elapsed_s']):.2f} s",
            f"{float(row['elapsed_s']) / first:.2f}",
            f"{float(row['processors_s']):.2f} s",
            f"{float(row['process_s']):.1f} s",
        )
        for row in rows
    ]
    head = (f"{options.rows:,} examples", "time", "ratio", "processors", "with start and imports")
    print(draw_table(head, cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
