"""ROOM 1: the signatures that a SavedModel carries. No TensorFlow here.

What passes through: a MetaGraphDef comes in, requests as this library makes them go out. Names are kept. What
a signature says that no server understands (no method, a sparse tensor under one key) is said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from servable.errors import SignatureError
from servable.report import Finding, Severity
from servable.signature import (
    DEFAULT_SIGNATURE,
    METHOD_NAMES,
    RESERVED_SIGNATURES,
    SignatureRequest,
    read_signature,
)

# TF-Hub's name for a module's main signature.
_HUB_DEFAULT = "default"


def read_saved_signatures(meta_graph: Any) -> tuple[tuple[SignatureRequest, ...], tuple[Finding, ...]]:
    """Reads all signatures, best first.

    Returns:
        The signatures, and a note for each that is not taken over as it stands.
    """
    requests, notes = [], []
    for name in sorted(meta_graph.signature_def, key=_rank):
        if name in RESERVED_SIGNATURES or not name:
            continue
        definition = meta_graph.signature_def[name]
        inputs = dict(_read_ends(definition.inputs))
        outputs = dict(_read_ends(definition.outputs))
        if not outputs:
            continue
        stored = read_signature(name, definition)
        method = stored.method if stored.method in METHOD_NAMES else "predict"
        try:
            request = SignatureRequest(name, inputs, outputs, method)
        except SignatureError as error:
            # A server would refuse the method for these keys, but can still answer it as a plain prediction.
            request = SignatureRequest(name, inputs, outputs)
            text = f"signature {name} is served with method predict, not {method}: {error.problem}"
            notes.append(Finding("source", Severity.INFO, text))
        if stored.method and stored.method not in METHOD_NAMES:
            text = f"signature {name} is served with method predict, for no server knows {stored.method!r}"
            notes.append(Finding("source", Severity.INFO, text))
        split = sorted({*inputs, *outputs} - {*definition.inputs, *definition.outputs})
        if split:
            text = f"signature {name} takes or gives sparse tensors part by part: {', '.join(split)}"
            notes.append(Finding("source", Severity.INFO, text))
        requests.append(request)
    return tuple(requests), tuple(notes)


def _rank(name: str) -> tuple[bool, bool, str]:
    return name != DEFAULT_SIGNATURE, name != _HUB_DEFAULT, name


def _read_ends(infos: Any) -> Iterator[tuple[str, str]]:
    for key in sorted(infos):
        info = infos[key]
        kind = info.WhichOneof("encoding")
        if kind == "coo_sparse":
            sparse = info.coo_sparse
            yield f"{key}_indices", sparse.indices_tensor_name
            yield f"{key}_values", sparse.values_tensor_name
            yield f"{key}_dense_shape", sparse.dense_shape_tensor_name
        elif kind == "composite_tensor":
            for position, part in enumerate(info.composite_tensor.components):
                yield f"{key}_{position}", part.name
        elif info.name:
            yield key, info.name
