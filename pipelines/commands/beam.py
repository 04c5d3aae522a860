"""`python -m pipelines beam CONFIG`: run the pipeline on Apache Beam."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.common import add_log_argument, run_and_report
from pipelines.settings import Settings

HELP: Final = "run the pipeline with TFX's BeamDagRunner, every node a step of a Beam pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_log_argument(parser)


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs every model and says what became of it.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
    """
    from pipelines.beam import run_beam

    return run_and_report(settings, run_beam, verbose=arguments.verbose)
