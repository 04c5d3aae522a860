"""ROOM 2: a live model becomes a SavedModel in the form of TensorFlow 1.

What passes through: an `ObjectBody` comes in. It is written in TensorFlow 2 form into a folder beside the
destination, and what was written is exported once more as the graph that it is: functions taken apart,
objects left out, variables copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servable.export.graphs import write_graph_model
from servable.export.objects import write_object_model
from servable.graphs.saved_bodies import read_graph_body
from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file
from servable.model import ObjectBody, Progress
from servable.report import Finding
from servable.signature import SignatureRequest, read_signature
from servable.targets.catalog import Target


def write_object_as_graph(
    body: ObjectBody,
    requests: Sequence[SignatureRequest],
    default_name: str | None,
    out_dir: Path,
    *,
    target: Target,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Writes a live model as a graph.

    Args:
        body: The model.
        requests: What to offer.
        default_name: Signature that `serving_default` repeats, or None.
        out_dir: A folder that does not exist yet; one beside it is used and removed.
        target: The runtime that is to load it.
        progress: Told of the stages.

    Returns:
        What was changed for the target.

    Raises:
        SignatureError: A signature does not fit the model.
        UnsafeSourceError: What would be served does more than compute.
        ExportError: The model cannot be traced or written, or the target cannot serve it.
    """
    object_dir = out_dir.with_name(f"{out_dir.name}.objects")
    try:
        write_object_model(body, requests, None, object_dir, progress=progress)
        meta_graph = read_model_file(object_dir / MODEL_FILE).meta_graphs[0]
        prefix = object_dir / "variables" / "variables"
        graph = read_graph_body(
            object_dir,
            meta_graph,
            prefix if prefix.with_name(f"{prefix.name}.index").is_file() else None,
            assets={},
            allowed_ops=frozenset(),
            # It was traced in inference mode: what still looks like training is meant so.
            keep_training_ops=True,
        )
        return write_graph_model(
            graph,
            [_name_tensors(request, meta_graph) for request in requests],
            default_name,
            out_dir,
            frozen={},
            target=target,
            progress=progress,
        )
    finally:
        shutil.rmtree(object_dir, ignore_errors=True)


def _name_tensors(request: SignatureRequest, meta_graph: Any) -> SignatureRequest:
    """Says a request in the tensors that TensorFlow gave to its keys."""
    signature = read_signature(request.name, meta_graph.signature_def[request.name])
    return SignatureRequest(
        request.name,
        {key: spec.tensor for key, spec in signature.inputs.items()},
        {key: spec.tensor for key, spec in signature.outputs.items()},
        request.method,
    )
