"""`python -m pipelines local CONFIG`: run the pipeline in this process."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.common import add_log_argument, run_and_report
from pipelines.settings import Settings

HELP: Final = "run the pipeline in this process, with TFX's LocalDagRunner"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_log_argument(parser)


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs every model and says what became of it.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
    """
    from pipelines.local import run_local

    return run_and_report(settings, run_local, verbose=arguments.verbose)
