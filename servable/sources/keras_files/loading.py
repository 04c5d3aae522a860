"""ROOM 1: from a Keras file that passed the gate to a live model, by whichever Keras can.

What passes through: what the file says, the user's code and the replaced layers come in; a built model goes
out, or one error that says what neither Keras could do.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from servable.errors import BrokenSourceError, ServableError
from servable.report import Finding, Severity
from servable.sources.keras_files.calling import CHECK_NAME
from servable.sources.keras_files.config import ARCHIVE_KIND, HDF5_KIND, KerasConfig, Loader
from servable.sources.keras_files.eras import speak_keras
from servable.sources.keras_files.gate import check_config
from servable.sources.keras_files.old_masks import note_masked_states, restore_attention
from servable.sources.keras_files.repairs import repair_config
from servable.sources.keras_files.replacing import (
    FLAG,
    list_replacing_files,
    load_replacements,
    make_replaced_class,
)
from servable.sources.keras_files.staging import stage_edited
from servable.sources.keras_files.unknowns import find_aliases, find_operations, list_unknown_names
from servable.sources.options import SourceOptions
from servable.sources.user_code.custom_objects import FLAG as CUSTOM_OBJECTS_FLAG
from servable.sources.user_code.custom_objects import load_custom_objects
from servable.sources.user_code.running import note_user_code


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A live Keras model, the Keras it belongs to, and what was seen on the way."""

    model: Any
    loader: Loader
    notes: tuple[Finding, ...]


class LoadFailure(Exception):  # noqa: N818 - never leaves this room
    """One Keras could not build a model; the other may."""

    def __init__(self, error: Exception, keras: ModuleType, custom_names: frozenset[str]) -> None:
        super().__init__(str(error))
        self.error = error
        self.keras = keras
        self.custom_names = custom_names


def load_keras_file(config: KerasConfig, options: SourceOptions) -> LoadedModel:
    """Builds the model of a whole-model file with its weights.

    Args:
        config: What the file says, with the user's layers put in.
        options: What the user says about it.

    Raises:
        BrokenSourceError: Neither Keras can build it.
        UnsafeSourceError: It names code that is neither Keras' nor the user's.
        SettingsError: A file of the user's cannot be used.
    """

    def load(keras: ModuleType, objects: Mapping[str, Any], loader: Loader) -> Any:
        if loader is Loader.KERAS and config.kind == HDF5_KIND:
            objects = {**find_operations(config.model, keras), **objects}
        with _stage(config, loader) as path, _read_weights_from_disk(loader):
            return keras.models.load_model(path, custom_objects=objects, compile=False, safe_mode=True)

    return try_loaders(config, lambda loader: build_with(config, loader, options, load))


def try_loaders(config: KerasConfig, build: Callable[[Loader], LoadedModel]) -> LoadedModel:
    """Lets the Keras of the file's era build, and the other one where it cannot.

    Args:
        config: What the file says.
        build: Raises `LoadFailure` where a Keras cannot.

    Raises:
        BrokenSourceError: Neither can.
    """
    try:
        return build(config.loader)
    except LoadFailure as failure:
        first = failure
    try:
        loaded = build(config.loader.other)
    except LoadFailure:
        raise describe_failure(config, first) from first.error
    note = Finding(
        CHECK_NAME,
        Severity.WARNING,
        f"{config.loader} could not load this file ({describe_error(first.error)}); {loaded.loader} did.",
        where=str(config.path),
        advice="compare the outputs with those of the model where it was trained",
    )
    return LoadedModel(loaded.model, loaded.loader, (note, *loaded.notes))


def build_with(
    config: KerasConfig,
    loader: Loader,
    options: SourceOptions,
    build: Callable[[ModuleType, Mapping[str, Any], Loader], Any],
) -> LoadedModel:
    """Builds with one Keras, the user's code loaded for it and the configuration looked at once more.

    Args:
        config: What the file says.
        loader: Which Keras.
        options: Names the user's files.
        build: Takes the Keras, the custom objects and the loader; gives the model.

    Raises:
        LoadFailure: Keras could not.
        UnsafeSourceError: The configuration names code that is neither Keras' nor the user's.
        SettingsError: A file of the user's cannot be used.
    """
    with speak_keras(loader) as keras:
        objects = _gather_objects(config, keras, options)
        check_config(config.model, where=str(config.path), custom_names=objects.keys())
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                model = build(keras, objects, loader)
            except ServableError:
                raise
            # Keras raises whatever its layers raise.
            except Exception as error:
                raise LoadFailure(error, keras, frozenset(objects)) from error
    masks = [*note_masked_states(config), *restore_attention(model, keras, config)]
    return LoadedModel(model, loader, (*masks, *_note_warnings(seen, config)))


