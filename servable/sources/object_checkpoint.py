"""ROOM 1: a TF2 object checkpoint becomes a `TrainedModel`."""

from __future__ import annotations

from servable.errors import UnknownSourceError
from servable.model import Progress, TrainedModel
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source


def open_object_checkpoint(
    source: Source, options: SourceOptions, *, progress: Progress | None = None
) -> TrainedModel:
    """Opens it."""
    raise UnknownSourceError("This is a known format, but not one that is converted.", where=str(source.path))
