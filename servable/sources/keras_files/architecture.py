"""ROOM 1: a model's structure without its weights, the file behind `--architecture`.

What passes through: JSON as `model.to_json()` writes it, the `config.json` of a `.keras` archive, or a whole
Keras file of which only the structure is wanted, comes in; a configuration that passed the gate goes out, and
from it a model whose weights are still those of its initializers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from servable.errors import BrokenSourceError, SettingsError, UnknownSourceError
from servable.report import Finding, Severity
from servable.sources.detect import Kind, detect_file
from servable.sources.keras_files.archive import MAX_JSON_BYTES
from servable.sources.keras_files.config import (
    JSON_KIND,
    KerasConfig,
    Loader,
    check_model,
    finish_config,
    read_keras_config,
)
from servable.sources.keras_files.config_json import parse_config
from servable.sources.keras_files.loading import LoadedModel, build_with
from servable.sources.keras_files.repairs import repair_config
from servable.sources.options import SourceOptions

FLAG = "--architecture"


def read_architecture(path: Path, options: SourceOptions) -> KerasConfig:
    """Reads a model's structure; nothing that it names is run or imported.

    Args:
        path: The file.
        options: What the user says about the source: replaced layers, custom objects.

    Raises:
        SettingsError: There is no such file, or a replaced layer is none of the model's.
        UnknownSourceError: It is no Keras JSON.
        BrokenSourceError: It is JSON, but describes no model.
        UnsafeSourceError: Building it would run stored code or reach outside it.
    """
    if not path.is_file():
        raise SettingsError(
            f"There is no such file for {FLAG}.",
            expected="Keras JSON",
            where=str(path),
            advice="check the path",
        )
    custom_names: frozenset[str] | None = frozenset() if options.custom_objects is None else None
    replaced = options.replace_layers.keys()
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"PK", b"\x89HDF")):
        kind = detect_file(path)
        if kind in (Kind.KERAS_HDF5, Kind.KERAS_ARCHIVE):
            return read_keras_config(path, kind.value, custom_names=custom_names, replaced_layers=replaced)
        raise _refuse_other(path, f"a file of kind {kind}")
    data = _read_json(path)
    version = data.get("keras_version", "") if isinstance(data, dict) else ""
    backend = data.get("backend", "") if isinstance(data, dict) else ""
    model = check_model(data, str(path))
    config = KerasConfig(path, JSON_KIND, str(version), str(backend), model)
    return finish_config(config, custom_names=custom_names, replaced_layers=replaced)


def build_architecture(config: KerasConfig, loader: Loader, options: SourceOptions) -> LoadedModel:
    """Builds a model from its structure with one Keras; weights are as its initializers make them.

    Raises:
        LoadFailure: This Keras cannot.
        UnsafeSourceError: The structure names code that is neither Keras' nor the user's.
        SettingsError: A file of the user's cannot be used.
    """
    model = repair_config(config, loader)
    return build_with(config, loader, options, lambda keras, objects, _: _build(keras, model, objects))


def note_architecture(path: Path) -> Finding:
    """Makes the note that says which structure the weights were put into."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Finding(
        "source", Severity.INFO, f"took the structure of {path.name} (sha256 {digest})", where=str(path)
    )


def _build(keras: ModuleType, model: dict[str, Any], objects: Mapping[str, Any]) -> Any:
    with keras.saving.custom_object_scope(dict(objects)):
        if keras.__name__ == Loader.KERAS.value and "module" not in model:
            # A structure of Keras 2: Keras 3 keeps a reader for them, behind legacy HDF5 files.
            from keras.src.legacy.saving.saving_utils import model_from_config

            return model_from_config(model)
        if keras.__name__ == Loader.KERAS.value:
            return keras.saving.deserialize_keras_object(model)
        return keras.models.model_from_config(model)


def _drop_training(entry: dict[str, Any]) -> dict[str, Any]:
    # An optimizer is of no use in serving, and deserializing one is a second way in.
    return {key: value for key, value in entry.items() if key != "compile_config"}


def _read_json(path: Path) -> Any:
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise BrokenSourceError(
            "This file is too large for a model's structure.",
            expected=f"at most {MAX_JSON_BYTES} bytes",
            received=f"{size} bytes",
            where=str(path),
        )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse_other(path, f"a file that begins with {content[:8]!r}") from error
    try:
        data = parse_config(text, object_hook=_drop_training)
        # json.dump(model.to_json(), file) wraps the text once more.
        return parse_config(data, object_hook=_drop_training) if isinstance(data, str) else data
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() in (".yaml", ".yml") or re.search(r"^\s*-?\s*class_name:", text, re.MULTILINE):
            raise UnknownSourceError(
                "This structure is YAML, which Keras has given up since loading it can run code.",
                expected="JSON as model.to_json() writes it",
                received="YAML",
                where=str(path),
                advice="where the model was trained: open('model.json', 'w').write(model.to_json())",
            ) from error
        raise _refuse_other(path, " ".join(str(error).split())) from error


def _refuse_other(path: Path, received: str) -> UnknownSourceError:
    return UnknownSourceError(
        f"The file of {FLAG} is no structure of a Keras model.",
        expected="JSON as model.to_json() writes it, the config.json of a .keras file, or a whole Keras file",
        received=received,
        where=str(path),
        advice="where the model was trained: open('model.json', 'w').write(model.to_json())",
    )
