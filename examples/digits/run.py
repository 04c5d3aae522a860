"""The whole story in one command: train, convert, check, push, trace, and ask what was pushed.

What passes through: handwritten digits go in; under `out/digits` two trained models, the pipeline's
artifacts and metadata, and two served models come out. A second run finds everything done.

    python -m examples.digits.run
    python -m examples.digits.run --overwrite-checkpoint    # one source changes: one branch runs again
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.digits.ask import compare_all, draw_comparisons
from examples.digits.places import CONFIG_PATH, DEFAULT_OUT_DIR, Places, rebase_settings
from examples.digits.training import overwrite_checkpoint, train_missing
from pipelines.lineage.model_lineage import render_lineage, trace_lineage
from pipelines.outcome import RunOutcome
from pipelines.rendering.outcomes import render_outcome
from pipelines.settings import Settings
from pipelines.settings_file import load_settings
from servable.errors import ServableError

_EXIT_DIFFERENT = 1
_EXIT_COULD_NOT = 2
_STDERR = 2


def run_story(out_dir: Path, *, retrain: bool = False, overwrite: bool = False) -> int:
    """Runs every chapter and tells it on stdout.

    Args:
        out_dir: Takes everything; made when missing.
        retrain: Trains both models again, finished or not.
        overwrite: Trains the newest checkpoint on in its own place, before the pipeline runs.

    Returns:
        0 when both pushed models read the held-out scans as their trainers' models did; 1 when one was
        refused or reads them otherwise; 2 when a branch of the pipeline failed.

    Raises:
        ServableError: A training failed, a setting is wrong, or a pushed model could not be asked.
    """
    started = time.monotonic()
    places = Places(out_dir.absolute())
    settings = rebase_settings(load_settings(CONFIG_PATH), places.out_dir)
    _train(places, retrain=retrain, overwrite=overwrite)
    outcome = _run_pipeline(settings)
    _say("\n3. Where the pushed models come from, as ML Metadata has it")
    _say(render_lineage(trace_lineage(settings)))
    if outcome.exit_code:
        _say("\nNot every model was pushed: see above. Nothing is asked.")
        return outcome.exit_code
    _say("\n4. Asking the pushed models: each of the 360 held-out scans is one request")
    comparisons = compare_all(places)
    _say(draw_comparisons(comparisons))
    executed = sum(len(model.executed) for model in outcome.models)
    nodes = executed + sum(len(model.cached) for model in outcome.models)
    is_same = all(one.is_same for one in comparisons)
    verdict = "read every scan as the trainers' models did" if is_same else "do NOT read every scan alike"
    _say(f"\nThe pushed models {verdict}.")
    _say(f"{executed} of {nodes} pipeline nodes had work to do; {time.monotonic() - started:.0f} s in all.")
    return 0 if is_same else _EXIT_DIFFERENT


def _train(places: Places, *, retrain: bool, overwrite: bool) -> None:
    _say("1. Training: TensorFlow 1 checkpoints, and a Keras .h5 file")
    if not train_missing(places, retrain=retrain):
        _say("  Both models are trained already (--retrain trains them again).")
    if overwrite:
        _say("  Training the newest checkpoint on, and saving it over itself:")
        overwrite_checkpoint(places)


def _run_pipeline(settings: Settings) -> RunOutcome:
    log_path = settings.pipeline.root.parent / "run.log"
    _say(f"\n2. Pipeline: convert, check, push (its log: {log_path})")
    with _divert_stderr(log_path):
        # Here, not above: --help and a wrong setting shall be answered at once.
        from pipelines.lean_imports import lighten_imports
        from pipelines.local import run_local

        lighten_imports()
        return run_local(settings, report_model=lambda model: _say(render_outcome(model)))


@contextlib.contextmanager
def _divert_stderr(log_path: Path) -> Iterator[None]:
    """Sends the very file descriptor to a log: TensorFlow's C++ part greets there and asks no logger."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    try:
        with log_path.open("wb") as log:
            os.dup2(log.fileno(), _STDERR)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDERR)
        os.close(kept)


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the story from the command line.

    Args:
        arguments: Without the program's name; those of this process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.digits.run",
        description="Train two models on handwritten digits, convert, check and push them, and ask them.",
    )
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT_DIR, help="folder for everything (default: out/digits)"
    )
    parser.add_argument("--retrain", action="store_true", help="train again what is trained already")
    parser.add_argument(
        "--overwrite-checkpoint",
        action="store_true",
        help="train the newest checkpoint on in its own place: only its branch runs again",
    )
    options = parser.parse_args(arguments)
    try:
        return run_story(options.out, retrain=options.retrain, overwrite=options.overwrite_checkpoint)
    except ServableError as error:
        print(error, file=sys.stderr)
        return _EXIT_COULD_NOT


if __name__ == "__main__":
    raise SystemExit(main())
