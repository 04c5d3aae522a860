"""What a message asks for, of whatever protocol: which model, which version, which signature.

What passes through: a ModelSpec comes in, a `ModelChoice` goes out, and the other way round.
"""

from __future__ import annotations

from typing import Any

from servable.serving.served_model import ModelChoice
from servable.serving.statuses import refuse_argument


def read_spec(spec: Any) -> ModelChoice:
    """Reads a ModelSpec.

    Raises:
        StatusError: It names no model.
    """
    if not spec.name:
        raise refuse_argument("ModelSpec has no name specified.")
    version = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
    return ModelChoice(spec.name, version, spec.version_label)


def fill_spec(spec: Any, name: str, number: int, *, signature_name: str = "") -> None:
    """Says who has answered."""
    spec.name = name
    spec.version.value = number
    spec.signature_name = signature_name
