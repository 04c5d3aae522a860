"""The whole story in one command: two runs of a TFX pipeline, the second with more data and a model to beat.

What passes through: 178 wines go in; under `out/stock_tfx` TFX's artifacts and metadata and two pushed models
come out. Everything below that folder is made anew each time.

    python -m examples.stock_tfx.run
    python -m examples.stock_tfx.run --runner beam
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from examples.stock_tfx.answers import Comparison, compare_answers, load_record, read_answers
from examples.stock_tfx.data import write_delivery, write_samples
from examples.stock_tfx.places import DEFAULT_OUT_DIR, PIPELINE_NAME, Places
from examples.stock_tfx.running import RUNNERS, run_pipeline
from examples.stock_tfx.telling import tell_run
from pipelines.metadata.records import ExecutionRecord, read_executions
from servable.errors import ServableError, SettingsError

_EXIT_DIFFERENT = 1
_EXIT_COULD_NOT = 2


def run_story(out_dir: Path, *, runner: str = "local", epochs: int = 30) -> int:
    """Runs the pipeline twice and tells it on stdout.

    Args:
        out_dir: Takes everything; what an earlier story left there is removed.
        runner: "local" or "beam".
        epochs: Rounds over the training rows.

    Returns:
        0 when the pushed model answers BulkInferrer as the trainer's own net did, 1 when it does not.

    Raises:
        ServableError: The folder holds something else, or answers cannot be read.
        Exception: Whatever a node of the pipeline raised.
    """
    started_s = time.monotonic()
    places = Places(out_dir.absolute())
    _clear(places)
    write_samples(places.samples_path)
    comparisons = []
    for number in (1, 2):
        delivered = write_delivery(places.csv_dir, number)
        _say(f"Run {number}: {delivered.name} is there (TFX's log: {places.log_path})")
        run_pipeline(places, runner, epochs=epochs)
        runs = _read_runs(places)
        made_in = {a.id: n for n, run in enumerate(runs, 1) for r in run for a in r.outputs.values()}
        for sentence in tell_run(runs[-1], made_in):
            _say(f"  {sentence}")
        comparisons.append(_compare(runs[-1]))
        _say("")
    _say("The held-out bottles, asked of the trainer's net and, by BulkInferrer, of the pushed model")
    _say(draw_comparisons(comparisons))
    is_same = all(one.is_same for one in comparisons)
    verdict = "read every bottle as the trainer's net did" if is_same else "do NOT read every bottle alike"
    _say(f"\nThe pushed models {verdict}; {time.monotonic() - started_s:.0f} s in all.")
    return 0 if is_same else _EXIT_DIFFERENT


def draw_comparisons(comparisons: Sequence[Comparison]) -> str:
    """Draws one line for each run."""
    lines = ["run  bottles  trainer  pushed  other answers  worst difference"]
    lines += [
        f"{number:<3}  {one.bottles:<7}  {one.trainer_accuracy:<7.1%}  {one.accuracy:<6.1%}  "
        f"{one.differing:<13}  {one.worst:.1e}"
        for number, one in enumerate(comparisons, 1)
    ]
    return "\n".join(lines)


def _clear(places: Places) -> None:
    if places.out_dir.exists():
        if any(places.out_dir.iterdir()) and not places.samples_path.is_file():
            raise SettingsError(
                "The output folder holds something that is not this example's.",
                expected="a new or empty folder, or one of an earlier run",
                where=str(places.out_dir),
                advice="name another one with --out",
            )
        shutil.rmtree(places.out_dir)


def _read_runs(places: Places) -> list[list[ExecutionRecord]]:
    """Executions run by run, each in the order of the nodes."""
    runs: dict[str, list[ExecutionRecord]] = {}
    for record in read_executions(places.metadata_path, PIPELINE_NAME):
        runs.setdefault(record.run_id, []).append(record)
    return list(runs.values())


def _compare(run: Sequence[ExecutionRecord]) -> Comparison:
    outputs = {record.node_id: record.outputs for record in run}
    record = load_record(Path(outputs["Trainer"]["model_run"].uri))
    answers = read_answers(Path(outputs["BulkInferrer"]["inference_result"].uri))
    return compare_answers(record, answers)


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the story from the command line.

    Args:
        arguments: Without the program's name; those of this process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.stock_tfx.run",
        description="Bring what TFX's Trainer saved, a checkpoint and a Keras file, to TFX's Pusher.",
    )
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT_DIR, help="folder for everything (default: out/stock_tfx)"
    )
    parser.add_argument("--runner", choices=RUNNERS, default="local", help="TFX's runner (default: local)")
    options = parser.parse_args(arguments)
    try:
        return run_story(options.out, runner=options.runner)
    except ServableError as error:
        print(error, file=sys.stderr)
        return _EXIT_COULD_NOT


if __name__ == "__main__":
    raise SystemExit(main())
