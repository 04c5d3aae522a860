"""`python -m pipelines lineage CONFIG`: trace what was pushed back to its source."""

from __future__ import annotations

import argparse
from typing import Final

from pipelines.commands.common import EXIT_DONE, say
from pipelines.settings import Settings

HELP: Final = "trace what was pushed back to its source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: the settings file says it all."""


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Prints the way of every pushed or refused model.

    Raises:
        SettingsError: The pipeline has not run yet.
    """
    from pipelines.lineage import render_lineage, trace_lineage

    say(render_lineage(trace_lineage(settings)))
    return EXIT_DONE
