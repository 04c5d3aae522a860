"""The pipelines' front door: `python -m pipelines COMMAND ...`, one file a command in `commands/`.

What passes through: a command line and a settings file come in, plain sentences and an exit code go out.
TensorFlow and TFX are imported when a pipeline runs, not for help, faults of the settings, or lineage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType

from pipelines.commands import airflow, beam, history, kubeflow, lineage, local
from pipelines.commands.common import EXIT_COULD_NOT, EXIT_USAGE, add_settings_arguments, read_settings
from servable.errors import ServableError, SettingsError

_COMMANDS: Mapping[str, ModuleType] = MappingProxyType(
    {
        "local": local,
        "beam": beam,
        "airflow": airflow,
        "kubeflow": kubeflow,
        "history": history,
        "lineage": lineage,
    }
)

_EPILOG = """exit codes:
  0  every model was pushed, or is unchanged
  1  a model was not found fit to serve
  2  a model could not be converted, checked or pushed
  4  wrong command line or settings file
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: Without the program's name; those of this process by default.

    Returns:
        The exit code, see `_EPILOG`.
    """
    parser = _make_parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as error:
        return EXIT_USAGE if error.code else 0
    try:
        settings = read_settings(options)
    except SettingsError as error:
        return _complain(error, EXIT_USAGE)
    try:
        return int(_COMMANDS[options.command].run(settings, options))
    except (ServableError, OSError, ImportError) as error:
        return _complain(error, EXIT_COULD_NOT)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Convert, check and push trained models as a TFX pipeline.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        text = str(module.HELP)
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_settings_arguments(command)
        module.add_arguments(command)
    return parser


def _complain(error: Exception, exit_code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
