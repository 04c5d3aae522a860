"""The front door to old runtimes: `servable runtimes` keeps them, `servable prove` runs a model in them.

What passes through: words of a command line come in; sentences, tables or JSON go out, and an exit code. The
list needs neither TensorFlow nor the network.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from servable.cli_answer import EXIT_DONE, EXIT_FINDINGS, print_json
from servable.cli_checking import add_checking_options, inspect_place
from servable.cli_console import format_bytes, make_console, make_table
from servable.cli_options import read_target
from servable.cli_plain import show_name
from servable.errors import CheckError, UsageError
from servable.runtime.installed import (
    CURRENT,
    KNOWN_VERSIONS,
    InstalledRuntime,
    check_version,
    find_cache_dir,
    find_current,
    is_version,
    list_runtimes,
    measure_bytes,
)
from servable.targets.catalog import find_target

if TYPE_CHECKING:
    from servable.report import Report

_ACTIONS = ("add", "remove")


def add_runtime_commands(commands: Any) -> tuple[argparse.ArgumentParser, ...]:
    """Adds `runtimes` and `prove` to the front door's commands, and gives their parsers."""
    runtimes = commands.add_parser(
        "runtimes",
        help="list, add or remove old TensorFlow runtimes",
        description="Runtimes lie in a cache of yours and are fetched as your pip is set to. Only the C++ "
        "library is kept of each, 0.2 to 0.7 GB.",
    )
    runtimes.add_argument("action", nargs="?", choices=_ACTIONS, help="what to do (default: list)")
    runtimes.add_argument("versions", nargs="*", metavar="VERSION", help="such as 1.15.5, or 1.15")
    runtimes.set_defaults(run=run_runtimes)

    prove = commands.add_parser(
        "prove", help="run a SavedModel in old runtimes, with the baseline's inputs, and compare"
    )
    add_checking_options(prove)
    prove.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="VERSION",
        help=f"such as 1.15.5, 1.15 or {CURRENT}; repeatable (default: the target's, else all installed)",
    )
    prove.set_defaults(run=run_prove)
    return runtimes, prove


def run_runtimes(arguments: argparse.Namespace) -> int:
    """Lists, adds or removes runtimes.

    Raises:
        UsageError: An action has no versions.
        SettingsError: A version is none.
        CheckError: A runtime could not be fetched, or is not there.
    """
    if arguments.action is None:
        _list(arguments)
        return EXIT_DONE
    if not arguments.versions:
        raise UsageError(
            f"No version is named to {arguments.action}.",
            expected=f"servable runtimes {arguments.action} VERSION [VERSION ...]",
            advice="servable runtimes  lists those that are installed and those that are known",
        )
    for version in arguments.versions:  # a typo is told before anything is done
        check_version(version)
    from servable.runtime.installing import install_runtime, remove_runtime

    console = make_console()
    done: list[InstalledRuntime] = []
    for version in arguments.versions:
        if arguments.action == "remove":
            runtime = remove_runtime(version)
            message = f"Removed the runtime of TensorFlow {runtime.version}."
        else:
            if not arguments.json:
                console.print(f"Fetching the runtime of TensorFlow {version} ...")
            runtime = install_runtime(version)
            message = f"The runtime of TensorFlow {runtime.version} is installed."
        done.append(runtime)
        if not arguments.json:
            console.print(message)
    if arguments.json:
        print_json([_runtime_as_json(runtime) for runtime in done])
    return EXIT_DONE


def run_prove(arguments: argparse.Namespace) -> int:
    """Runs a SavedModel in runtimes and prints what became of it in each.

    Raises:
        SettingsError: A version or the target is not known, or a file is wrong.
        SourceError: There is no such folder.
        CheckError: A runtime is damaged.
    """
    from servable.checks.proving import prove_servable

    inspection = partial(prove_servable, versions=_choose_versions(arguments))
    report = inspect_place(arguments, inspection)
    if arguments.json:
        print_json(report.to_dict())
    else:
        _write_proof(report)
    return EXIT_DONE if report.passed else EXIT_FINDINGS


def _choose_versions(arguments: argparse.Namespace) -> list[str]:
    wrong = [version for version in arguments.runtime if not is_version(version)]
    if wrong:
        check_version(wrong[0])
    versions = list(arguments.runtime)
    if read_target(arguments) is not None:
        versions.append(find_target(arguments.target).version)
    # The installed TensorFlow is among them: a model that runs nowhere else is not the runtimes' fault.
    return versions or [*(runtime.version for runtime in list_runtimes()), CURRENT]


def _list(arguments: argparse.Namespace) -> None:
    installed = list_runtimes()
    try:
        current = find_current()
    except CheckError:
        current = None
    if arguments.json:
        print_json(
            {
                "cache": str(find_cache_dir()),
                "current": None if current is None else current.version,
                "installed": [_runtime_as_json(runtime) for runtime in installed],
                "known": list(KNOWN_VERSIONS),
            }
        )
        return
    console = make_console()
    size_bytes = sum(measure_bytes(runtime) for runtime in installed)
    place = show_name(str(find_cache_dir()))
    console.print(f"{len(installed)} runtimes are installed in {place} ({format_bytes(size_bytes)}).")
    table = make_table("runtime", "size", "package")
    for runtime in installed:
        size = format_bytes(measure_bytes(runtime))
        table.add_row(runtime.version, size, show_name(_name_package(runtime)))
    if current is not None:
        table.add_row(f"{CURRENT} ({current.version})", "", "tensorflow, beside this library")
    console.print(table)
    missing = [known for known in KNOWN_VERSIONS if known not in {r.version for r in installed}]
    if missing:
        console.print(f"Known and not installed: {', '.join(missing)}.")
        console.print(f"next: servable runtimes add {missing[0]}", soft_wrap=True)


def _name_package(runtime: InstalledRuntime) -> str:
    return runtime.wheel.partition("-")[0].replace("_", "-")


def _runtime_as_json(runtime: InstalledRuntime) -> dict[str, Any]:
    return {"version": runtime.version, "library": str(runtime.library), "wheel": runtime.wheel}


def _write_proof(report: Report) -> None:
    from servable.cli_text import write_report

    write_report(report)
    console = make_console()
    table = make_table("runtime", "loads", "runs", "worst difference")
    for version, proof in report.facts.get("runtimes", {}).items():
        if not proof["installed"]:
            table.add_row(show_name(version), "not installed", "", "")
            continue
        loads = f"[green]yes[/], {proof['load_time_s']:.2g} s" if proof["loaded"] else "[red]no[/]"
        table.add_row(version, loads, show_name(", ".join(proof["ran"])), _describe_difference(proof))
    if table.row_count:
        console.print()
        console.print(table)


def _describe_difference(proof: Mapping[str, Any]) -> str:
    if proof["differing"]:
        return f"[red]too large in {show_name(', '.join(proof['differing']))}[/]"
    if not proof["compared_with"]:
        return "nothing to compare with" if proof["ran"] else ""
    worst = [w for outputs in proof["worst_difference"].values() for w in outputs.values() if w is not None]
    shown = f"{max(worst):.2g}" if worst else "equal"
    return f"[green]{shown}[/] from {show_name(', '.join(proof['compared_with']))}"
