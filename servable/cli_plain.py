"""The front door's caution: text that a model's maker chose, made harmless to a terminal.

What passes through: names, messages and paths come in; text goes out in which nothing acts on the terminal
and nothing is markup. A name could otherwise forge the lines that this program writes, down to the command
that it recommends.
"""

from __future__ import annotations

from rich.markup import escape

from servable.plain_text import make_plain

__all__ = ["make_plain", "show_lines", "show_name"]


def show_name(text: str) -> str:
    """Makes a text fit for `rich`: nothing in it acts on the terminal, and nothing is markup."""
    return escape(make_plain(text))


def show_lines(text: str) -> str:
    """Likewise, for a text of several lines."""
    return escape(make_plain(text, keep_lines=True))
