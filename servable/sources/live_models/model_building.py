"""ROOM 1: the model that the user names for weights that came alone.

What passes through: `--architecture` or `--module` comes in; models go out, their weights as they are when
new, built by one Keras after the other until the caller has one that fits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from servable.errors import ServableError, SettingsError
from servable.sources.keras_files.architecture import build_architecture, note_architecture, read_architecture
from servable.sources.keras_files.config import Loader
from servable.sources.keras_files.loading import LoadFailure, describe_failure
from servable.sources.live_models.module_building import BuiltModel, build_from_module
from servable.sources.options import SourceOptions


def build_candidates(options: SourceOptions, preferred: Loader) -> Iterator[BuiltModel | ServableError]:
    """Builds what the user names with one Keras after the other, until the caller has what fits.

    Args:
        options: Names the structure or the code.
        preferred: The Keras that `tf.keras` means in the user's code at first.

    Yields:
        A new model, or why one Keras could not build it.

    Raises:
        SettingsError: Both are named, or a file of the user's cannot be used.
        SourceError: The structure is unknown, broken or unsafe.
    """
    _check_options(options)
    if options.module is not None:
        yield from _build_from_module(options.module, preferred)
    if options.architecture is not None:
        config = read_architecture(options.architecture, options)
        for loader in (config.loader, config.loader.other):
            try:
                loaded = build_architecture(config, loader, options)
            except LoadFailure as failure:
                yield describe_failure(config, failure)
                continue
            notes = (note_architecture(options.architecture), *loaded.notes)
            yield BuiltModel(loaded.model, loaded.loader, None, {}, notes)


def _check_options(options: SourceOptions) -> None:
    given = {
        "--architecture": options.architecture,
        "--custom-objects": options.custom_objects,
        "--replace-layer": options.replace_layers,
    }
    beside = [flag for flag, value in given.items() if value]
    if options.module is not None and beside:
        raise SettingsError(
            "Both code that builds the model and parts of a model are named.",
            expected=f"--module {options.module} alone, or the others without it",
            received=f"--module and {', '.join(beside)}",
            advice="let build_model() do all that the model needs, or name its structure with --architecture",
        )


def _build_from_module(path: Path, preferred: Loader) -> Iterator[BuiltModel]:
    first = build_from_module(path, preferred)
    yield first
    if first.loader is preferred:
        # The first one says more when the same code fails with the other Keras.
        with contextlib.suppress(SettingsError):
            second = build_from_module(path, preferred.other)
            # Code that names its Keras in so many words builds the same model twice.
            if second.loader is preferred.other:
                yield second
