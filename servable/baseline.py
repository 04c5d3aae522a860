"""The baseline: inputs and the source framework's own outputs; a word that every room may use.

What passes through: the conversion writes one `.npz` file, the checks read it and compare the candidate.
Strings are kept as base64 text, so that the file never needs pickle. No TensorFlow here.
"""

from __future__ import annotations

import base64
import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from servable.errors import SettingsError
from servable.signature import Signature, TensorSpec

_MANIFEST = "__baseline__"
FREE_SIZE = 4  # of a free dimension other than the batch in made-up samples


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs of one signature and what the source answered, both by serving key."""

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Baseline:
    """One sample per signature name.

    Attributes:
        samples: Signature name to its sample.
        invented: True when the inputs were made up, not given by the user.
    """

    samples: Mapping[str, Sample]
    invented: bool = False


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Writes a baseline as one `.npz` file.

    Args:
        baseline: Arrays of any TensorFlow dtype that numpy has; strings as object arrays of bytes.
        path: The file to write.
    """
    arrays: dict[str, np.ndarray] = {}
    entries: list[dict[str, Any]] = []
    for name, sample in baseline.samples.items():
        for side, values in (("inputs", sample.inputs), ("outputs", sample.outputs)):
            for key, value in values.items():
                member = f"a{len(entries)}"
                is_string = value.dtype.kind in "OSU"
                arrays[member] = _encode_strings(value) if is_string else value
                entries.append(
                    {"signature": name, "side": side, "key": key, "member": member, "string": is_string}
                )
    manifest = json.dumps(
        {"invented": baseline.invented, "signatures": list(baseline.samples), "entries": entries}
    )
    arrays[_MANIFEST] = np.array(manifest)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_baseline(path: Path) -> Baseline:
    """Reads what `save_baseline` wrote.

    Raises:
        SettingsError: The file is not a baseline.
    """
    with _open_npz(path) as archive:
        if _MANIFEST not in archive:
            raise SettingsError(
                "This file is not a baseline.",
                expected="a file written with a conversion",
                where=str(path),
                advice="make one with servable convert ... --baseline-out FILE",
            )
        manifest = json.loads(str(archive[_MANIFEST]))
        samples: dict[str, Sample] = {name: Sample({}, {}) for name in manifest["signatures"]}
        sides: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for entry in manifest["entries"]:
            value = archive[entry["member"]]
            side = sides.setdefault((entry["signature"], entry["side"]), {})
            side[entry["key"]] = _decode_strings(value) if entry["string"] else value
    for name in samples:
        samples[name] = Sample(sides.get((name, "inputs"), {}), sides.get((name, "outputs"), {}))
    return Baseline(samples, manifest["invented"])


def load_inputs(path: Path, signatures: Mapping[str, Signature]) -> dict[str, dict[str, np.ndarray]]:
    """Reads a user's `.npz` of inputs: members are named KEY, or SIGNATURE/KEY where signatures differ.

    Args:
        path: Written with `numpy.savez`; text as arrays of str or bytes.
        signatures: What the model offers, by name.

    Returns:
        Arrays by signature and input key, strings as object arrays of bytes. A signature for which the
        file has no member at all is left out.

    Raises:
        SettingsError: A needed input is missing, or a member belongs to no signature.
    """
    with _open_npz(path) as archive:
        members = set(archive.files)
        used: set[str] = set()
        found: dict[str, dict[str, np.ndarray]] = {}
        missing: list[str] = []
        for name, signature in signatures.items():
            named = {
                key: next((m for m in (f"{name}/{key}", key) if m in members), None)
                for key in signature.inputs
            }
            if not any(named.values()):
                continue
            missing += [f"{name}/{key}" for key, member in named.items() if member is None]
            taken = {key: member for key, member in named.items() if member is not None}
            used |= set(taken.values())
            found[name] = {key: _fit_dtype(archive[m], signature.inputs[key]) for key, m in taken.items()}
    if missing or members - used or not found:
        keys = sorted({key for signature in signatures.values() for key in signature.inputs})
        raise SettingsError(
            "The file of inputs does not fit the signatures.",
            expected="members " + ", ".join(keys),
            received=", ".join(sorted(members)) or "no members",
            where=str(path),
            advice="name the members like the inputs above, or SIGNATURE/KEY where signatures differ",
        )
    return found


def invent_inputs(signature: Signature, *, batch_size: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Makes up inputs that fit a signature: floats from 0 to 1, integers 0 and 1, short words.

    Args:
        signature: Free first dimensions become the batch, other free ones a small size.
        batch_size: Rows.
        seed: Same seed, same values.

    Raises:
        SettingsError: An input's dtype is one that numpy does not have, such as bfloat16.
    """
    random = np.random.default_rng(seed)
    return {key: _invent_array(spec, batch_size, random) for key, spec in signature.inputs.items()}


def _invent_array(spec: TensorSpec, batch_size: int, random: np.random.Generator) -> np.ndarray:
    free = (None,) if spec.shape is None else spec.shape
    shape = tuple(
        (batch_size if axis == 0 else FREE_SIZE) if size is None else size for axis, size in enumerate(free)
    )
    if spec.dtype == "string":
        words = [b"a", b"word", b"of", b"text"]
        picks = random.integers(0, len(words), size=math.prod(shape))
        return np.array([words[pick] for pick in picks], dtype=object).reshape(shape)
    if spec.dtype == "bool":
        return random.integers(0, 2, size=shape).astype(bool)
    if spec.dtype.startswith(("int", "uint")):
        return random.integers(0, 2, size=shape).astype(spec.dtype)
    try:
        return random.random(size=shape).astype(spec.dtype)
    except TypeError as error:
        raise SettingsError(
            f"No inputs of dtype {spec.dtype} can be made up.", advice="give inputs with --inputs FILE.npz"
        ) from error


def _fit_dtype(value: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if spec.dtype == "string":
        texts = [item.encode() if isinstance(item, str) else bytes(item) for item in value.ravel().tolist()]
        return np.array(texts, dtype=object).reshape(value.shape)
    return value.astype(spec.dtype, copy=False)


def _encode_strings(value: np.ndarray) -> np.ndarray:
    flat = [item.encode() if isinstance(item, str) else bytes(item) for item in value.ravel().tolist()]
    return np.array([base64.b64encode(item).decode() for item in flat], dtype=np.str_).reshape(value.shape)


def _decode_strings(value: np.ndarray) -> np.ndarray:
    return np.array([base64.b64decode(item) for item in value.ravel().tolist()], dtype=object).reshape(
        value.shape
    )


def _open_npz(path: Path) -> Any:
    try:
        # From memory: numpy leaves the file open when it turns out to be no archive.
        return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SettingsError(
            "This file of arrays cannot be read.",
            expected="a .npz file written with numpy.savez",
            received=str(error),
            where=str(path),
            advice="write it with numpy.savez(FILE, KEY=array)",
        ) from error
