"""HOW it runs, locally: TFX's LocalDagRunner, in this process.

What passes through: `Settings` come in, a `RunOutcome` goes out. TFX is imported when something is run, not
before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.branch_running import run_branches
from pipelines.outcome import ModelOutcome, RunOutcome
from pipelines.settings import Settings


def run_local(
    settings: Settings, *, report_model: Callable[[ModelOutcome], None] | None = None
) -> RunOutcome:
    """Runs the pipeline with LocalDagRunner.

    Args:
        settings: What to run.
        report_model: Called with each model's outcome, in the order of the settings.

    Returns:
        What was done for each model. A branch that failed is told there, not raised.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.

    Example:
        >>> outcome = run_local(load_settings(Path("configs/digits.yaml")))
        >>> outcome.exit_code
        0
    """
    return run_branches(settings, _run_compiled, report_model=report_model)


def _run_compiled(compiled: Any) -> None:
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    LocalDagRunner().run_with_ir(compiled)
