"""`python -m pipelines lineage CONFIG`: trace what was pushed back to its source."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.history.options import Place, add_drawing_argument
from pipelines.settings import Settings

HELP: Final = "trace what was pushed back to its source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--version", metavar="DIR_OR_VERSION", help="this version alone: its directory, a copy, or its number"
    )
    add_drawing_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Prints the way of every pushed or refused model.

    Returns:
        1 when a version that was named does not hold what was pushed there, else 0.

    Raises:
        ServableError: The pipeline has not run yet, or pushed no such version.
    """
    from pipelines.history.showing import show_lineages, show_version
    from pipelines.lineage.model_lineage import trace_lineage

    if arguments.version:
        place = Place(settings.pipeline.metadata, settings.pipeline.name, settings)
        return show_version(place, arguments.version, arguments)
    return show_lineages(trace_lineage(settings), arguments)
