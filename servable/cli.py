"""The front door: every command of `servable`, from `inspect` and `convert` to `request` and `serve`.

What passes through: words of a command line come in; sentences, tables or JSON go out, and an exit code:
0 done, 1 findings, 2 could not, 3 not a model file, 4 usage. TensorFlow is imported only by what needs it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NoReturn

from servable import __version__
from servable.cli_answer import (
    EXIT_COULD_NOT,
    EXIT_DONE,
    EXIT_FINDINGS,
    EXIT_NOT_A_MODEL,
    EXIT_USAGE,
    error_as_json,
    print_json,
)
from servable.cli_checking import (
    add_checking_options,
    add_page_facts,
    add_report_options,
    inspect_place,
    write_files,
)
from servable.cli_commands import add_installed_commands
from servable.cli_diff import add_diff_command
from servable.cli_examples import add_examples_options, read_examples
from servable.cli_limits import add_limit_options, read_limits
from servable.cli_many import add_many_options, run_many
from servable.cli_options import (
    SignatureAction,
    add_conversion_options,
    add_policy_options,
    read_conversion_options,
    read_path_here,
    read_policy,
    read_requests,
    read_target,
)
from servable.cli_pack import add_pack_command
from servable.cli_request import add_request_command
from servable.cli_runtimes import add_runtime_commands
from servable.cli_serve import add_serve_command
from servable.cli_targets import add_targets_options, run_targets
from servable.errors import NotApprovedError, ServableError, SettingsError, UnknownSourceError

_SOURCE_HELP = "model file, checkpoint in any spelling, or folder, here or at gs://, s3://, hdfs://, ..."


class _Parser(argparse.ArgumentParser):
    """Exits with 4 on wrong usage, where argparse would take 2, which means "could not" here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Words after the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _build_parser(words).parse_args(words)
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except UnknownSourceError as error:
        return _fail(arguments, error, EXIT_NOT_A_MODEL)
    except SettingsError as error:
        return _fail(arguments, error, EXIT_USAGE)
    except NotApprovedError as error:
        return _fail(arguments, error, EXIT_FINDINGS)
    except ServableError as error:
        return _fail(arguments, error, EXIT_COULD_NOT)
    except KeyboardInterrupt:
        sys.stderr.write("\nservable: interrupted; nothing was left behind\n")
        return EXIT_COULD_NOT
    except (OSError, MemoryError, RecursionError) as error:
        refusal = ServableError(
            "The machine refused.",
            received=repr(error),
            advice="free memory or disk, or look at the permissions; --debug shows where it happened",
        )
        return _fail(arguments, refusal, EXIT_COULD_NOT)


