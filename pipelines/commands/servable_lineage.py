"""`servable lineage DIR_OR_VERSION CONFIG`: from a served version to its source. Light: loaded for help."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.extra import need_extra
from pipelines.history.options import add_drawing_argument, add_place_arguments, read_place

HELP: Final = "lead from a served version back to model, report, checkpoint, run and settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "version",
        metavar="DIR_OR_VERSION",
        help="version directory, also a copy of one elsewhere, or a version's number",
    )
    add_place_arguments(parser)
    add_drawing_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows the lineage.

    Returns:
        1 when what lies there is not what was pushed there, else 0.

    Raises:
        ServableError: Nothing that was pushed matches, or TFX's packages are not installed.
    """
    with need_extra():
        from pipelines.history.showing import show_version

        return show_version(read_place(arguments), arguments.version, arguments)
