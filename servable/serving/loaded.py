"""A loaded version: its signatures, its processes, and how many requests it is answering.

What passes through: a version on disk comes in; requests use it, and its end waits for them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from servable.errors import BrokenSourceError
from servable.formats.serving_replies import SignatureDefMap
from servable.formats.tensor_values import read_tensor
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.runtime.outcome import Fault, Limits
from servable.runtime.pool import SessionPool
from servable.serving.folders import FoundVersion
from servable.signature import RESERVED_SIGNATURES, Signature, read_signature

_MAX_DEFAULT_BYTES: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """What runs the versions of a model.

    Attributes:
        library: TensorFlow's C++ library; the installed package's when None.
        processes: How many of each version, and so how many requests at once.
        limits: Of each process.
    """

    library: Path | None
    processes: int
    limits: Limits


class LoadedVersion:
    """One version, ready to be asked.

    Attributes:
        number: Of the version.
        signatures: By name, without those that loaders keep for themselves.
        signature_defs: A SignatureDefMap: all that the model says of its signatures.
        defaults: Signature to input to the value that it has when a request leaves it out.
        pool: Its processes.
    """

    def __init__(self, number: int, signature_defs: Any, pool: SessionPool) -> None:
        self.number = number
        self.pool = pool
        self.signature_defs = signature_defs
        messages = signature_defs.signature_def
        self.signatures: Mapping[str, Signature] = {
            name: read_signature(name, messages[name])
            for name in sorted(messages)
            if name not in RESERVED_SIGNATURES
        }
        self.defaults = {name: _read_defaults(messages[name]) for name in self.signatures}
        self._condition = threading.Condition()
        self._uses = 0

    def enter(self) -> None:
        """Notes that a request has begun."""
        with self._condition:
            self._uses += 1

    def leave(self) -> None:
        """Notes that it has ended."""
        with self._condition:
            self._uses -= 1
            self._condition.notify_all()

    def drain(self, time_limit_s: float) -> bool:
        """Waits until no request is in it, and ends its processes.

        Returns:
            False when requests were cut off because they took longer.
        """
        with self._condition:
            is_done = self._condition.wait_for(lambda: self._uses == 0, time_limit_s)
        self.pool.close()
        return is_done


def load_version(found: FoundVersion, choice: RuntimeChoice) -> LoadedVersion | Fault:
    """Loads a version in the runtime.

    Returns:
        The version, or why it does not load.

    Raises:
        BrokenSourceError: Its file is damaged, or no graph in it is for servers.
        CheckError: The runtime's library is not there or cannot be used.
    """
    signature_defs = _read_signature_defs(found.folder)
    pool = SessionPool(found.folder, size=choice.processes, limits=choice.limits, library=choice.library)
    try:
        fault = pool.load()
    except BaseException:
        pool.close()
        raise
    if fault is not None:
        pool.close()
        return fault
    return LoadedVersion(found.number, signature_defs, pool)


def _read_signature_defs(folder: Path) -> Any:
    """Copies what is needed of the graph that a server takes, so that the rest of the file is forgotten."""
    path = find_model_file(folder)
    graphs = read_model_file(path).meta_graphs
    for graph in graphs:
        if set(graph.meta_info_def.tags) == {SERVE_TAG}:
            signature_defs = SignatureDefMap()
            for name in graph.signature_def:
                signature_defs.signature_def[name].CopyFrom(graph.signature_def[name])
            return signature_defs
    raise BrokenSourceError(
        "This SavedModel has no graph that a server takes.",
        expected=f"one whose only tag is {SERVE_TAG}",
        received=", ".join("{" + ", ".join(graph.meta_info_def.tags) + "}" for graph in graphs) or "none",
        where=str(path),
    )


def _read_defaults(signature_def: Any) -> dict[str, np.ndarray]:
    """Reads values for inputs that a request may leave out."""
    defaults = {}
    for key in signature_def.defaults:
        try:
            defaults[key] = read_tensor(signature_def.defaults[key], max_bytes=_MAX_DEFAULT_BYTES)[1]
        except ValueError as error:
            raise BrokenSourceError(
                "A default value of a signature cannot be read.", received=str(error), where=key
            ) from error
    return defaults
