"""ROOM 2: texts."""

from __future__ import annotations

import string

from servable.export.dialects.site import Site


def replace_case(site: Site) -> list[str] | None:
    """Says StringLower and StringUpper of ASCII letters as one replacement for each letter."""
    if site.read("encoding").s:
        return None  # of all letters of Unicode
    letters = zip(string.ascii_uppercase, string.ascii_lowercase, strict=True)
    text = site.inputs[0]
    for upper, lower in letters:
        pattern, rewrite = (upper, lower) if site.node.op == "StringLower" else (lower, upper)
        text = site.add("StaticRegexReplace", [text], pattern=pattern, rewrite=rewrite, replace_global=True)
    return [text]
