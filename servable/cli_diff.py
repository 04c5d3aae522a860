"""The front door's command about two models: `servable diff FIRST SECOND`.

What passes through: words of a command line come in; a sentence and tables or JSON go out, and an exit code:
0 for the same, 1 for different ones.
"""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from servable.cli_answer import EXIT_DONE, EXIT_FINDINGS, print_json
from servable.cli_options import add_policy_options, read_path_here, read_policy, read_target
from servable.errors import UnknownSourceError

if TYPE_CHECKING:
    from servable.checks.differences import ServableDiff

_SIGNS = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}
_MAX_ROWS = 60


def add_diff_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `diff` to the front door's commands, and gives its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "diff",
        help="say how two SavedModels differ: signatures, ops, variables, assets, answers",
        description="Compares the files of two SavedModels, and what they answer in the C++ runtime. "
        "Exit codes: 0 the same, 1 different, 2 could not.",
    )
    parser.add_argument("first", help="folder with saved_model.pb, here or at gs://...")
    parser.add_argument("second", help="another one")
    parser.add_argument(
        "--baseline",
        type=read_path_here,
        metavar="FILE",
        help="its inputs are asked of both (default: made-up ones)",
    )
    add_policy_options(parser)
    parser.set_defaults(run=run_diff)
    return parser


def run_diff(arguments: argparse.Namespace) -> int:
    """Compares two SavedModels and prints how they differ.

    Raises:
        SettingsError: A file that was named cannot be read, or is wrong.
        SourceError: A folder is not there, or is no whole SavedModel.
        CheckError: TensorFlow's C++ library is not there.
    """
    from servable.baseline import load_baseline
    from servable.checks.differences import diff_servables
    from servable.cli_remote import open_source_place
    from servable.cli_text import show_progress

    read_target(arguments)
    baseline = load_baseline(arguments.baseline) if arguments.baseline is not None else None
    with show_progress(enabled=not arguments.json) as progress, ExitStack() as stack:
        places = [
            stack.enter_context(open_source_place(arguments, text, progress=progress))
            for text in (arguments.first, arguments.second)
        ]
        for place, text in zip(places, (arguments.first, arguments.second), strict=True):
            if not place.path.is_dir():
                raise UnknownSourceError(
                    "There is no such folder.",
                    expected="a SavedModel: a folder with saved_model.pb",
                    where=text,
                    advice="name the folder itself, such as digits/1",
                )
        diff = diff_servables(
            places[0].path,
            places[1].path,
            baseline=baseline,
            policy=read_policy(arguments),
            progress=progress,
        )
    diff = dataclasses.replace(diff, first=arguments.first, second=arguments.second)
    if arguments.json:
        print_json(diff.to_dict())
    else:
        _write(diff)
    return EXIT_DONE if diff.is_same else EXIT_FINDINGS


def _write(diff: ServableDiff) -> None:
    from servable.cli_console import make_console, make_table
    from servable.cli_plain import show_lines, show_name

    console = make_console()
    console.print(show_lines(diff.summarize()), style="green" if diff.is_same else "yellow")
    for section in dict.fromkeys(change.section for change in diff.changes):
        own = [change for change in diff.changes if change.section == section]
        console.print(f"\n{section.capitalize()}:")
        table = make_table("", "where", "first", "second")
        for change in own[:_MAX_ROWS]:
            cells = (change.where, change.before, change.after)
            table.add_row(_SIGNS[change.kind.value], *map(show_name, cells))
        console.print(table)
        if len(own) > _MAX_ROWS:
            console.print(f"... and {len(own) - _MAX_ROWS} more (--json lists all)")
    worst = [w for outputs in diff.facts.get("worst_differences", {}).values() for w in outputs.values()]
    numbers = [value for value in worst if value is not None]
    if numbers:
        console.print(f"\nWorst difference of an answer to the same request: {max(numbers):.3g}")
    for skip in diff.skipped:
        console.print(f"not compared: {skip.check}: {show_lines(skip.reason)}", style="cyan")
