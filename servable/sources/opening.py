"""ROOM 1: the room's only door. Which format is it, then the right reader.

What passes through: a path and the user's options come in, a `TrainedModel` goes out.

Example:
    >>> model = open_source(Path("train/model.ckpt-200"))           # doctest: +SKIP
    >>> model.origin.framework_version                              # doctest: +SKIP
    '1.15.5'
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from servable.errors import UsageError
from servable.formats.digest_beside import PendingDigest
from servable.model import Progress, TrainedModel
from servable.sources.detect import Kind
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, resolve_source

_WEIGHTS_ALONE = frozenset({Kind.TF1_SAVER, Kind.TF2_OBJECTS, Kind.KERAS_HDF5_WEIGHTS})
_KERAS_LAYERS = frozenset({Kind.TF2_OBJECTS, Kind.KERAS_HDF5, Kind.KERAS_HDF5_WEIGHTS, Kind.KERAS_ARCHIVE})


def open_source(
    path: Path, options: SourceOptions | None = None, *, progress: Progress | None = None
) -> TrainedModel:
    """Opens a trained model, whatever its format.

    Args:
        path: A model file, a checkpoint in any spelling, or a folder that holds one.
        options: What the user says about it.
        progress: Told of long reads.

    Returns:
        The model; nothing of it has been run, and of a checkpoint only the graph has been read. Its files are
        still being read for their digest: `TrainedModel.complete_origin` waits for that.

    Raises:
        UnknownSourceError: It is no model file that is known, or one that needs more than was said.
        BrokenSourceError: It is damaged or incomplete.
        UnsafeSourceError: Loading it would run code or touch files outside it.
        SettingsError: A file of the user's is wrong, or an option does not go with this format.
    """
    chosen = options or SourceOptions()
    source = resolve_source(path, step=chosen.step)
    if chosen.ema and source.kind is not Kind.TF1_SAVER:
        raise UsageError(
            "Moving averages are looked for in a checkpoint of tf.train.Saver only.",
            expected="a source of kind " + Kind.TF1_SAVER,
            received=f"a source of kind {source.kind}",
            where=str(source.path),
            advice="leave --ema out",
        )
    _check_options(source, chosen)
    digest = PendingDigest(source.files, root=source.root)
    try:
        model = _open(source, chosen, progress)
    except BaseException:
        digest.stop()
        raise
    if model.origin.files != source.files:  # what looked like a SavedModel's folder is a graph alone
        digest.stop()
        digest = PendingDigest(model.origin.files, root=model.origin.path.parent)
    return replace(model, read_digest=digest.read)


def _open(source: Source, chosen: SourceOptions, progress: Progress | None) -> TrainedModel:
    # Each reader is imported only when it is needed: some reach Keras, whose import costs seconds.
    match source.kind:
        case Kind.TF1_SAVER:
            from servable.sources.saver_checkpoints.opening import open_saver_checkpoint

            return open_saver_checkpoint(source, chosen)
        case Kind.TF2_OBJECTS:
            from servable.sources.live_models.object_checkpoint import open_object_checkpoint

            return open_object_checkpoint(source, chosen, progress=progress)
        case Kind.SAVED_MODEL:
            from servable.sources.saved_models.opening import open_saved_model

            return open_saved_model(source, chosen)
        case Kind.FROZEN_GRAPH:
            from servable.sources.saved_models.frozen_graph import open_frozen_graph

            return open_frozen_graph(source, chosen)
        case _:
            from servable.sources.live_models.keras_opening import open_keras

            return open_keras(source, chosen, progress=progress)


def _check_options(source: Source, options: SourceOptions) -> None:
    """Refuses options that would be passed over: who names a file means it to be used."""
    uses = {
        "--module": (options.module, _WEIGHTS_ALONE),
        "--architecture": (options.architecture, _WEIGHTS_ALONE),
        "--custom-objects": (options.custom_objects, _KERAS_LAYERS),
        "--replace-layer": (options.replace_layers, _KERAS_LAYERS),
    }
    for flag, (given, kinds) in uses.items():
        if given and source.kind not in kinds:
            raise UsageError(
                f"{flag} is of no use for this source.",
                expected="a source of kind " + ", ".join(sorted(kinds)),
                received=f"a source of kind {source.kind}",
                where=str(source.path),
                advice=f"leave {flag} out",
            )
