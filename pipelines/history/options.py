"""Options of the commands about history and lineage, and which metadata they mean. Light: help needs them.

What passes through: a parsed command line comes in; a place to look at goes out. What takes time is imported
when a command runs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from servable.errors import UsageError

if TYPE_CHECKING:
    from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Which metadata is meant.

    Attributes:
        location: A SQLite file or an address.
        pipeline: The pipeline's name; None where none was named.
        settings: The settings file, where one was.
    """

    location: Path | str
    pipeline: str | None
    settings: Settings | None


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the settings file, or in its place where the metadata is kept."""
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG", help="settings file of the pipeline"
    )
    parser.add_argument(
        "--metadata",
        metavar="PLACE",
        help="in its place: SQLite file of ML Metadata, or mysql://, postgresql:// or grpc://...",
    )
    parser.add_argument("--pipeline", metavar="NAME", help="this one alone, where the metadata has several")
    parser.add_argument("--model", metavar="NAME", help="this model alone")


def add_drawing_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the file of the drawn graph."""
    parser.add_argument(
        "--graph", type=Path, metavar="FILE", help="also draw it into FILE.svg, FILE.html or FILE.dot"
    )


def add_last_argument(parser: argparse.ArgumentParser) -> None:
    """Adds how much of a history is shown."""
    parser.add_argument("--last", type=_read_count, metavar="N", help="the newest N alone")


def read_place(arguments: argparse.Namespace) -> Place:
    """Finds out which metadata is meant.

    Raises:
        SettingsError: Neither a settings file nor a place was named, or both, or one of them is wrong.
    """
    if (arguments.config is None) == (arguments.metadata is None):
        raise UsageError(
            "The command takes the settings file of a pipeline, or where its metadata is kept.",
            expected="CONFIG or --metadata PLACE",
            received="both" if arguments.metadata else "neither",
            advice="name one of them, such as configs/local.yaml",
        )
    if arguments.metadata is not None:
        from pipelines.metadata.address import check_location, is_address

        text = arguments.metadata
        location = check_location(text) if is_address(text) else Path(text)
        return Place(location, arguments.pipeline, None)
    from pipelines.settings_file import load_settings

    settings = load_settings(arguments.config)
    return Place(settings.pipeline.metadata, arguments.pipeline or settings.pipeline.name, settings)


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, received {text!r}")
    return int(text)