def _build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="servable",
        description="Turn a trained TensorFlow or Keras model into a SavedModel that its server loads.",
        epilog="exit codes: 0 done, 1 findings, 2 could not, 3 not a model file, 4 usage",
    )
    parser.add_argument("--version", action="version", version=f"servable {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    inspect = commands.add_parser("inspect", help="say what a file is, and what to type next")
    inspect.add_argument("path", help=_SOURCE_HELP)
    inspect.add_argument(
        "--step", type=int, metavar="N", help="which checkpoint of a folder (default: the latest)"
    )
    inspect.set_defaults(run=_inspect)

    convert = commands.add_parser("convert", help="turn a trained model into a SavedModel, and check it")
    convert.add_argument("source", help=_SOURCE_HELP)
    convert.add_argument("out", help="new folder for the SavedModel, such as digits/1 or gs://...")
    add_conversion_options(convert)
    add_report_options(convert)
    add_limit_options(convert)
    add_policy_options(convert)
    add_many_options(convert)
    convert.set_defaults(run=_convert)

    check = commands.add_parser("check", help="check a SavedModel in the C++ runtime that servers use")
    add_checking_options(check)
    check.add_argument(
        "--signature",
        action=SignatureAction,
        metavar="NAME",
        help="a signature that must be there; repeat for several, each with its --input and --output",
    )
    check.add_argument("--input", action=SignatureAction, metavar="KEY", help="an input that it must have")
    check.add_argument("--output", action=SignatureAction, metavar="KEY", help="an output that it must have")
    check.add_argument(
        "--previous",
        type=read_path_here,
        metavar="DIR",
        help="the SavedModel that this one is to replace; both are measured side by side",
    )
    add_examples_options(check)
    check.set_defaults(run=_check)

    targets = commands.add_parser("targets", help="list the runtimes that a model can be made for")
    add_targets_options(targets)
    targets.set_defaults(run=run_targets)

    for command in (
        inspect,
        convert,
        check,
        targets,
        add_diff_command(commands),
        add_pack_command(commands),
        add_request_command(commands),
        add_serve_command(commands),
        *add_runtime_commands(commands),
        *add_installed_commands(commands, words),
    ):
        command.add_argument("--json", action="store_true", help="print JSON, nothing else")
        command.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    from servable.cli_remote import name_description, open_source_place
    from servable.cli_text import describe_as_json, show_progress, write_description
    from servable.sources.description import describe_source

    with ExitStack() as stack:
        with show_progress(enabled=not arguments.json) as progress:
            staged = open_source_place(arguments, arguments.path, with_values=False, progress=progress)
            source = stack.enter_context(staged)
        description = name_description(describe_source(source.path, step=arguments.step), source)
        if arguments.json:
            print_json(describe_as_json(description))
        else:
            write_description(description)
    return EXIT_DONE


def _convert(arguments: argparse.Namespace) -> int:
    from servable.baseline import save_baseline
    from servable.cli_remote import name_conversion, name_report, open_destination, open_source_place
    from servable.cli_text import conversion_as_json, show_progress, write_conversion, write_report
    from servable.confinement.converting import convert_confined
    from servable.convert import check_conversion

    if arguments.many:
        return run_many(arguments)
    limits = read_limits(arguments)
    read_target(arguments)  # a typo is told before anything is fetched
    with (
        show_progress(enabled=not arguments.json) as progress,
        open_destination(arguments.out) as destination,
        open_source_place(arguments, arguments.source, progress=progress) as source,
    ):
        options = read_conversion_options(arguments)
        policy = read_policy(arguments)
        conversion = convert_confined(
            source.path, destination.out_dir, options, limits=limits, progress=progress
        )
        if arguments.baseline_out is not None:
            save_baseline(conversion.baseline, arguments.baseline_out)
        report = None
        if arguments.check:
            report = check_conversion(conversion, policy=policy, progress=progress)
            report = add_page_facts(arguments, report, conversion.saved_model_dir)
            report = name_report(report, destination.renamed)
        destination.publish(progress=progress)
        conversion = name_conversion(conversion, source, destination)
    write_files(arguments, report)
    if arguments.json:
        print_json(conversion_as_json(conversion, report))
    else:
        write_conversion(conversion)
        if report is not None:
            write_report(report)
    return EXIT_DONE if report is None or report.passed else EXIT_FINDINGS


def _check(arguments: argparse.Namespace) -> int:
    from servable.checks.suite import check_servable
    from servable.cli_text import write_report

    examples, change_policy = read_examples(arguments)
    inspection = partial(
        check_servable,
        signatures=read_requests(arguments),
        previous=arguments.previous,
        examples=examples,
    )
    report = inspect_place(arguments, inspection, change_policy=change_policy)
    if arguments.json:
        print_json(report.to_dict())
    else:
        write_report(report)
    return EXIT_DONE if report.passed else EXIT_FINDINGS


def _fail(arguments: argparse.Namespace, error: ServableError, code: int) -> int:
    if arguments.debug:
        raise error
    if arguments.json:
        print_json({**error_as_json(error), "exit_code": code})
    from servable.cli_plain import make_plain

    sys.stderr.write(f"servable: {make_plain(str(error), keep_lines=True)}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
