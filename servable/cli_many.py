"""The front door's `convert --many`: a folder of models, with one line for each and a table at the end.

What passes through: words of a command line come in; lines, a table or JSON go out, and an exit code: 0 all
done, 1 findings in some, 2 some could not be converted. What is no model is told and changes no exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from servable.cli_answer import EXIT_COULD_NOT, EXIT_DONE, EXIT_FINDINGS, error_as_json, print_json
from servable.cli_limits import read_limits
from servable.cli_options import read_conversion_options, read_path_here, read_policy
from servable.errors import UnknownSourceError, UsageError

if TYPE_CHECKING:
    from servable.convert_many import ManyOutcome

# Each would be one file for all models.
_ONE_MODEL_OPTIONS: Final = {"baseline_out": "--baseline-out", "report": "--report", "sarif": "--sarif"}


def add_many_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `convert` takes for a folder of models."""
    group = parser.add_argument_group("many models at once")
    group.add_argument(
        "--many",
        action="store_true",
        help="SOURCE is a folder of models; each is written to OUT/NAME/1",
    )
    group.add_argument(
        "--workers", type=_read_count, metavar="N", help="how many at a time (default: one per processor)"
    )


def run_many(arguments: argparse.Namespace) -> int:
    """Converts a folder of models.

    Raises:
        UsageError: An option makes sense for one model only, or a place is on another machine.
        UnknownSourceError: The folder holds no model.
    """
    from servable.convert_many import ManyState, convert_many, list_sources

    for option, flag in _ONE_MODEL_OPTIONS.items():
        if getattr(arguments, option) is not None:
            raise UsageError(
                f"{flag} is one file, and --many makes many models.",
                advice=f"leave it out; servable check OUT/NAME/1 {flag} FILE afterwards, where it is wanted",
            )
    sources = list_sources(_read_folder(arguments.source))
    outcomes = []
    for outcome in convert_many(
        sources,
        _read_folder(arguments.out),
        read_conversion_options(arguments),
        workers=arguments.workers or len(os.sched_getaffinity(0)),
        limits=read_limits(arguments),
        policy=read_policy(arguments),
        check=arguments.check,
    ):
        outcomes.append(outcome)
        if not arguments.json:
            _write_line(outcome, len(outcomes), len(sources))
    outcomes.sort(key=lambda outcome: outcome.name)
    if all(outcome.state is ManyState.NO_MODEL for outcome in outcomes):
        raise UnknownSourceError(
            "The folder holds no model.",
            expected="model files, checkpoints or folders of them",
            received=", ".join(outcome.name for outcome in outcomes[:5]),
            where=str(arguments.source),
            advice="name the folder that holds the models; without --many, a folder is one model",
        )
    states = Counter(outcome.state for outcome in outcomes)
    if arguments.json:
        print_json({"models": list(map(_as_json, outcomes)), "counts": {s.value: states[s] for s in states}})
    else:
        _write_table(outcomes, states)
    if states[ManyState.FAILED]:
        return EXIT_COULD_NOT
    return EXIT_FINDINGS if states[ManyState.FINDINGS] else EXIT_DONE


def _read_folder(text: str) -> Path:
    try:
        return read_path_here(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError("With --many, both folders are on this machine.", received=str(error)) from error


def _read_count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return count


def _write_line(outcome: ManyOutcome, done: int, total: int) -> None:
    from servable.cli_plain import show_name

    # To where progress goes: the table has it all again.
    sys.stderr.write(
        f"[{done}/{total}] {show_name(outcome.name)}: {outcome.state} ({outcome.elapsed_s:.1f} s)\n"
    )


def _write_table(outcomes: Sequence[ManyOutcome], states: Counter[Any]) -> None:
    from servable.cli_console import make_console, make_table
    from servable.cli_plain import show_name

    console = make_console()
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    console.print(f"{len(outcomes)} entries: {counts}.\n")
    table = make_table("model", "state", "what became of it")
    for outcome in outcomes:
        table.add_row(show_name(outcome.name), outcome.state.value, show_name(outcome.message))
    console.print(table)


def _as_json(outcome: ManyOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "source": str(outcome.source),
        "saved_model": str(outcome.saved_model_dir),
        "state": outcome.state.value,
        "message": outcome.message,
        "elapsed_s": round(outcome.elapsed_s, 3),
        "report": None if outcome.report is None else outcome.report.to_dict(),
        "error": None if outcome.error is None else error_as_json(outcome.error),
    }
