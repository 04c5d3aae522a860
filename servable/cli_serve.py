"""The front door's command that stays: `servable serve DIR`, until it is interrupted.

What passes through: words of a command line come in; clients are served, and whatever happens to versions is
told.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import quote

from servable.cli_answer import EXIT_COULD_NOT, EXIT_DONE
from servable.errors import SettingsError, UsageError
from servable.plain_text import make_plain

_MAX_PROCESSES: Final = 4
_WAIT_S: Final = 0.5


def add_serve_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `serve` to the front door's commands, and gives its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="try a model: answer as TensorFlow Serving (REST, gRPC) and PAI-EAS do, on this machine",
        description="Serves a SavedModel from TensorFlow's C++ runtime, and takes up new versions as they "
        "come. For trying clients and models, not for production. Interrupt it to end it.",
    )
    parser.add_argument("folder", metavar="DIR", help="one version, or a folder of versions 1, 2, ...")
    parser.add_argument("--name", metavar="NAME", help="what clients call the model (default: its folder)")
    parser.add_argument(
        "--port", type=int, default=8501, metavar="N", help="of HTTP; 0 for any (default: 8501)"
    )
    parser.add_argument(
        "--grpc-port", type=int, default=8500, metavar="N", help="of gRPC; 0 for any (default: 8500)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, for this machine only)",
    )
    parser.add_argument(
        "--runtime",
        default="current",
        metavar="VERSION",
        help="another TensorFlow's runtime, such as 2.7 (servable runtimes lists those installed)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=min(_MAX_PROCESSES, os.cpu_count() or 1),
        metavar="N",
        help="how many requests are answered at once; each has the model in memory (default: %(default)s)",
    )
    parser.add_argument(
        "--poll-s", type=float, default=1.0, metavar="S", help="time between two looks for a new version"
    )
    parser.add_argument(
        "--max-request-mb",
        type=int,
        default=256,
        metavar="MB",
        help="a larger request is refused (default: 256)",
    )
    parser.set_defaults(run=run_serve)
    return parser


def run_serve(arguments: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM comes.

    Raises:
        UnknownSourceError: There is no such folder.
        SettingsError: A port is taken, what serving needs is not installed, or a number is out of its range.
        CheckError: The runtime is not installed.
    """
    ended = _note_signals()
    _check_numbers(arguments)
    _check_packages()
    from servable.formats.remote import is_remote
    from servable.runtime.installed import find_runtime
    from servable.runtime.outcome import Limits
    from servable.serving.folders import find_place
    from servable.serving.loaded import RuntimeChoice
    from servable.serving.server import ServingOptions, open_server

    tell = partial(_tell, sys.stderr if arguments.json else sys.stdout)
    if is_remote(arguments.folder):
        raise UsageError(
            "A server looks into folders of this machine only.",
            expected="a folder here",
            received=arguments.folder,
            advice="copy the version here first, saved_model.pb last",
        )
    place = find_place(Path(arguments.folder))
    library = None if arguments.runtime == "current" else find_runtime(arguments.runtime).library
    options = ServingOptions(
        arguments.name or place.name,
        host=arguments.host,
        port=arguments.port,
        grpc_port=arguments.grpc_port,
        poll_s=arguments.poll_s,
        request_bytes=arguments.max_request_mb << 20,
    )
    _check_name(options.name)
    tell("For trying models, not for production: no authentication, no encryption, no batching, no metrics.")
    if not _is_loopback(arguments.host):
        tell(f"warning: whoever reaches {arguments.host} can ask this model, with no password asked for.")
    runtime = RuntimeChoice(library, arguments.processes, Limits())
    with open_server(place, options, runtime=runtime, tell=tell) as server:
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        addresses = {
            "rest": f"http://{host}:{server.port}/v1/models/{quote(options.name)}",
            "grpc": f"{host}:{server.grpc_port}",
            "eas": f"http://{host}:{server.port}/api/predict/{quote(options.name)}",
        }
        if arguments.json:
            # One line, now: whoever started this waits for it.
            sys.stdout.write(json.dumps({"name": options.name, **addresses}) + "\n")
            sys.stdout.flush()
        else:
            for title, key in (("REST", "rest"), ("gRPC", "grpc"), ("EAS ", "eas")):
                tell(f"{title}  {addresses[key]}")
            tell("ready")
        while not ended.wait(_WAIT_S):
            if server.failed.is_set():
                tell("HTTP has ended by itself")
                return EXIT_COULD_NOT
        tell("ending; what is being answered is answered")
    return EXIT_DONE


def _note_signals() -> threading.Event:
    """Takes signals from the start on, so that one that comes while a model loads ends the server too."""
    ended = threading.Event()

    def note(_number: int, _frame: object) -> None:
        if ended.is_set():
            raise KeyboardInterrupt  # a second one does not wait
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return ended


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name, lowest, highest in (
        ("port", 0, 65535),
        ("grpc_port", 0, 65535),
        ("processes", 1, 256),
        ("poll_s", 0.01, 86400),
        ("max_request_mb", 1, 2047),
    ):
        value = getattr(arguments, name)
        if not lowest <= value <= highest:
            raise UsageError(
                f"--{name.replace('_', '-')} is out of its range.",
                expected=f"{lowest} to {highest}",
                received=str(value),
            )


def _check_name(name: str) -> None:
    if "/" in name or ":" in name:
        raise UsageError(
            "No client could write this name into an address.",
            expected="a name without / and :",
            received=name,
            advice="give another with --name",
        )


def _check_packages() -> None:
    try:
        import grpc  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            "What serving needs is not installed.",
            expected="grpcio, starlette and uvicorn",
            received=f"no package {error.name}",
            advice="pip install 'tfx-servable[serve]'",
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tell(stream: TextIO, sentence: str) -> None:
    stream.write(make_plain(sentence) + "\n")
    stream.flush()
