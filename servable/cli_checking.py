"""The front door's way to a report: what `servable check` and `servable prove` have in common.

What passes through: words of a command line come in; a SavedModel is fetched if it lies elsewhere and looked
at, and the report goes out, as a page or SARIF too if that was asked for. No TensorFlow here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from servable.cli_options import add_policy_options, read_path_here, read_policy, read_target
from servable.errors import UnknownSourceError

if TYPE_CHECKING:
    from servable.baseline import Baseline
    from servable.checks.policy import CheckPolicy
    from servable.model import Progress
    from servable.report import Report


class Inspection(Protocol):
    """A door of the room of checks, with all that is particular to the command filled in."""

    def __call__(
        self,
        saved_model_dir: Path,
        /,
        *,
        baseline: Baseline | None,
        policy: CheckPolicy,
        progress: Progress | None,
    ) -> Report:
        """Looks at a SavedModel."""
        ...


def add_checking_options(parser: argparse.ArgumentParser) -> None:
    """Adds what every command takes that looks at a SavedModel."""
    parser.add_argument("saved_model", help="folder with saved_model.pb, here or at gs://...")
    parser.add_argument(
        "--baseline", type=read_path_here, metavar="FILE", help="written by convert --baseline-out"
    )
    add_report_options(parser)
    add_policy_options(parser)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Adds the files that a report can be written to."""
    parser.add_argument(
        "--report", type=read_path_here, metavar="FILE.html", help="also write a page to open"
    )
    parser.add_argument(
        "--sarif",
        type=read_path_here,
        metavar="FILE",
        help="also write SARIF 2.1.0, for code hosts",
    )


def inspect_place(
    arguments: argparse.Namespace,
    inspection: Inspection,
    *,
    change_policy: Callable[[CheckPolicy], CheckPolicy] | None = None,
) -> Report:
    """Looks at the SavedModel that was named, and writes the files that were asked for.

    Args:
        arguments: With the options of `add_checking_options`.
        inspection: What looks at it.
        change_policy: Puts into the policy what other options say.

    Raises:
        SettingsError: A file that was named cannot be read, or is wrong.
        SourceError: There is no such folder.
        CheckError: A check could not be made.
    """
    from servable.baseline import load_baseline
    from servable.cli_remote import name_report, open_source_place
    from servable.cli_text import show_progress

    read_target(arguments)  # a typo is told before anything is fetched
    policy = read_policy(arguments)
    if change_policy is not None:
        policy = change_policy(policy)
    baseline = load_baseline(arguments.baseline) if arguments.baseline is not None else None
    with (
        show_progress(enabled=not arguments.json) as progress,
        open_source_place(arguments, arguments.saved_model, progress=progress) as source,
    ):
        if not source.path.is_dir():
            raise UnknownSourceError(
                "There is no such folder.",
                expected="a SavedModel: a folder with saved_model.pb",
                where=source.address or str(source.path),
                advice="name the folder itself, such as digits/1",
            )
        report = inspection(source.path, baseline=baseline, policy=policy, progress=progress)
        report = name_report(add_page_facts(arguments, report, source.path), source.renamed)
    write_files(arguments, report)
    return report


def add_page_facts(arguments: argparse.Namespace, report: Report, saved_model_dir: Path) -> Report:
    """Adds what only a page shows, where one was asked for: it takes a second or two."""
    if arguments.report is None:
        return report
    from servable.checks.compatibility import add_compatibility

    return add_compatibility(report, saved_model_dir)


def write_files(arguments: argparse.Namespace, report: Report | None) -> None:
    """Writes a report to the files that the command was given for it."""
    if report is None:
        return
    if arguments.report is not None:
        from servable.report_page import render_page

        _write_text(arguments.report, render_page(report, title=report.subject))
    if arguments.sarif is not None:
        from servable.report_sarif import write_sarif

        _write_text(arguments.sarif, write_sarif(report))


def _write_text(path: Path, text: str) -> None:
    from servable.formats.files import replace_file

    # A path that a report names may have bytes that are no UTF-8.
    data = text.encode("utf-8", errors="backslashreplace")
    if path.exists() and not path.is_file():  # a pipe or a terminal
        path.write_bytes(data)
        return
    with replace_file(path) as file:  # half a report could be taken for a whole one
        file.write(data)
