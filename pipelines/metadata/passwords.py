"""Keeps passwords out of the log, where TFX writes the whole configuration of its connection.

What passes through: a password comes in once; from then on, the log records of this process lose it on their
way out. Only the standard library here.
"""

from __future__ import annotations

import logging
import re
from typing import Final

_STARS: Final = "***"
# A field as protocol buffers write it as text.
_FIELD: Final = re.compile(r"""(password: )("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


class _PasswordFilter(logging.Filter):
    """Puts stars in place of passwords."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = _FIELD.sub(rf'\1"{_STARS}"', message)
        for password in self.passwords:
            clean = clean.replace(password, _STARS)
        if clean != message:
            record.msg, record.args = clean, ()
        return True


_FILTER: Final = _PasswordFilter()


def keep_out_of_logs(password: str) -> None:
    """Takes a password out of what absl, which TFX and ML Metadata log with, writes from now on.

    Args:
        password: "" changes nothing.
    """
    if password:
        _FILTER.passwords.add(password)
        # A filter of a logger sees what is logged with that very logger, before any handler does.
        logging.getLogger("absl").addFilter(_FILTER)
