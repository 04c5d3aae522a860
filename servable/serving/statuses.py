"""What a client is told when there is no answer: codes as gRPC has them, and as HTTP has them.

What passes through: faults of the runtime come in, `StatusError`s go out. These are answers, not errors of
this program: they never leave the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from servable.runtime.outcome import Fault, FaultKind


class Code(IntEnum):
    """Numbers of google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# tensorflow_serving/model_servers/http_server.cc; every other code is 500.
HTTP_STATUSES: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.OK: 200,
        Code.CANCELLED: 499,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 400,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.UNAVAILABLE: 503,
        Code.UNAUTHENTICATED: 401,
    }
)
_CODES_OF_KINDS: Final = {
    FaultKind.CRASH: Code.UNAVAILABLE,
    FaultKind.TIMEOUT: Code.DEADLINE_EXCEEDED,
    FaultKind.OUT_OF_MEMORY: Code.RESOURCE_EXHAUSTED,
}


class StatusError(Exception):
    """A request that gets no answer.

    Args:
        code: What kind of refusal it is.
        message: For the client, near TensorFlow Serving's own words.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """What HTTP has for the code."""
        return HTTP_STATUSES.get(self.code, 500)


def explain_fault(fault: Fault) -> StatusError:
    """Turns a fault of the runtime into what the client is told."""
    code = _CODES_OF_KINDS.get(fault.kind)
    if code is None:
        code = Code(fault.code) if fault.code in Code.__members__.values() else Code.UNKNOWN
    return StatusError(code, fault.message)


def refuse_argument(message: str) -> StatusError:
    """Makes the refusal of a request that is not as it should be."""
    return StatusError(Code.INVALID_ARGUMENT, message)
