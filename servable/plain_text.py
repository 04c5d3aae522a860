"""Text that a model's maker chose, made harmless to whoever reads it; a word that every room may use.

What passes through: names, messages and paths come in; text without control characters goes out. A name could
otherwise recolour a terminal, set its window's title, run backwards, or forge the lines around it.
"""

from __future__ import annotations

import unicodedata

# Control characters (C0, C1), those that reorder or hide text, halves of a pair, ends of lines.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def make_plain(text: str, *, keep_lines: bool = False) -> str:
    """Writes characters that act on what shows them as escapes, such as that of "escape".

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


def _escape_character(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
