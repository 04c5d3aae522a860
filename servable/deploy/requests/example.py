"""What a request is, and which platforms take one.

What passes through: plain values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Platform(StrEnum):
    """Who serves the model, and how it is asked."""

    EAS = "eas"
    TF_SERVING_REST = "tf-serving-rest"
    TF_SERVING_GRPC = "tf-serving-grpc"
    KSERVE = "kserve"


# Of classify and regress, where nobody has given any.
EXAMPLES_REMARK: Final = "Clients send tf.Examples; which features they need is said in the graph only."


@dataclass(frozen=True, slots=True)
class RequestExample:
    """One request.

    Attributes:
        signature: Whose.
        platform: For whom.
        command: What to type, or a program in Python; "" when the platform has no such request.
        language: "shell" or "python"; of `command`.
        body: What the platform receives, to the byte: JSON, or a message in binary form.
        notes: What is worth knowing, or why there is no request.
    """

    signature: str
    platform: Platform
    command: str
    language: str
    body: bytes
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes.

    Attributes:
        platform: For whom it is.
        model_name: What the platform calls the model.
        url: Of the server, or of the very call; "" for the platform's usual one.
        body_path: A file that has the body; "" when the command has it itself.
    """

    platform: Platform
    model_name: str
    url: str = ""
    body_path: str = ""


class NoRequestError(Exception):
    """The platform has no form for such a request; says why."""
