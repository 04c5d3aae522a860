"""ROOM 1: a private copy of a Keras file with an edited configuration. No TensorFlow here.

What passes through: a file that passed the gate and the configuration to build instead come in; a copy goes
out that a loader reads as if Keras had written it. The source is only read.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py

from servable.sources.keras_files.archive import CONFIG_MEMBER, open_checked_archive
from servable.sources.keras_files.config import ARCHIVE_KIND, KerasConfig

_COPY_BYTES = 1 << 20


def stage_edited(config: KerasConfig, model: dict[str, Any], staged_path: Path) -> None:
    """Writes a copy of a whole-model file with another configuration.

    Args:
        config: What the file says.
        model: The configuration to write instead.
        staged_path: The copy; must not exist.
    """
    if config.kind == ARCHIVE_KIND:
        _copy_archive(config.path, model, staged_path)
        return
    shutil.copyfile(config.path, staged_path)
    with h5py.File(staged_path, "r+") as file:
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(model)


def _copy_archive(path: Path, model: dict[str, Any], staged_path: Path) -> None:
    with open_checked_archive(path) as source, zipfile.ZipFile(staged_path, "w") as copy:
        for info in source.infolist():
            if info.filename == CONFIG_MEMBER:
                copy.writestr(CONFIG_MEMBER, json.dumps(model))
            elif info.is_dir():
                copy.mkdir(info.filename)
            else:
                with (
                    source.open(info) as member,
                    copy.open(zipfile.ZipInfo(info.filename), "w", force_zip64=True) as target,
                ):
                    shutil.copyfileobj(member, target, _COPY_BYTES)
