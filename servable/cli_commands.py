"""The front door's other commands: installed packages bring them by the entry points `servable.commands`.

What passes through: a command line comes in; where its first word is no command of this package, or help is
asked, the installed ones are looked up and added. The core knows none of them. An entry point names a module
with `HELP`, `add_arguments(parser)` and `run(arguments)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from servable.errors import ServableError

if TYPE_CHECKING:
    from importlib import metadata

    Commands = argparse._SubParsersAction[Any]

GROUP: Final = "servable.commands"


def add_installed_commands(commands: Commands, words: Sequence[str]) -> list[argparse.ArgumentParser]:
    """Adds the commands of other packages.

    Args:
        commands: Where the core's own commands stand already.
        words: The command line after the program's name.

    Returns:
        Their parsers; none when a command of the core is called, so that it starts as fast as without them.
    """
    command = next((word for word in words if not word.startswith("-")), None)
    if command in commands.choices:
        return []
    found = {entry.name: entry for entry in find_entries() if entry.name not in commands.choices}
    return [_add_command(commands, entry) for _, entry in sorted(found.items())]


def find_entries() -> Iterator[metadata.EntryPoint]:
    """Finds the entry points of installed packages.

    `importlib.metadata.entry_points` looks at one distribution of a name: in a checkout, at what an earlier
    build left there.
    """
    from importlib import metadata  # 20 ms, and as much again for looking

    for distribution in metadata.distributions():
        if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
            yield from distribution.entry_points.select(group=GROUP)


def _add_command(commands: Commands, entry: metadata.EntryPoint) -> argparse.ArgumentParser:
    try:
        module: ModuleType = entry.load()
    except ImportError as error:
        parser: argparse.ArgumentParser = commands.add_parser(entry.name, help="cannot be loaded here")
        parser.set_defaults(run=partial(_refuse, entry=entry, error=error))
        return parser
    text = str(module.HELP)
    parser = commands.add_parser(entry.name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)
    return parser


def _refuse(arguments: argparse.Namespace, *, entry: metadata.EntryPoint, error: ImportError) -> int:
    package = entry.dist.name if entry.dist else entry.value
    raise ServableError(
        f"The command {entry.name} cannot be loaded.",
        received=str(error),
        where=entry.value,
        advice=f"install {package} again, with what it needs for this command",
    ) from error
