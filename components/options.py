"""A conversion's options as execution properties: the core's `ConversionOptions` to JSON text and back.

What passes through: a component's constructor writes, its driver and executor read. Execution properties
stay plain on every runner only as text and numbers, so structured options are one JSON text with sorted keys
(the same options are the same cache key). Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servable.convert import ConversionOptions
from servable.errors import SettingsError
from servable.signature import SignatureRequest, read_requests
from servable.sources.options import SourceOptions

# Raised whenever an old text would be read differently; part of the cache key.
OPTIONS_SCHEMA = 1

_KEYS = frozenset(
    {"frozen", "step", "custom_objects", "inputs", "assets", "default_signature", "make_baseline"}
)


def write_signatures(signatures: Sequence[SignatureRequest]) -> str:
    """Writes wanted signatures as ``{name: {inputs, outputs, method}}``, in the order given.

    The order counts: the first signature may become the default one.
    """
    return json.dumps(
        {
            request.name: {
                "inputs": dict(request.inputs),
                "outputs": dict(request.outputs),
                "method": request.method,
            }
            for request in signatures
        }
    )


def read_signatures(text: str | None) -> tuple[SignatureRequest, ...]:
    """Reads what `write_signatures` wrote; nothing, or Airflow's 'None', is no wish.

    Raises:
        SettingsError: The text is not a JSON object.
        SignatureError: A signature cannot be.
    """
    return read_requests(read_object(text, "signatures"))


def write_options(options: ConversionOptions) -> str:
    """Writes all options but the signatures.

    Raises:
        SettingsError: A frozen switch is not a plain value.
    """
    try:
        return json.dumps(
            {
                "frozen": dict(options.frozen),
                "step": options.source.step,
                "custom_objects": _write_path(options.source.custom_objects),
                "inputs": _write_path(options.inputs),
                "assets": {name: _write_path(path) for name, path in options.source.assets.items()},
                "default_signature": options.default_signature,
                "make_baseline": options.make_baseline,
            },
            sort_keys=True,
        )
    except TypeError as error:
        raise SettingsError(
            "The options cannot be written as JSON.",
            expected="switches that are bool, int, float or str",
            received=str(error),
        ) from error


def read_options(text: str | None, *, signatures: str | None = None) -> ConversionOptions:
    """Reads what `write_options` and `write_signatures` wrote.

    Args:
        text: JSON object of the options; missing keys have their defaults.
        signatures: JSON object of the signatures.

    Raises:
        SettingsError: A text is not a JSON object, or a key is not known.
        SignatureError: A signature cannot be.
    """
    given = read_object(text, "options")
    unknown = sorted(set(given) - _KEYS)
    if unknown:
        raise SettingsError(
            "The options have unknown keys.",
            expected=", ".join(sorted(_KEYS)),
            received=", ".join(unknown),
        )
    return ConversionOptions(
        signatures=read_signatures(signatures),
        frozen=given.get("frozen") or {},
        source=SourceOptions(
            step=given.get("step"),
            custom_objects=_read_path(given.get("custom_objects")),
            assets={name: Path(path) for name, path in (given.get("assets") or {}).items()},
        ),
        inputs=_read_path(given.get("inputs")),
        default_signature=given.get("default_signature", "first"),
        make_baseline=given.get("make_baseline", True),
    )


def list_option_files(options: ConversionOptions) -> dict[str, Path]:
    """Lists the user's files that shape the result beside the source itself, by what they are."""
    files = {f"asset {name}": path for name, path in options.source.assets.items()}
    if options.source.custom_objects is not None:
        files["custom objects"] = options.source.custom_objects
    if options.inputs is not None:
        files["inputs"] = options.inputs
    return files


def parse_requests(
    signatures: Mapping[str, Any] | Sequence[SignatureRequest],
) -> tuple[SignatureRequest, ...]:
    """Takes signatures as a constructor is given them: plain mappings, or the core's own values."""
    if isinstance(signatures, Mapping):
        return read_requests(signatures)
    return tuple(signatures)


def require_absolute(path: str | Path) -> Path:
    """Fixes a local path when the pipeline is built, since a runner may work in another folder.

    Raises:
        SettingsError: The path lies in an object store.
    """
    if "://" in str(path):
        raise SettingsError(
            "A model's files are read from a local file system.",
            expected="a local or mounted path",
            received=str(path),
            advice="copy the files to a local folder first, or mount the bucket",
        )
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow symlinks


def make_absolute(path: str | Path | None) -> Path | None:
    """Fixes a path that may be left out."""
    return None if path is None else require_absolute(path)


def read_object(text: str | None, name: str) -> dict[str, Any]:
    """Reads a JSON object; nothing, or Airflow's 'None', is an empty one.

    Raises:
        SettingsError: The text is not a JSON object.
    """
    if not text or text == "None":
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"The {name} are not JSON.", expected="a JSON object", received=text) from error
    if not isinstance(value, dict):
        raise SettingsError(f"The {name} are not a JSON object.", expected="{...}", received=text)
    return value


def _write_path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _read_path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
