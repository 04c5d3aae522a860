"""The room's door: `open_server` puts a model behind HTTP and gRPC, and takes it away again.

What passes through: a place with versions comes in, a running server goes out; HTTP is uvicorn's, gRPC is
grpcio's. Requests that are being answered when the end comes are answered.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import uvicorn

from servable.errors import SettingsError
from servable.serving.folders import ModelPlace
from servable.serving.grpc_services import make_services
from servable.serving.http_app import make_http_app
from servable.serving.loaded import RuntimeChoice
from servable.serving.served_model import ServedModel

_GRPC_THREADS: Final = 16
_HTTP_BACKLOG: Final = 128
_START_LIMIT_S: Final = 30.0
_START_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How a model is served.

    Attributes:
        name: What clients call it.
        host: Address to listen at; loopback unless others shall reach it, for there is no authentication.
        port: Of HTTP; 0 for any that is free.
        grpc_port: Of gRPC; 0 for any that is free.
        poll_s: Time between two looks for a new version.
        request_bytes: A larger request is refused.
        drain_s: At the end, for what is being answered.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int = 8500
    poll_s: float = 1.0
    request_bytes: int = 256 << 20
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers.

    Attributes:
        model: Who answers.
        port: Of HTTP.
        grpc_port: Of gRPC.
        failed: Set when HTTP has ended by itself.
    """

    model: ServedModel
    port: int
    grpc_port: int
    failed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def open_server(
    place: ModelPlace, options: ServingOptions, *, runtime: RuntimeChoice, tell: Callable[[str], None]
) -> Iterator[RunningServer]:
    """Serves a model until the block ends.

    Args:
        place: Where its versions lie.
        options: Ports and limits.
        runtime: What runs it.
        tell: Gets a sentence whenever a version comes or goes, from any thread.

    Yields:
        The server. Its newest version has been loaded, or told of: a model that does not load is none that
        ends the server.

    Raises:
        SettingsError: A port is taken, or the address is none of this machine's.

    Example:
        >>> place = find_place(Path("digits"))
        >>> with open_server(place, ServingOptions("digits"), runtime=runtime, tell=print):
        ...     input("Enter ends it")
    """
    with ExitStack() as stack:
        # Ports first: loading takes longer than seeing that one is taken.
        listener = stack.enter_context(contextlib.closing(_listen(options.host, options.port)))
        model = ServedModel(place, options.name, runtime=runtime, tell=tell)
        grpc_server, grpc_port = _make_grpc_server(model, options)
        stack.callback(model.close)
        model.start(options.poll_s)
        grpc_server.start()
        stack.callback(lambda: grpc_server.stop(options.drain_s).wait())
        server = RunningServer(model, listener.getsockname()[1], grpc_port)
        _start_http(model, options, listener, stack=stack, failed=server.failed)
        yield server


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol: asyncio sends without delay (TCP_NODELAY) only where that is said to be TCP.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refuse_address(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_HTTP_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refuse_address(host, port, error) from error
    return listener


def _make_grpc_server(model: ServedModel, options: ServingOptions) -> tuple[Any, int]:
    server = grpc.server(
        ThreadPoolExecutor(_GRPC_THREADS, thread_name_prefix="grpc"),
        handlers=make_services(model, request_bytes=options.request_bytes),
        options=[
            ("grpc.max_receive_message_length", options.request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # else two servers would share a port without a word
        ],
    )
    host = f"[{options.host}]" if ":" in options.host else options.host
    try:
        return server, server.add_insecure_port(f"{host}:{options.grpc_port}")
    except RuntimeError as error:
        raise _refuse_address(options.host, options.grpc_port, error) from error


def _start_http(
    model: ServedModel,
    options: ServingOptions,
    listener: socket.socket,
    *,
    stack: ExitStack,
    failed: threading.Event,
) -> None:
    """Runs HTTP in a thread of its own; signals are the main thread's business."""
    config = uvicorn.Config(
        make_http_app(model, request_bytes=options.request_bytes),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        timeout_graceful_shutdown=int(options.drain_s) or 1,
    )
    server = uvicorn.Server(config)

    def run() -> None:
        server.run(sockets=[listener])
        failed.set()

    thread = threading.Thread(target=run, name="http", daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    stack.callback(stop)
    deadline_s = time.monotonic() + _START_LIMIT_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline_s:
        time.sleep(_START_POLL_S)


def _refuse_address(host: str, port: int, error: Exception) -> SettingsError:
    return SettingsError(
        "The server cannot listen there.",
        expected="an address of this machine, and a port that nobody else has",
        received=str(error),
        where=f"{host}:{port}",
        advice="choose another with --host, --port and --grpc-port; 0 takes any port that is free",
    )
