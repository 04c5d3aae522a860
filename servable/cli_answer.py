"""The front door's answer to programs: exit codes, and JSON on standard output.

What passes through: plain JSON values come in. Nothing that takes time to import is needed here.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from servable.errors import ServableError

EXIT_DONE: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_COULD_NOT: Final = 2
EXIT_NOT_A_MODEL: Final = 3
EXIT_USAGE: Final = 4


def print_json(data: Any) -> None:
    """Prints plain JSON values with sorted keys."""
    sys.stdout.write(json.dumps(data, indent=2, sort_keys=True) + "\n")


def error_as_json(error: ServableError) -> dict[str, Any]:
    """Gives an error as plain JSON values."""
    return {
        "error": type(error).__name__,
        "problem": error.problem,
        "expected": error.expected,
        "received": error.received,
        "where": error.where,
        "next": error.advice,
    }
