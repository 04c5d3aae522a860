"""A model that was refused, as an error: for pipelines that should go red.

What passes through: a report comes in; it is kept beside the artifact that TFX removes when a node fails, and
an error that names the place goes out. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from servable.errors import ServableError
from servable.report import Report

# After the URI of the report's artifact. TFX numbers these directories, so that nothing else has this name.
_SUFFIX = "-rejected"


class ModelRejectedError(ServableError):
    """A model was checked and is not fit to serve.

    Attributes:
        report_dir: The directory with the report.
    """

    def __init__(self, report: Report, report_dir: Path) -> None:
        """Says why.

        Args:
            report: Of the model's checks.
            report_dir: Where it was kept.
        """
        super().__init__(
            "The model was refused, and the pipeline is set to stop there.",
            expected="a model that is fit to serve",
            received=report.summarize(),
            where=str(report_dir),
            advice="read report.html there; without raise_on_rejection a refused model is passed over",
        )
        self.report_dir = report_dir


def keep_report(report_dir: Path) -> Path:
    """Copies a written report out of reach of the clean-up that follows a failure.

    TFX removes every output directory of a node that fails, and publishes none of its artifacts.

    Args:
        report_dir: Directory of the report's artifact.

    Returns:
        The copy, beside it. One of an earlier attempt is replaced.
    """
    kept_dir = report_dir.with_name(report_dir.name + _SUFFIX)
    if kept_dir.exists():
        shutil.rmtree(kept_dir)
    shutil.copytree(report_dir, kept_dir)
    return kept_dir
