"""Counts how many examples a model answers rightly, in one of the ways that `many_examples.py` compares.

What passes through: a SavedModel and a folder of TFRecords come in, one line of JSON with the accuracy, and
the time and the processors' time without this process's imports, goes out. Loading the model counts always.

    python -m benchmarks.ask_examples digits/1 examples/ beam --direct_num_workers=2
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from servable.checks.example_plan import ExamplesPlan
    from servable.report import Report

_BATCH_ROWS = 1000
_SHAPE = (8, 8, 1)
_POLICY = {
    "metrics": {"label": "digit", "task": "classification", "batch_rows": _BATCH_ROWS},
    # What is measured here are the examples alone.
    "switched_off": ["weights", "fidelity", "inference_mode", "batch", "cost", "robustness", "runtimes"],
}


def ask_tensorflow(model_dir: Path, paths: list[Path]) -> dict[str, float]:
    """Asks in the loop that one would write by hand: tf.data, and the model loaded in this process."""
    import numpy as np
    import tensorflow as tf

    watch = _Watch()
    serve = tf.saved_model.load(str(model_dir)).signatures["serving_default"]
    features = {
        "images": tf.io.FixedLenFeature(_SHAPE, tf.float32),
        "digit": tf.io.FixedLenFeature([], tf.int64),
    }
    dataset = tf.data.TFRecordDataset([str(path) for path in paths], "GZIP")
    rows = hits = 0
    for serialized in dataset.batch(_BATCH_ROWS):
        parsed = tf.io.parse_example(serialized, features)
        (scores,) = serve(images=parsed["images"]).values()
        hits += int(np.sum(np.argmax(scores.numpy(), axis=1) == parsed["digit"].numpy()))
        rows += len(serialized)
    return {"accuracy": hits / rows, **watch.read()}


def ask_servable(model_dir: Path, paths: list[Path], beam_args: list[str] | None) -> dict[str, float]:
    """Asks as the checks do: in one process, or in a Beam pipeline with these arguments."""
    from servable.checks.example_files import ExampleFiles
    from servable.checks.policy import CheckPolicy
    from servable.checks.suite import check_servable

    source: _Timed
    with tempfile.TemporaryDirectory() as folder:
        if beam_args is None:
            source = _Timed(ExampleFiles(tuple(paths)))
        else:
            import apache_beam as beam

            from components.saved_model_validator.beam_pipeline import BeamExamples
            from components.saved_model_validator.examples_reading import choose_runner

            args = choose_runner(beam_args)
            report_path = Path(folder) / "report.json"
            patterns = [str(path) for path in paths]
            source = _Timed(BeamExamples(lambda: beam.Pipeline(argv=args), report_path, patterns=patterns))
        report = check_servable(model_dir, examples=source, policy=CheckPolicy.from_dict(_POLICY))
    if not report.passed:
        raise SystemExit(report.summarize())
    return {"accuracy": report.facts["metrics"]["candidate"]["accuracy"], **source.times}


class _Watch:
    """Takes times, of processes that were started and have ended since, too."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), sum(os.times()[:4])

    def read(self) -> dict[str, float]:
        started, processors = self._started
        return {"elapsed_s": time.perf_counter() - started, "processors_s": sum(os.times()[:4]) - processors}


class _Timed:
    """Examples whose time is taken, from reading the first to having the report."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.times: dict[str, float] = {}

    def judge(self, plan: ExamplesPlan) -> Report:
        watch = _Watch()
        report: Report = self._source.judge(plan)
        self.times = watch.read()
        return report


def main() -> None:
    """Asks once and prints a line."""
    model_dir, folder, way, *rest = sys.argv[1:]
    paths = sorted(Path(folder).iterdir())
    if way == "tensorflow":
        answer = ask_tensorflow(Path(model_dir), paths)
    else:
        answer = ask_servable(Path(model_dir), paths, rest if way == "beam" else None)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
