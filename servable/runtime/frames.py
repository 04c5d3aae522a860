"""Frames between a parent and a process that it does not trust: sized, bounded, with deadlines.

What passes through: a frame is a length of head and body (two little-endian uint64), the head as JSON, the
body as raw bytes. Never pickle: whoever controls the other end must not get code into this one.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Sequence
from typing import Any

_SIZES = struct.Struct("<QQ")
_HEAD_BYTES = 64 << 20  # more than any honest process says beside its arrays
_CHUNK_BYTES = 1 << 20


class DeadlineExceededError(Exception):
    """The other side did not answer in time."""


class ChildEndedError(Exception):
    """The other side ended instead of answering, or speaks another language."""


class FrameChannel:
    """Both directions of a conversation.

    Args:
        read_descriptor: What to receive from; stays the caller's to close.
        write_descriptor: What to send to; may be the same.
    """

    def __init__(self, read_descriptor: int, write_descriptor: int) -> None:
        self._read_descriptor, self._write_descriptor = read_descriptor, write_descriptor
        os.set_blocking(read_descriptor, False)
        os.set_blocking(write_descriptor, False)

    def send(self, head: dict[str, Any], bodies: Sequence[bytes] = (), *, deadline_s: float) -> None:
        """Sends one frame.

        Args:
            head: JSON values.
            bodies: Written one after the other.
            deadline_s: On the clock of `time.monotonic`.

        Raises:
            DeadlineExceededError: The time is over.
            ChildEndedError: Nobody listens.
        """
        text = json.dumps(head).encode()
        self._write(_SIZES.pack(len(text), sum(map(len, bodies))) + text, deadline_s)
        for body in bodies:
            self._write(body, deadline_s)

    def receive(self, *, deadline_s: float, body_bytes: int = 0) -> tuple[dict[str, Any], memoryview]:
        """Waits for one frame.

        Args:
            deadline_s: On the clock of `time.monotonic`.
            body_bytes: A frame that announces more is not taken.

        Raises:
            DeadlineExceededError: The time is over.
            ChildEndedError: There is no further frame, or what comes is none.
        """
        head_size, body_size = _SIZES.unpack(self._read(_SIZES.size, deadline_s))
        if head_size > _HEAD_BYTES or body_size > body_bytes:
            raise ChildEndedError
        try:
            head = json.loads(bytes(self._read(head_size, deadline_s)))
        except (ValueError, RecursionError) as error:
            raise ChildEndedError from error
        if not isinstance(head, dict):
            raise ChildEndedError
        return head, self._read(body_size, deadline_s)

    def _write(self, data: bytes, deadline_s: float) -> None:
        view = memoryview(data)
        while view:
            _wait(self._write_descriptor, select.POLLOUT, deadline_s)
            try:
                view = view[os.write(self._write_descriptor, view[:_CHUNK_BYTES]) :]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise ChildEndedError from error
            except BlockingIOError:
                continue

    def _read(self, size_bytes: int, deadline_s: float) -> memoryview:
        buffer = bytearray(size_bytes)
        view = memoryview(buffer)
        while view:
            _wait(self._read_descriptor, select.POLLIN, deadline_s)
            try:
                received = os.readv(self._read_descriptor, [view[:_CHUNK_BYTES]])
            except ConnectionResetError as error:
                raise ChildEndedError from error
            if not received:
                raise ChildEndedError
            view = view[received:]
        return memoryview(buffer)


def _wait(descriptor: int, event: int, deadline_s: float) -> None:
    # Not select: it takes no descriptor above 1023, which a large pipeline process may well have.
    poll = select.poll()
    poll.register(descriptor, event)
    wait_ms = max(0.0, deadline_s - time.monotonic()) * 1000
    if not poll.poll(min(wait_ms, 2**31 - 1)):  # C int
        raise DeadlineExceededError
