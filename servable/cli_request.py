"""The front door's command about clients: `servable request MODEL --platform NAME`.

What passes through: words of a command line come in; commands, programs or JSON go out, and the exact bytes
of a request into a file. Nothing is run and nothing is sent. No TensorFlow here.
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from servable.cli_answer import EXIT_DONE, EXIT_FINDINGS, print_json
from servable.cli_options import read_path_here
from servable.errors import SettingsError, SignatureError, UnknownSourceError, UsageError

if TYPE_CHECKING:
    from servable.deploy.requests.example import RequestExample
    from servable.deploy.requests.inputs import RequestValues
    from servable.signature import Signature

_PLATFORMS: Final = ("eas", "tf-serving-rest", "tf-serving-grpc", "kserve")


def add_request_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `request` to the front door's commands, and gives its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "request",
        help="write a client's call for each signature, with real values, for the platform that serves",
        description="Writes a call that can be run for each signature of a SavedModel: curl or a program in "
        "Python. Exit codes: 0 done, 1 a signature has no request on this platform, 2 could not.",
    )
    parser.add_argument(
        "model", help="folder with saved_model.pb, or with versions in it; here or at gs://..."
    )
    parser.add_argument("--platform", choices=_PLATFORMS, required=True, help="who serves the model")
    parser.add_argument("--signature", metavar="NAME", help="one only (default: all)")
    parser.add_argument(
        "--baseline",
        type=read_path_here,
        metavar="FILE",
        help="of a conversion (--baseline-out): its inputs are sent (default: made-up values)",
    )
    parser.add_argument("--rows", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument(
        "--name", metavar="NAME", help="what the platform calls the model (default: that of its folder)"
    )
    parser.add_argument("--url", default="", metavar="URL", help="of the server (default: the usual one)")
    parser.add_argument(
        "--out",
        type=read_path_here,
        metavar="FILE",
        help="write the exact bytes of the request; the call sends them",
    )
    parser.set_defaults(run=run_request)
    return parser


def run_request(arguments: argparse.Namespace) -> int:
    """Writes the requests.

    Raises:
        SourceError: There is no whole SavedModel.
        SettingsError: The baseline cannot be read, or has other inputs.
        SignatureError: There is no signature of that name.
    """
    from servable.baseline import load_baseline
    from servable.cli_remote import open_source_place
    from servable.deploy.requests.inputs import choose_values, read_served_signatures
    from servable.formats.remote import is_remote

    if arguments.rows < 1:
        raise UsageError("There is no request without rows.", expected="--rows 1 or more")
    baseline = load_baseline(arguments.baseline) if arguments.baseline is not None else None
    with open_source_place(arguments, arguments.model, with_values=False) as source:
        saved_model_dir, name = _find_newest(source.path)
        signatures = read_served_signatures(saved_model_dir)
    if is_remote(arguments.model):
        name = _name_address(arguments.model)
    chosen = _choose(signatures, arguments)
    examples = []
    for signature in chosen:
        values: RequestValues | str
        try:
            values = choose_values(signature, signatures, baseline=baseline, rows=arguments.rows)
        except SettingsError as error:
            if len(chosen) == 1:
                raise
            values = " ".join(str(error).split())
        examples.append(_write_example(arguments, signature, values, arguments.name or name))
    if arguments.out is not None and examples[0].body:
        arguments.out.write_bytes(examples[0].body)
    if arguments.json:
        print_json([_example_as_json(example) for example in examples])
    else:
        _write_examples(examples, arguments.out)
    return EXIT_DONE if all(example.command for example in examples) else EXIT_FINDINGS


def _write_example(
    arguments: argparse.Namespace, signature: Signature, values: RequestValues | str, name: str
) -> RequestExample:
    from servable.deploy.requests.example import Destination, Platform, RequestExample
    from servable.deploy.requests.writing import write_request

    platform = Platform(arguments.platform)
    if isinstance(values, str):
        return RequestExample(signature.name, platform, "", "", b"", (values,))
    out = "" if arguments.out is None else str(arguments.out)
    return write_request(signature, values, Destination(platform, name, arguments.url, out))


def _find_newest(folder: Path) -> tuple[Path, str]:
    """Gives the version that a server would take, and the model's name."""
    from servable.serving.folders import find_place

    place = find_place(folder)
    versions = place.find_versions()
    if not versions:
        raise UnknownSourceError(
            "There is no SavedModel here.",
            expected="saved_model.pb, or folders such as 1 and 2 that have one",
            where=str(folder),
        )
    return versions[max(versions)].folder, place.name


def _name_address(address: str) -> str:
    *_, parent, last = address.rstrip("/").split("/")
    return parent if last.isdecimal() and parent else last


def _choose(signatures: dict[str, Signature], arguments: argparse.Namespace) -> list[Signature]:
    name = arguments.signature
    if name is not None and name not in signatures:
        raise SignatureError(
            "The model has no signature of that name.",
            expected=", ".join(signatures) or "none: it has no signature at all",
            received=name,
            where=arguments.model,
        )
    chosen = list(signatures.values()) if name is None else [signatures[name]]
    if not chosen:
        raise SignatureError(
            "The model has no signature, so that no client can ask it.", where=arguments.model
        )
    if arguments.out is not None and len(chosen) > 1:
        raise UsageError(
            "One file holds one request.",
            expected="--signature NAME beside --out",
            received=f"signatures {', '.join(signatures)}",
        )
    return chosen


def _example_as_json(example: RequestExample) -> dict[str, Any]:
    return {
        "signature": example.signature,
        "platform": example.platform.value,
        "command": example.command,
        "language": example.language,
        "body_base64": base64.b64encode(example.body).decode(),
        "notes": list(example.notes),
    }


def _write_examples(examples: list[RequestExample], out: Path | None) -> None:
    """Writes what can be piped into a shell or into Python as it stands: all but the calls are comments."""
    from servable.plain_text import make_plain

    parts = []
    for example in examples:
        lines = [f"# Signature {make_plain(example.signature)}, {example.platform}"]
        lines += [f"# {make_plain(note)}" for text in example.notes for note in text.splitlines()]
        if out is not None and example.body:
            lines.append(f"# {len(example.body):,} bytes are in {make_plain(str(out))}")
        parts.append("\n".join([*lines, example.command] if example.command else lines))
    sys.stdout.write("\n\n".join(parts) + "\n")
