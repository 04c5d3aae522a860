"""HOW it runs: with TFX's LocalDagRunner or its BeamDagRunner, quietly.

What passes through: the folders and a runner's name come in, the pipeline is run once; all that TFX, Beam and
TensorFlow say goes to a log.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from examples.stock_tfx.pipeline import create_pipeline
from examples.stock_tfx.places import Places

RUNNERS = ("local", "beam")

# Beam 2.77's own default first tries to download another runner, Prism, and takes this one when it cannot.
_IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_STDOUT, _STDERR = 1, 2


def run_pipeline(places: Places, runner: str, *, epochs: int = 30) -> None:
    """Runs the pipeline in this process.

    Args:
        places: Where everything lies.
        runner: "local" or "beam".
        epochs: Rounds over the training rows.

    Raises:
        Exception: Whatever a node raised.
    """
    with _divert_output(places.log_path):
        from apache_beam.options.pipeline_options import StandardOptions

        # TFX's components, and BeamDagRunner itself, make Beam pipelines that name no runner. One named in
        # beam_pipeline_args is for the components alone, and makes each of them pack TFX first.
        StandardOptions.DEFAULT_RUNNER = _IN_PROCESS_RUNNER
        pipeline = create_pipeline(places, epochs=epochs)
        if runner == "beam":
            from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

            BeamDagRunner().run(pipeline)
        else:
            from tfx.orchestration.local.local_dag_runner import LocalDagRunner

            LocalDagRunner().run(pipeline)


@contextlib.contextmanager
def _divert_output(log_path: Path) -> Iterator[None]:
    """Sends the very file descriptors to a log: processes that TFX starts, and C++, ask no logger."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (_STDOUT, _STDERR)}
    try:
        with log_path.open("ab") as log:
            for number in kept:
                os.dup2(log.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
