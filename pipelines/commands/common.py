"""What the commands share: the settings file on the command line, plain sentences, TFX's log.

What passes through: parsed arguments come in, `Settings` go out. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipelines.lean_imports import lighten_imports
from pipelines.outcome import RunOutcome
from pipelines.settings import Settings
from pipelines.settings_file import load_settings

EXIT_DONE: Final = 0
EXIT_REFUSED: Final = 1
EXIT_COULD_NOT: Final = 2
EXIT_USAGE: Final = 4


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the settings file, and the choice of one model of it."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="settings file, such as configs/local.yaml"
    )
    parser.add_argument("--model", metavar="NAME", help="this model of the settings alone")


def add_log_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the switch for TFX's log."""
    parser.add_argument("-v", "--verbose", action="store_true", help="show TFX's own log")


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Reads what `add_settings_arguments` added.

    Raises:
        SettingsError: The file has faults, or there is no such model in it.
    """
    settings = load_settings(arguments.config)
    return settings.select(arguments.model) if arguments.model else settings


def quieten_log(verbose: bool) -> None:
    """Keeps TensorFlow and TFX from logging more than errors, unless that is wanted; before their import."""
    if not verbose:
        # TensorFlow's C++ side reads it once, when it is imported.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # ML Metadata's, for two lines at each connection.
        os.environ.setdefault("GLOG_minloglevel", "2")
        from absl import logging as absl_logging

        absl_logging.set_verbosity(absl_logging.ERROR)
        logging.getLogger().setLevel(logging.ERROR)


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_and_report(settings: Settings, run: Callable[..., RunOutcome], *, verbose: bool) -> int:
    """Runs a pipeline in this process and says of each model what became of it.

    Args:
        settings: What to run.
        run: `run_local` or `run_beam`.
        verbose: Whether TFX's own log is shown.

    Returns:
        The exit code.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
    """
    from pipelines.rendering.outcomes import render_outcome

    quieten_log(verbose)
    lighten_imports()
    names = ", ".join(model.name for model in settings.models)
    say(f"Running pipeline {settings.pipeline.name}: {names}.")
    return run(settings, report_model=lambda model: say(render_outcome(model))).exit_code
