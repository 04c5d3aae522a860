"""ROOM 1: what a Keras file says about itself, read only after the gate. No TensorFlow here.

What passes through: a whole-model HDF5 file or a `.keras` archive comes in; its version, the loader that
reads it and its configuration come out. Damage that a loader would report vaguely, or not at all, is found
here: a configuration that is no JSON, layers without their weights, files newer than the installed Keras.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import h5py

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.sources.keras_files.archive import (
    CONFIG_MEMBER,
    METADATA_MEMBER,
    open_checked_archive,
    open_weights,
    read_json_member,
)
from servable.sources.keras_files.config_json import parse_config
from servable.sources.keras_files.gate import check_config
from servable.sources.keras_files.hdf5 import open_checked_hdf5
from servable.sources.keras_files.lambdas import REPLACED_CLASS, swap_lambdas
from servable.sources.keras_files.layout import check_weights, decode_text, refuse_weights_only

HDF5_KIND = "keras-hdf5"
HDF5_WEIGHTS_KIND = "keras-hdf5-weights"
JSON_KIND = "keras-json"
ARCHIVE_KIND = "keras-archive"


class Loader(StrEnum):
    """The two Keras that can build a model; the value is the name of the module."""

    TF_KERAS = "tf_keras"
    KERAS = "keras"

    @property
    def other(self) -> Loader:
        """The other one."""
        return Loader.KERAS if self is Loader.TF_KERAS else Loader.TF_KERAS


@dataclass(frozen=True, slots=True)
class KerasConfig:
    """What a Keras file says about itself.

    Attributes:
        path: The file.
        kind: "keras-hdf5", "keras-archive" or "keras-json".
        version: Keras version that wrote it, such as "2.2.4-tf"; "" where the file does not say.
        backend: Such as "tensorflow"; "" where the file does not say.
        model: The model's configuration, with `class_name` and `config`.
        has_replaced_layers: Whether `model` differs from what the file says, since the user replaced layers.
    """

    path: Path
    kind: str
    version: str
    backend: str
    model: dict[str, Any]
    has_replaced_layers: bool = False

    @property
    def loader(self) -> Loader:
        """The Keras that reads this file: every file before Keras 3 belongs to tf_keras."""
        if not self.version:
            return Loader.KERAS if _is_keras3(self.model) else Loader.TF_KERAS
        return find_era(self.version)


def read_keras_config(
    path: Path,
    kind: str,
    *,
    custom_names: Collection[str] | None = frozenset(),
    replaced_layers: Collection[str] = (),
) -> KerasConfig:
    """Looks at a Keras file and reads its configuration; runs nothing that the file names.

    Args:
        path: The file.
        kind: "keras-hdf5", "keras-hdf5-weights" or "keras-archive".
        custom_names: Names of objects that the user hands in; None when they are looked at later.
        replaced_layers: Lambda layers that the user's own functions stand for.

    Raises:
        SettingsError: A replaced layer is none of the model's.
        UnknownSourceError: The kind is none of these, or the file has weights but no model.
        BrokenSourceError: The file is damaged, incomplete, or newer than the installed Keras.
        UnsafeSourceError: Loading it would run code or reach outside it.
    """
    if not path.is_file():
        raise UnknownSourceError("There is no such file.", expected="a Keras model file", where=str(path))
    if kind == ARCHIVE_KIND:
        config = _read_archive(path)
    elif kind in (HDF5_KIND, HDF5_WEIGHTS_KIND):
        config = _read_hdf5(path)
    else:
        raise UnknownSourceError(
            "This is not a kind of Keras file.",
            expected=f"{HDF5_KIND}, {HDF5_WEIGHTS_KIND} or {ARCHIVE_KIND}",
            received=repr(kind),
            where=str(path),
        )
    return finish_config(config, custom_names=custom_names, replaced_layers=replaced_layers)


def find_era(version: str) -> Loader:
    """Says which Keras a file of this Keras version belongs to."""
    return Loader.KERAS if _read_version(version)[0] >= 3 else Loader.TF_KERAS


def finish_config(
    config: KerasConfig, *, custom_names: Collection[str] | None, replaced_layers: Collection[str]
) -> KerasConfig:
    """Puts the user's layers in, and lets the result through the gate.

    Args:
        config: As the file says it.
        custom_names: As in `read_keras_config`.
        replaced_layers: Likewise.

    Raises:
        SettingsError: A replaced layer is none of the model's.
        BrokenSourceError: The file is newer than the installed Keras.
        UnsafeSourceError: Building it would run stored code or reach outside it.
    """
    where = str(config.path)
    names = custom_names
    if replaced_layers:
        swapped = swap_lambdas(config.model, replaced_layers, where=where)
        config = replace(config, model=swapped, has_replaced_layers=True)
        names = None if custom_names is None else {*custom_names, REPLACED_CLASS}
    check_config(config.model, where=where, custom_names=names)
    _check_version(config)
    return config


def _read_archive(path: Path) -> KerasConfig:
    where = str(path)
    with open_checked_archive(path) as archive:
        metadata = read_json_member(archive, METADATA_MEMBER, where=where)
        model = read_json_member(archive, CONFIG_MEMBER, where=where)
        # The weights are opened for the look at them alone; the loader reads them.
        with (
            open_weights(archive, path) as weights,
            open_checked_hdf5(weights, where=f"{path}, model.weights.h5"),
        ):
            pass
    version = metadata.get("keras_version", "") if isinstance(metadata, dict) else ""
    return KerasConfig(path, ARCHIVE_KIND, str(version), "", check_model(model, where))


def _read_hdf5(path: Path) -> KerasConfig:
    where = str(path)
    with open_checked_hdf5(path, where=where) as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise refuse_weights_only(file, path)
        try:
            model = parse_config(decode_text(text))
        except (ValueError, RecursionError) as error:
            raise BrokenSourceError(
                "The model configuration in this HDF5 file is not JSON.",
                expected="the attribute model_config as Keras writes it",
                received=" ".join(str(error).split()),
                where=f"{path}, attribute model_config",
                advice="save the model again with model.save(...)",
            ) from error
        check_weights(file, where)
        version, backend = (
            decode_text(_get_attribute(file, "keras_version")),
            decode_text(_get_attribute(file, "backend")),
        )
    return KerasConfig(path, HDF5_KIND, version, backend, check_model(model, where))


def _get_attribute(file: h5py.File, key: str) -> Any:
    # Some versions put it at the root, some at the weights, some at both.
    return file.attrs.get(key, file["model_weights"].attrs.get(key, ""))


def check_model(model: Any, where: str) -> dict[str, Any]:
    """Refuses JSON that is no model's configuration."""
    if isinstance(model, dict) and isinstance(model.get("class_name"), str) and "config" in model:
        return model
    raise BrokenSourceError(
        "The model configuration of this file describes no model.",
        expected="a JSON object with class_name and config",
        received=f"a JSON {type(model).__name__}"
        + (f" with {', '.join(sorted(model)[:8])}" if isinstance(model, dict) else ""),
        where=where,
        advice="save the model again with model.save(...)",
    )


def _check_version(config: KerasConfig) -> None:
    installed = importlib.metadata.version("keras")
    # Up to the minor version: a patch release reads and writes the same configurations.
    if config.loader is Loader.KERAS and _read_version(config.version)[:2] > _read_version(installed)[:2]:
        raise BrokenSourceError(
            "This file was written by a newer Keras than the one installed here.",
            expected=f"Keras {installed} or older",
            received=f"Keras {config.version}",
            where=str(config.path),
            advice=f"install keras>={config.version} beside this package, or save the model with "
            f"Keras {installed}",
        )


def _is_keras3(model: Any) -> bool:
    # What Keras 2 never wrote: types as policies, and input shapes under this name.
    stack = [model]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if "batch_shape" in value or value.get("class_name") == "DTypePolicy":
                return True
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return False


def _read_version(version: str) -> tuple[int, ...]:
    # ASCII digits, and few: a number of thousands of digits is an error in Python.
    numbers = re.match(r"([0-9]{1,9})\.([0-9]{1,9})", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