def note_files_run(options: SourceOptions) -> list[Finding]:
    """Notes the user's files that `build_with` ran."""
    own = (
        []
        if options.custom_objects is None
        else [note_user_code(options.custom_objects, CUSTOM_OBJECTS_FLAG)]
    )
    return own + [note_user_code(path, FLAG) for path in list_replacing_files(options.replace_layers)]


def describe_error(error: Exception, limit: int = 1000) -> str:
    """Shortens what a framework says: Keras repeats the whole configuration in its messages."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= limit else f"{text[:limit]} ..."


def _gather_objects(config: KerasConfig, keras: ModuleType, options: SourceOptions) -> dict[str, Any]:
    objects = {} if options.custom_objects is None else load_custom_objects(options.custom_objects, keras)
    if config.has_replaced_layers:
        objects |= make_replaced_class(keras, load_replacements(options.replace_layers))
    return objects | find_aliases(config.model, objects)


@contextmanager
def _stage(config: KerasConfig, loader: Loader) -> Iterator[Path]:
    suffix = ".keras" if config.kind == ARCHIVE_KIND else ".h5"
    with tempfile.TemporaryDirectory(prefix="servable-") as folder:
        # Both loaders go by the suffix, and tf_keras opens archives for writing.
        staged_path = Path(folder, f"model{suffix}")
        model = repair_config(config, loader)
        if config.has_replaced_layers or model is not config.model:
            stage_edited(config, model, staged_path)
        elif config.kind == ARCHIVE_KIND and loader is Loader.TF_KERAS:
            shutil.copyfile(config.path, staged_path)
        else:
            staged_path.symlink_to(config.path.resolve())
        yield staged_path


@contextmanager
def _read_weights_from_disk(loader: Loader) -> Iterator[None]:
    """Has Keras 3 unpack an archive's weights beside the staged file, and not into memory a second time.

    It asks a function of its own whether there is memory for that; a release without it reads as it likes.
    """
    name = "is_memory_sufficient"
    library = sys.modules.get("keras.src.saving.saving_lib") if loader is Loader.KERAS else None
    asked = getattr(library, name, None)
    if asked is None:
        yield
        return
    setattr(library, name, lambda model: False)
    try:
        yield
    finally:
        setattr(library, name, asked)


def _note_warnings(seen: list[warnings.WarningMessage], config: KerasConfig) -> list[Finding]:
    texts = dict.fromkeys(
        " ".join(str(item.message).split()) for item in seen if issubclass(item.category, UserWarning)
    )
    return [Finding(CHECK_NAME, Severity.INFO, f"Keras warned: {text}", str(config.path)) for text in texts]


def describe_failure(config: KerasConfig, failure: LoadFailure) -> BrokenSourceError:
    """Makes the error that names everything the model needs and nobody defines, or what Keras said."""
    known = set(failure.custom_names)
    if config.loader is Loader.KERAS and config.kind == HDF5_KIND:
        known |= find_operations(config.model, failure.keras).keys()
    unknown = list_unknown_names(config.model, failure.keras, known)
    received = describe_error(failure.error)
    if config.loader is Loader.TF_KERAS:
        other = "a SavedModel, which model.save('FOLDER') writes in TensorFlow 2"
    else:
        other = "model.export('FOLDER')" if config.kind == ARCHIVE_KIND else "model.save('model.keras')"
    if unknown:
        return BrokenSourceError(
            f"Neither {config.loader} nor the custom objects define what this model needs: "
            f"{', '.join(unknown)}.",
            expected="classes and functions of Keras, or of the file given with --custom-objects",
            received=received,
            where=str(config.path),
            advice="put their code into FILE.py with CUSTOM_OBJECTS = {name: object} and pass "
            "--custom-objects FILE.py",
        )
    return BrokenSourceError(
        f"{config.loader} cannot load this model, and the other Keras cannot either.",
        expected=f"a whole model as Keras {config.version or 'of its time'} writes it",
        received=received,
        where=str(config.path),
        advice=f"open the file with the Keras version that wrote it and save it in another form: {other}",
    )
