"""ROOM 2: a TF1 graph and its checkpoint become a SavedModel, without a session.

What passes through: a `GraphBody` and explicit signatures come in; a SavedModel in v1 form is written into a
folder. The graph is cut down to what the signatures need as plain messages, TensorFlow only infers shapes
and proves that the result can be imported, and the variables are copied as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from servable.errors import SignatureError
from servable.export.dialects.adapting import adapt_meta_graph
from servable.export.flattening import flatten_graph
from servable.export.folding import fold_conditionals
from servable.export.importing import infer_specs, prune_library, shield_from
from servable.export.inputs import cut_inputs
from servable.export.metagraph import build_meta_graph
from servable.export.op_gate import admit_ops
from servable.export.saved_tables import add_tables_to_saver, match_tables
from servable.export.start_up import find_initializers, find_started
from servable.export.switches import freeze_switches, unknown_tensor
from servable.export.tables import Asset, find_assets, point_to_asset
from servable.export.training_ops import switch_off_training
from servable.export.variables import add_saver, note_variables, require_averages
from servable.export.writing import write_saved_model
from servable.formats.checkpoints.bundle import TensorBundle, copy_tensors, open_bundle
from servable.formats.protos import NodeDef
from servable.graphs.call_graph import require_bounded
from servable.graphs.frames import open_frame
from servable.graphs.graph import (
    find_ancestors,
    index_nodes,
    normalize_tensor,
    read_edge,
    strip_foreign_attrs,
)
from servable.graphs.op_classes import find_unsafe_ops
from servable.graphs.saved_model_parts import read_assets
from servable.graphs.variables import find_variables, match_variables
from servable.model import GraphBody, Progress, Scalar, TableKeys, VariableKey
from servable.report import Finding
from servable.signature import SignatureRequest, TensorSpec
from servable.targets.catalog import Target


def write_graph_model(
    body: GraphBody,
    signatures: Sequence[SignatureRequest],
    default_name: str | None,
    out_dir: Path,
    *,
    frozen: Mapping[str, Scalar],
    source_digest: str = "",
    target: Target | None = None,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Writes a SavedModel in v1 form.

    Args:
        body: Graph and checkpoint.
        signatures: With explicit inputs and outputs.
        default_name: Signature that `serving_default` repeats, or None.
        out_dir: A folder that does not exist yet.
        frozen: Training switches and their value in serving.
        source_digest: Of the source, for what is let in from it.
        target: The runtime that is to load it; None for the one that exports.
        progress: Told of the bytes of variables copied.

    Returns:
        What was changed or let in and the user should know.

    Raises:
        UnsafeSourceError: What would be served does more than compute.
        SignatureError: A tensor is unknown, or an output needs a placeholder that is no input.
        BrokenSourceError: Variables or vocabulary files are missing or damaged.
        ExportError: TensorFlow refuses the graph, the target would, or the files cannot be written.
    """
    source_name = str(body.checkpoint_prefix or body.asset_dir)
    require_bounded(body.meta_graph.graph_def, where=source_name)
    nodes, signatures, notes = _set_to_inference(body, signatures, frozen)

    # Inputs too: one that no output depends on must still be there to be fed.
    ends = [tensor for r in signatures for tensor in (*r.outputs.values(), *r.inputs.values())]
    reached = find_ancestors(nodes, ends)
    initializers = find_initializers(open_frame(body.meta_graph.graph_def, nodes), reached, body.initializers)
    reached |= find_ancestors(nodes, initializers)

    bundle = None if body.checkpoint_prefix is None else open_bundle(body.checkpoint_prefix)
    entries = bundle.entries if bundle else {}
    started = find_started(nodes, initializers) - body.variable_keys.keys() - entries.keys()
    variables = match_variables(
        nodes,
        [name for name in find_variables(nodes, reached) if name not in started],
        body.variable_keys,
        entries,
        where=source_name,
    )
    tables = match_tables(body.table_keys, reached, entries, where=source_name)
    require_averages(variables, body.variable_keys, where=source_name)
    notes += note_variables(variables, tables, bundle) if bundle else []
    kept = {name: _clean_node(node) for name, node in nodes.items() if name in reached}
    _keep_variable_reads(kept, nodes, variables)
    found_assets = find_assets(kept, initializers, read_assets(body.meta_graph), body.asset_dir, body.assets)
    served = prune_library(body.meta_graph.graph_def, kept.values())
    files = {asset.const_name for asset in found_assets}
    notes += admit_ops(served, files, body.allowed_ops, digest=source_digest)
    if target is not None:
        named = [*ends, *initializers, *variables, *tables, *files, *_find_variable_reads(nodes, variables)]
        kept = flatten_graph(served, kept, named, target)
    for asset in found_assets:
        kept[asset.const_name] = point_to_asset(kept[asset.const_name], asset.file_name)
    saver = add_saver(kept, variables) if variables else None
    saver = add_tables_to_saver(kept, saver, tables, entries) if tables else saver
    meta_graph = build_meta_graph(
        body.meta_graph,
        kept,
        signatures,
        default_name,
        variables=variables,
        saver=saver,
        initializers=initializers,
        assets=[(asset.const_name, asset.file_name) for asset in found_assets],
    )
    notes += adapt_meta_graph(meta_graph, target) if target is not None else []

    out_dir.mkdir(parents=True)
    if bundle is not None and saver is not None:
        _copy_variables(bundle, variables, tables, out_dir / "variables", progress=progress)
    write_saved_model(out_dir, meta_graph, _name_assets(found_assets))
    return tuple(notes)


