"""A conversion's options as execution properties: the core's `ConversionOptions` to JSON text and back.

What passes through: a component's constructor writes, its driver and executor read. Execution properties
stay plain on every runner only as text and numbers, so structured options are one JSON text with sorted keys
(the same options are the same cache key). Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from servable import options_json
from servable.convert import ConversionOptions
from servable.errors import SettingsError
from servable.signature import SignatureRequest, read_requests
from servable.targets.catalog import CURRENT, find_target

# Raised whenever an old text would be read differently; part of the cache key.
OPTIONS_SCHEMA = 2


def write_signatures(signatures: Sequence[SignatureRequest]) -> str:
    """Writes wanted signatures as ``{name: {inputs, outputs, method}}``, in the order given.

    The order counts: the first signature may become the default one.
    """
    return json.dumps(options_json.write_requests(signatures))


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
    data = options_json.write_options(options)
    del data["signatures"]
    try:
        return json.dumps(data, sort_keys=True)
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
    given = options_json.read_options(read_object(text, "options"))
    return replace(given, signatures=read_signatures(signatures))


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
        SettingsError: The path is an address of another machine.
    """
    if "://" in str(path):
        raise SettingsError(
            "A file that the options name is read from a local file system.",
            expected="a local or mounted path",
            received=str(path),
            advice="copy it to a local folder first, or mount the bucket",
        )
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow symlinks


def make_absolute(path: str | Path | None) -> Path | None:
    """Fixes a path that may be left out."""
    return None if path is None else require_absolute(path)


def make_layers_absolute(layers: Mapping[str, str]) -> dict[str, str]:
    """Fixes the file of each "FILE.py:function".

    Raises:
        SettingsError: A place names no function.
    """
    fixed = {}
    for name, place in layers.items():
        file, separator, function = place.rpartition(":")
        if not separator or not file or not function:
            raise SettingsError(
                "A replaced layer names no function.",
                expected="FILE.py:function",
                received=place,
                where=f"layer {name}",
            )
        fixed[name] = f"{require_absolute(file)}:{function}"
    return fixed


def add_target(policy: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Puts a target into the policy of the checks; "current" leaves the say to the policy.

    Raises:
        SettingsError: There is no such target, or the policy names another one.
    """
    full_name = find_target(target).name
    if full_name == CURRENT:
        return dict(policy)
    own = policy.get("target", CURRENT)
    # What is no name at all is told by the policy, together with its other faults.
    if isinstance(own, str) and own != CURRENT and find_target(own).name != full_name:
        raise SettingsError(
            "The policy of the checks names another target than the model is for.",
            expected=full_name,
            received=own,
            where="policy, target",
            advice="name the target once, beside the policy",
        )
    return {**policy, "target": full_name}


def read_flag(value: Any) -> bool:
    """Reads what stands for a bool in an execution property: 1 or 0, on Kubeflow 1.0, on Airflow 'None'."""
    return value not in (None, "None", "") and bool(int(value))


def read_text(exec_properties: Mapping[str, Any], key: str) -> str:
    """Reads a text that may be left out; on Airflow it is then the text "None"."""
    value = exec_properties.get(key)
    return "" if value in (None, "None") else str(value)


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
