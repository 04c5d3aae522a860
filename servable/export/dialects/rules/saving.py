"""ROOM 2: what TensorFlow 2 puts into its save function, which servers load with the rest and never run."""

from __future__ import annotations

from servable.export.dialects.site import Site


def drop_copy_on_read(site: Site) -> list[str] | None:
    """Puts a NoOp where a variable's mode of reading is set, which is about speed and not about values."""
    return [site.add("NoOp", [])]