def _set_to_inference(
    body: GraphBody, signatures: Sequence[SignatureRequest], frozen: Mapping[str, Scalar]
) -> tuple[dict[str, Any], tuple[SignatureRequest, ...], list[Finding]]:
    """Freezes switches, folds what they decide, makes inputs feedable, and switches training ops off."""
    original = index_nodes(body.meta_graph.graph_def)
    _check_tensors(original, signatures)
    folded = fold_conditionals(freeze_switches(original, frozen))
    nodes, requests = cut_inputs(folded, signatures, partial(_infer_specs, body.meta_graph, folded))
    notes: list[Finding] = []
    if not body.keep_training_ops:
        nodes, switched_off = switch_off_training(nodes, requests, original=original, chosen=frozen)
        notes += switched_off
    _check_placeholders(nodes, requests)
    return nodes, requests, notes


def _copy_variables(
    bundle: TensorBundle,
    variables: Mapping[str, VariableKey],
    tables: Mapping[str, TableKeys],
    out_dir: Path,
    *,
    progress: Progress | None,
) -> None:
    out_dir.mkdir()
    keys = {key.exported_key: key.key for key in variables.values()}
    keys |= {key: key for table in tables.values() for key in (table.keys, table.values)}
    copy_tensors(bundle, keys, out_dir / "variables", progress=progress)


def _infer_specs(
    meta_graph: Any, nodes: Mapping[str, Any], tensors: Sequence[str]
) -> Mapping[str, TensorSpec]:
    needed = {name: _clean_node(nodes[name]) for name in find_ancestors(nodes, tensors)}
    unsafe = {op.node for op in find_unsafe_ops(("", node) for node in needed.values())}
    shielded = shield_from(needed, unsafe) if unsafe else needed
    return infer_specs(prune_library(meta_graph.graph_def, shielded.values()), tensors)


def _name_assets(assets: Sequence[Asset]) -> dict[str, Path]:
    return {asset.file_name: asset.file_path for asset in assets}


def _check_tensors(nodes: Mapping[str, Any], signatures: Sequence[SignatureRequest]) -> None:
    for request in signatures:
        for side, pairs in (("Input", request.inputs), ("Output", request.outputs)):
            for key, tensor in pairs.items():
                if read_edge(normalize_tensor(tensor)).node not in nodes:
                    raise unknown_tensor(tensor, nodes, what=f"{side} {key!r} of signature {request.name!r}")


def _check_placeholders(nodes: Mapping[str, Any], signatures: Sequence[SignatureRequest]) -> None:
    """An output that waits for a placeholder which nobody feeds would fail on its first request."""
    for request in signatures:
        fed = {normalize_tensor(tensor) for tensor in request.inputs.values()}
        needed = find_ancestors(nodes, request.outputs.values(), stop_at=fed)
        unfed = sorted(n for n in needed if nodes[n].op in ("Placeholder", "PlaceholderV2"))
        if unfed:
            raise SignatureError(
                f"Outputs of signature {request.name!r} need placeholders that are not among its inputs.",
                expected="every placeholder as an input, or frozen to its value in serving",
                received=", ".join(f"{name}:0" for name in unfed),
                advice=f"--set {unfed[0]}:0=VALUE for a training switch (False for is_training, 1.0 for "
                f"keep_prob), or --input KEY={unfed[0]}:0 for a real input",
            )


def _keep_variable_reads(
    kept: dict[str, Any], nodes: Mapping[str, Any], variables: Mapping[str, VariableKey]
) -> None:
    for read in _find_variable_reads(nodes, variables):
        if read not in kept:
            kept[read] = _clean_node(nodes[read])


def _find_variable_reads(nodes: Mapping[str, Any], variables: Iterable[str]) -> Iterator[str]:
    """Names each variable's plain read, by which Python's loaders know the variable."""
    for name in variables:
        for read in (f"{name}/read", f"{name}/Read/ReadVariableOp"):
            if read in nodes and list(nodes[read].input) == [name]:
                yield read


def _clean_node(node: Any) -> Any:
    cleaned = NodeDef()
    cleaned.CopyFrom(node)
    strip_foreign_attrs(cleaned)
    return cleaned
