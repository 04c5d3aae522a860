"""The front door's paper: the console and the tables that its sentences and lists are printed on.

What passes through: nothing of the model; texts are made harmless by `servable.cli_plain` before they come
here.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def make_console() -> Console:
    """Makes a console on standard output that colours nothing by itself."""
    return Console(highlight=False)


def make_table(*columns: str) -> Table:
    """Makes a table without lines, whose cells are folded and never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def format_bytes(size_bytes: int) -> str:
    """Writes a size for people: "999 bytes", "1.5 MB"."""
    size, unit = float(size_bytes), "bytes"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
