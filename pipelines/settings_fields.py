"""The types of single keys of a settings file: paths, addresses, names, a schedule.

What passes through: a value as YAML has it comes in, one that is checked and complete goes out; a relative
path is meant from the folder of the file. `settings.py` puts them together.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, StrictStr, ValidationInfo

from pipelines.metadata.address import check_location, is_address
from servable.errors import SettingsError
from servable.formats.remote import is_remote, read_local_path
from servable.model import Scalar

# A model's name becomes the end of three node ids and the name under which a server finds it.
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"

# Minute, hour, day, month, weekday: numbers, names, lists, ranges and steps.
_CRON = r"([\d*/,A-Za-z-]+\s+){4}[\d*/,A-Za-z-]+"


def _resolve_path(path: Path, info: ValidationInfo) -> Path:
    """Takes a relative path as meant from the folder of the settings file."""
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(os.path.normpath(folder / path.expanduser()))


def _take_scalar(value: Any) -> Scalar:
    if isinstance(value, bool | int | float | str):
        return value
    raise ValueError("a switch takes true, false, a number or a text")


def _read_location(value: Any, info: ValidationInfo) -> Path | str:
    """Takes an address of another machine as it stands."""
    if not isinstance(value, str | Path):
        raise ValueError("a source takes a path or an address")
    return str(value) if is_remote(str(value)) else _resolve_path(read_local_path(str(value)), info)


def _read_store(value: Any, info: ValidationInfo) -> Path | str:
    """Takes the address of a database as it stands, and anything else as the path of a SQLite file."""
    if not isinstance(value, str | Path):
        raise ValueError("metadata takes the path of a SQLite file or the address of a database")
    if not is_address(str(value)):
        return _resolve_path(Path(value), info)
    try:
        return check_location(str(value))
    except SettingsError as error:
        raise ValueError(str(error)) from error


FilePath = Annotated[Path, AfterValidator(_resolve_path)]
Location = Annotated[Path | str, PlainValidator(_read_location)]
Store = Annotated[Path | str, PlainValidator(_read_store)]
Name = Annotated[StrictStr, Field(pattern=_NAME)]
Switch = Annotated[Scalar, PlainValidator(_take_scalar)]


def _check_schedule(text: str) -> str:
    """Takes five fields; what they may hold is the scheduler's say."""
    if not re.fullmatch(_CRON, text.strip()):
        raise ValueError("a schedule takes the five fields of cron, such as '0 3 * * *'")
    return " ".join(text.split())


Schedule = Annotated[StrictStr, AfterValidator(_check_schedule)]
