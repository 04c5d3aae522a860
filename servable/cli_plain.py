"""The front door's caution: text that a model's maker chose, made harmless to a terminal.

What passes through: names, messages and paths come in; text without control characters goes out. A name could
otherwise recolour the screen, set the window's title, run backwards, or forge the lines that this program
writes, down to the command that it recommends.
"""

from __future__ import annotations

import unicodedata

from rich.markup import escape

# Control characters (C0, C1), those that reorder or hide text, halves of a pair, ends of lines.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def make_plain(text: str, *, keep_lines: bool = False) -> str:
    """Writes characters that act on a terminal as escapes, such as that of "escape".

    Args:
        text: Of any origin.
        keep_lines: Whether line feeds stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape_character(sign)
        if unicodedata.category(sign) in _HARMFUL and not (keep_lines and sign == "\n")
        else sign
        for sign in text
    )


def show_name(text: str) -> str:
    """Makes a text fit for `rich`: nothing in it acts on the terminal, and nothing is markup."""
    return escape(make_plain(text))


def show_lines(text: str) -> str:
    """Likewise, for a text of several lines."""
    return escape(make_plain(text, keep_lines=True))


def _escape_character(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
