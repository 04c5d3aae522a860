"""ROOM 1: a TF1 `tf.train.Saver` checkpoint with its `.meta` becomes a `TrainedModel`.

What passes through: a resolved source comes in. Only the meta graph is read here, as a plain message; the
variables stay on disk until the workshop copies them, and the graph is run only to make a baseline.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from servable.errors import BrokenSourceError
from servable.formats.bundle import check_extents, open_bundle
from servable.formats.digest import digest_files
from servable.formats.protos import MetaGraphDef, parse_message
from servable.model import GraphBody, Origin, Progress, TrainedModel
from servable.signature import METHOD_NAMES, RESERVED_SIGNATURES, SignatureRequest, read_signature
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source
from servable.sources.saver_graph import read_variable_keys
from servable.sources.session import run_source_graph

# More than any real training graph; variables are not in here.
_MAX_META_BYTES = 2**31 - 1


def open_saver_checkpoint(
    source: Source, options: SourceOptions, *, progress: Progress | None = None
) -> TrainedModel:
    """Reads the meta graph of a checkpoint.

    Args:
        source: Of kind TF1_SAVER.
        options: What the user says about it.
        progress: Told of the bytes that the digest has read.

    Raises:
        BrokenSourceError: `.meta` is missing or garbage, or shards are missing or short.
    """
    meta_graph = read_meta_graph(source.path)
    problems = check_extents(open_bundle(source.path))
    if problems:
        raise BrokenSourceError(
            "The checkpoint is incomplete.",
            expected="every shard in full length",
            received="; ".join(problems),
            where=str(source.path),
            advice="copy it again from where it was written, or take another step with --step",
        )
    body = GraphBody(
        meta_graph=meta_graph,
        checkpoint_prefix=source.path,
        variable_keys=read_variable_keys(meta_graph),
        asset_dir=source.path.parent,
        assets=options.assets,
        allowed_ops=options.allowed_ops,
    )
    origin = Origin(
        path=source.path,
        kind=source.kind.value,
        framework="tensorflow",
        framework_version=meta_graph.meta_info_def.tensorflow_version,
        files=source.files,
        step=source.step,
        digest=digest_files(source.files, root=source.root, progress=progress),
    )
    return TrainedModel(
        origin=origin,
        body=body,
        signatures=read_stored_signatures(meta_graph),
        predict=partial(run_source_graph, body),
        notes=source.notes,
    )


def read_meta_graph(prefix: Path) -> MetaGraphDef:
    """Reads the `.meta` beside a checkpoint.

    Raises:
        BrokenSourceError: It is missing, not a MetaGraphDef, or holds no graph.
    """
    path = prefix.with_name(prefix.name + ".meta")
    if not path.is_file():
        raise BrokenSourceError(
            "The checkpoint has no .meta, so its graph is unknown.",
            expected=path.name,
            where=str(prefix),
            advice="copy the .meta that the trainer wrote beside the checkpoint",
        )
    meta_graph = parse_message(MetaGraphDef, path, max_bytes=_MAX_META_BYTES)
    if not meta_graph.graph_def.node:
        raise BrokenSourceError(
            "The .meta holds no graph.", expected="a MetaGraphDef with nodes", where=str(path)
        )
    return meta_graph


def read_stored_signatures(meta_graph: MetaGraphDef) -> tuple[SignatureRequest, ...]:
    """Reads the signatures that a meta graph carries itself, as an exported one does."""
    requests = []
    for name in meta_graph.signature_def:
        if name in RESERVED_SIGNATURES:
            continue
        signature = read_signature(name, meta_graph.signature_def[name])
        inputs = {key: spec.tensor for key, spec in signature.inputs.items() if spec.tensor}
        outputs = {key: spec.tensor for key, spec in signature.outputs.items() if spec.tensor}
        if outputs and signature.method in METHOD_NAMES:
            requests.append(SignatureRequest(name, inputs, outputs, method=signature.method))
    return tuple(requests)
