"""ROOM 1: the room's only door. Which format is it, then the right reader.

What passes through: a path and the user's options come in, a `TrainedModel` goes out.

Example:
    >>> model = open_source(Path("train/model.ckpt-200"))           # doctest: +SKIP
    >>> model.origin.framework_version                              # doctest: +SKIP
    '1.15.5'
"""

from __future__ import annotations

from pathlib import Path

from servable.model import Progress, TrainedModel
from servable.sources.detect import Kind
from servable.sources.options import SourceOptions
from servable.sources.resolving import resolve_source


def open_source(
    path: Path, options: SourceOptions | None = None, *, progress: Progress | None = None
) -> TrainedModel:
    """Opens a trained model, whatever its format.

    Args:
        path: A model file, a checkpoint in any spelling, or a folder that holds one.
        options: What the user says about it.
        progress: Told of long reads.

    Returns:
        The model; nothing of it has been run, and of a checkpoint only the graph has been read.

    Raises:
        UnknownSourceError: It is no model file that is known, or one that needs more than was said.
        BrokenSourceError: It is damaged or incomplete.
        UnsafeSourceError: Loading it would run code or touch files outside it.
        SettingsError: The file of custom objects is wrong.
    """
    chosen = options or SourceOptions()
    source = resolve_source(path, step=chosen.step)
    # Each reader is imported only when it is needed: some reach Keras, whose import costs seconds.
    match source.kind:
        case Kind.TF1_SAVER:
            from servable.sources.saver_checkpoint import open_saver_checkpoint

            return open_saver_checkpoint(source, chosen, progress=progress)
        case Kind.TF2_OBJECTS:
            from servable.sources.object_checkpoint import open_object_checkpoint

            return open_object_checkpoint(source, chosen, progress=progress)
        case Kind.SAVED_MODEL:
            from servable.sources.saved_model import open_saved_model

            return open_saved_model(source, chosen, progress=progress)
        case Kind.FROZEN_GRAPH:
            from servable.sources.frozen_graph import open_frozen_graph

            return open_frozen_graph(source, chosen, progress=progress)
        case _:
            from servable.sources.keras_opening import open_keras

            return open_keras(source, chosen, progress=progress)
