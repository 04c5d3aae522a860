"""The front door's options: words of a command line become the values that the corridor takes.

What passes through: `--signature`, `--input` and `--output` in the order they were typed; an input or output
belongs to the signature named last before it. No TensorFlow here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servable.cli_source_options import add_source_options, read_source_options
from servable.errors import SettingsError, UsageError
from servable.formats.remote import is_remote, read_local_path
from servable.signature import DEFAULT_SIGNATURE, METHOD_NAMES, SignatureRequest

if TYPE_CHECKING:
    from servable.checks.policy import CheckPolicy
    from servable.convert import ConversionOptions


class SignatureAction(argparse.Action):
    """Collects signatures, inputs, outputs and methods in the order they were typed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Notes one option."""
        typed = getattr(namespace, "typed", None) or []
        namespace.typed = [*typed, (self.dest, values)]


def read_path_here(text: str) -> Path:
    """Reads the path of a file that lies on this machine, or is to be written here."""
    if is_remote(text):
        raise argparse.ArgumentTypeError(f"{text} is on another machine; name a file of this one")
    return read_local_path(text)


def add_conversion_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `convert` takes."""
    group = parser.add_argument_group("signatures")
    group.add_argument(
        "--signature",
        action=SignatureAction,
        metavar="NAME",
        help="begin a signature; the --input, --output and --method after it belong to it",
    )
    group.add_argument(
        "--input",
        action=SignatureAction,
        metavar="KEY[=TENSOR]",
        help="tensor that clients feed, under this key; repeatable",
    )
    group.add_argument(
        "--output",
        action=SignatureAction,
        metavar="KEY[=TENSOR]",
        help="tensor that clients get, under this key; repeatable",
    )
    group.add_argument(
        "--method",
        action=SignatureAction,
        choices=sorted(METHOD_NAMES),
        help="how clients call it (default: predict)",
    )
    group.add_argument(
        "--default-signature",
        default="first",
        metavar="NAME",
        help="signature that serving_default repeats: a name, first, or none (default: first)",
    )
    add_source_options(parser)
    group = parser.add_argument_group("baseline and checks")
    group.add_argument("--inputs", metavar="FILE.npz", help="inputs to compare with (default: made up)")
    group.add_argument(
        "--baseline-out", type=read_path_here, metavar="FILE", help="keep inputs and the source's outputs"
    )
    group.add_argument(
        "--no-baseline",
        dest="make_baseline",
        action="store_false",
        help="do not run the source; the SavedModel is then not compared with it",
    )
    group.add_argument("--no-check", dest="check", action="store_false", help="write the SavedModel only")


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Adds what every command that checks takes."""
    parser.add_argument(
        "--policy",
        metavar="FILE.json",
        help="tolerances, severities, limits, checks to leave out",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the runtime that is to serve the model; servable targets lists them (default: current)",
    )


def read_target(arguments: argparse.Namespace) -> str | None:
    """Gives the full name of the target that was typed; None where none was.

    Raises:
        SettingsError: There is no such target.
    """
    if arguments.target is None:
        return None
    from servable.targets.catalog import find_target

    return find_target(arguments.target).name


def read_requests(arguments: argparse.Namespace) -> tuple[SignatureRequest, ...]:
    """Groups what was typed into signatures.

    Raises:
        UsageError: A signature, a key or a method is there twice, or a key or a tensor is empty.
    """
    groups: dict[str, dict[str, Any]] = {}
    current = DEFAULT_SIGNATURE
    for option, value in getattr(arguments, "typed", None) or []:
        if option == "signature":
            if value in groups:
                raise UsageError(
                    "A signature is named twice.",
                    expected="each name once",
                    received=f"--signature {value}",
                )
            current = value
        group = groups.setdefault(current, {"input": {}, "output": {}, "method": None})
        if option == "method":
            if group["method"] is not None:
                raise UsageError(
                    f"Signature {current!r} has two methods.",
                    expected="one --method after each --signature",
                    received=f"--method {group['method']} --method {value}",
                )
            group["method"] = value
        elif option in ("input", "output"):
            key, tensor = _split_pair(option, value)
            if key in group[option]:
                raise UsageError(
                    f"Signature {current!r} has the {option} key {key!r} twice.",
                    expected="each key once",
                    received=f"{key}={group[option][key]} and {value}",
                )
            group[option][key] = tensor
    return tuple(
        SignatureRequest(name, group["input"], group["output"], method=group["method"] or "predict")
        for name, group in groups.items()
    )


def read_conversion_options(arguments: argparse.Namespace) -> ConversionOptions:
    """Turns the words of `convert` into options."""
    from servable.convert import ConversionOptions
    from servable.targets.catalog import CURRENT

    default = arguments.default_signature
    return ConversionOptions(
        signatures=read_requests(arguments),
        frozen=arguments.set or {},
        source=read_source_options(arguments),
        inputs=None if arguments.inputs is None else Path(arguments.inputs),
        default_signature=None if default == "none" else default,
        make_baseline=arguments.make_baseline,
        target=read_target(arguments) or CURRENT,
    )


def read_policy(arguments: argparse.Namespace) -> CheckPolicy:
    """Reads the policy file, or takes the default policy; a target that was typed stands above the file's.

    Raises:
        SettingsError: The file cannot be read, is not JSON, or holds keys that are not known.
    """
    from servable.checks.policy import CheckPolicy

    policy = (
        CheckPolicy() if arguments.policy is None else CheckPolicy.from_dict(_read_policy_file(arguments))
    )
    target = read_target(arguments)
    return policy if target is None else dataclasses.replace(policy, target=target)


def _read_policy_file(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        settings = json.loads(Path(arguments.policy).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            "The policy file cannot be read.",
            expected="a JSON object",
            received=str(error),
            where=str(arguments.policy),
            advice="check the path, and that the file is JSON",
        ) from error
    if not isinstance(settings, dict):
        raise SettingsError(
            "The policy file holds no object.",
            expected="{...}",
            received=type(settings).__name__,
            where=str(arguments.policy),
            advice="begin it with { and end it with }",
        )
    return settings


def _split_pair(option: str, text: str) -> tuple[str, str]:
    """Keys hold no "=", tensors may not either; a bare KEY stands for a tensor of the same name."""
    key, separator, tensor = text.partition("=")
    if not key or (separator and not tensor):
        raise UsageError(f"--{option} wants KEY=TENSOR.", expected="KEY=TENSOR", received=text)
    return key, tensor or key
