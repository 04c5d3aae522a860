"""`python -m pipelines history CONFIG`: every model that the pipeline made, and what became of it."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.history.options import Place, add_drawing_argument, add_last_argument
from pipelines.settings import Settings

HELP: Final = "list every model that the pipeline made, and what became of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_last_argument(parser)
    add_drawing_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Prints the history.

    Raises:
        SettingsError: The pipeline has not run yet.
    """
    from pipelines.history.showing import show_history

    return show_history(Place(settings.pipeline.metadata, settings.pipeline.name, settings), arguments)
