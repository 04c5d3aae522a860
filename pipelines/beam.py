"""HOW it runs on Apache Beam: TFX's BeamDagRunner, every node a step of a Beam pipeline.

What passes through: `Settings` come in, a `RunOutcome` goes out. Beam and TFX are imported when something is
run, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.branch_running import run_branches
from pipelines.outcome import ModelOutcome, RunOutcome
from pipelines.settings import Settings

# Beam's own choice is to look on the net for a runner's program first, Prism, and to take this one after it.
_IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_CHOOSING = threading.Lock()


def run_beam(settings: Settings, *, report_model: Callable[[ModelOutcome], None] | None = None) -> RunOutcome:
    """Runs the pipeline with BeamDagRunner.

    TFX gives that runner no options: it orders the nodes in this process, whatever `beam_pipeline_args` are.
    These are for what the nodes themselves do on Beam.

    Args:
        settings: What to run.
        report_model: Called with each model's outcome, in the order of the settings.

    Returns:
        What was done for each model. A branch that failed is told there, not raised.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
    """
    with _run_in_process():
        return run_branches(settings, _run_compiled, report_model=report_model)


def _run_compiled(compiled: Any) -> None:
    from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

    BeamDagRunner().run_with_ir(compiled)


@contextmanager
def _run_in_process() -> Iterator[None]:
    from apache_beam.options.pipeline_options import StandardOptions

    with _CHOOSING:
        before = StandardOptions.DEFAULT_RUNNER
        StandardOptions.DEFAULT_RUNNER = _IN_PROCESS_RUNNER
        try:
            yield
        finally:
            StandardOptions.DEFAULT_RUNNER = before
