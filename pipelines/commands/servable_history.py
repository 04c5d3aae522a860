"""`servable history CONFIG`: every model that a pipeline made. Light: it is loaded for help."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.extra import need_extra
from pipelines.history.options import add_drawing_argument, add_last_argument, add_place_arguments, read_place

HELP: Final = "list every model that a pipeline made, and what became of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_place_arguments(parser)
    add_last_argument(parser)
    add_drawing_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows the history.

    Raises:
        ServableError: There is no such pipeline, or TFX's packages are not installed.
    """
    with need_extra():
        from pipelines.history.showing import show_history

        return show_history(read_place(arguments), arguments)
