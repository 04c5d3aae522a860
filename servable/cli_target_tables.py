"""The front door's voice about runtimes: the list of them, one of them, and what each makes of a model.

What passes through: targets and verdicts come in, text goes out. No TensorFlow here, and no registry for the
list.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from servable.cli_console import make_console, make_table
from servable.cli_plain import show_lines, show_name
from servable.targets.catalog import CURRENT

if TYPE_CHECKING:
    from servable.targets.catalog import Target
    from servable.targets.comparing import Verdict


def write_list(targets: Sequence[Target], installed: Collection[str]) -> None:
    """Prints every target, those of one platform under its name.

    Args:
        targets: Those of one platform together.
        installed: Versions whose runtime is on this machine.
    """
    console = make_console()
    console.print(f"{len(targets)} targets. A model is also proved in a runtime that is here, by running it.")
    table = _make_target_table("TensorFlow", "unknown attributes", "form", "runtime")
    platform = ""
    for target in targets:
        if target.platform != platform:
            platform = target.platform
            table.add_row(f"\n[bold]{show_name(platform)}[/]")
        table.add_row(
            target.name,
            target.version,
            "refused" if target.is_strict else "passed over",
            "TF 1 only" if target.is_v1 else "any",
            "[green]here[/]" if target.version in installed else "not here",
        )
    console.print(table)
    console.print("\nNext:")
    console.print("  servable targets NAME", style="bold")
    console.print("  servable targets --for SAVED_MODEL", style="bold")
    console.print("  servable convert SOURCE OUT --target NAME", style="bold")


def write_details(target: Target, facts: Mapping[str, Any]) -> None:
    """Prints what one target is like.

    Args:
        target: The runtime.
        facts: `ops`, `ops_on_cpu`, `loader`, `wire_dtypes` and `runtime_installed`, as in the JSON.
    """
    console = make_console()
    console.print(f"{target.name} is TensorFlow {target.version}, run by {target.platform}.")
    console.print(f"It knows {facts['ops']:,} ops, and runs {facts['ops_on_cpu']:,} of them on a CPU.")
    for sentence in facts["loader"]:
        console.print(sentence)
    console.print(f"Clients send and receive {', '.join(facts['wire_dtypes'])}.")
    here = facts["runtime_installed"]
    console.print("Its runtime is here: models are proved in it." if here else "Its runtime is not here.")
    console.print("\nNext:")
    if not here:
        console.print(f"  servable runtimes add {target.version}", style="bold")
    console.print(f"  servable convert SOURCE OUT --target {target.name}", style="bold")


def describe_loader(target: Target) -> list[str]:
    """Says in sentences what a target's loader takes and refuses."""
    return [
        "It refuses a model with an op that it does not know, even where nothing runs it.",
        "It refuses a model with an attribute that it does not know, whatever its value."
        if target.is_strict
        else "It passes over an attribute that it does not know, and runs the op without it.",
        "It is given the form that TensorFlow 1 writes: one graph, with functions taken apart."
        if target.is_v1
        else "It takes the forms of TensorFlow 1 and of TensorFlow 2.",
    ]


def write_verdicts(name: str, verdicts: Sequence[Verdict]) -> None:
    """Prints what each target makes of a model.

    Args:
        name: What the user typed for the model.
        verdicts: One for each target.
    """
    console = make_console()
    running = sum(verdict.runs for verdict in verdicts)
    console.print(
        f"{running} of {len(verdicts)} targets load and run {show_name(name)}, by what each of them knows.",
        soft_wrap=True,
    )
    table = _make_target_table("loads", "runs", "first obstacle")
    for verdict in verdicts:
        table.add_row(
            verdict.target.name, _say(verdict.loads), _say(verdict.runs), show_name(_name_first(verdict))
        )
    console.print(table)
    if running < len(verdicts):
        console.print("\nNext:")
        console.print(f"  servable targets NAME --for {show_name(name)}", style="bold", soft_wrap=True)
        _write_conversion(console, name, "NAME")


def write_verdict(name: str, verdict: Verdict) -> None:
    """Prints everything that one target finds in a model.

    Args:
        name: What the user typed for the model.
        verdict: The target's.
    """
    from servable.checks.target import report_obstacles

    console = make_console()
    target = verdict.target
    said = (
        "loads and runs" if verdict.runs else "loads, but does not run" if verdict.loads else "does not load"
    )
    console.print(f"{target.name} {said} {show_name(name)}, by what it knows.", soft_wrap=True)
    for finding in report_obstacles(verdict.obstacles, target):
        console.print(f"\n{show_lines(finding.message)}", style="red")
        console.print(f"  {show_lines(finding.where)}")
    if not verdict.runs and target.name != CURRENT:
        console.print("\nNext:")
        _write_conversion(console, name, target.name)


def _write_conversion(console: Console, name: str, target: str) -> None:
    command = f"servable convert {show_name(name)} OUT --target {target}"
    console.print(f"  {command}", style="bold", soft_wrap=True)


def _make_target_table(*columns: str) -> Table:
    table = make_table("target", *columns)
    table.columns[0].no_wrap = True  # it is there to be copied
    return table


def _say(good: bool) -> str:
    return "[green]yes[/]" if good else "[red]no[/]"


def _name_first(verdict: Verdict) -> str:
    if not verdict.obstacles:
        return ""
    first, more = verdict.obstacles[0], len(verdict.obstacles) - 1
    words = f"{first.op or first.node}: {first.kind} {first.attr}".rstrip()
    return f"{words}, and {more} more" if more else words
