"""`python -m pipelines local CONFIG`: run the pipeline in this process."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.common import add_log_argument, quieten_log, say
from pipelines.settings import Settings

HELP: Final = "run the pipeline in this process, with TFX's LocalDagRunner"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_log_argument(parser)


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs every model and says what became of it as soon as that is known.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
    """
    from pipelines.local import run_local
    from pipelines.rendering import render_outcome

    quieten_log(arguments.verbose)
    names = ", ".join(model.name for model in settings.models)
    say(f"Running pipeline {settings.pipeline.name}: {names}. Importing TFX takes half a minute.")
    outcome = run_local(settings, report_model=lambda model: say(render_outcome(model)))
    return outcome.exit_code
