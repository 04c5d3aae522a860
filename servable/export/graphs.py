"""ROOM 2: a TF1 graph and its checkpoint become a SavedModel, without a session.

What passes through: a `GraphBody` and explicit signatures come in; a SavedModel in v1 form is written into a
folder. The graph is cut down to what the signatures need as plain messages, TensorFlow only infers shapes
and proves that the result can be imported, and the variables are copied as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from servable.errors import SignatureError
from servable.export.folding import fold_conditionals
from servable.export.importing import assemble_graph, infer_specs
from servable.export.inputs import cut_inputs
from servable.export.metagraph import build_meta_graph
from servable.export.switches import freeze_switches, unknown_tensor
from servable.export.tables import (
    Asset,
    find_assets,
    find_table_initializers,
    order_initializers,
    point_to_asset,
)
from servable.export.variables import add_saver, find_variables, match_variables
from servable.export.writing import write_saved_model
from servable.formats.bundle import copy_tensors, open_bundle
from servable.formats.graph import (
    find_ancestors,
    index_nodes,
    normalize_tensor,
    read_edge,
    strip_foreign_attrs,
)
from servable.formats.protos import NodeDef
from servable.model import GraphBody, Progress, Scalar, VariableKey
from servable.signature import SignatureRequest, TensorSpec


def write_graph_model(
    body: GraphBody,
    signatures: Sequence[SignatureRequest],
    default_name: str | None,
    out_dir: Path,
    *,
    frozen: Mapping[str, Scalar],
    progress: Progress | None = None,
) -> None:
    """Writes a SavedModel in v1 form.

    Args:
        body: Graph and checkpoint.
        signatures: With explicit inputs and outputs.
        default_name: Signature that `serving_default` repeats, or None.
        out_dir: A folder that does not exist yet.
        frozen: Training switches and their value in serving.
        progress: Told of the bytes of variables copied.

    Raises:
        SignatureError: A tensor is unknown, or an output needs a placeholder that is no input.
        BrokenSourceError: Variables or vocabulary files are missing or damaged.
        ExportError: TensorFlow refuses the graph, or the files cannot be written.
    """
    nodes = index_nodes(body.meta_graph.graph_def)
    _check_tensors(nodes, signatures)
    nodes = fold_conditionals(freeze_switches(nodes, frozen))
    nodes, signatures = cut_inputs(nodes, signatures, partial(_infer_specs, body.meta_graph, nodes))
    _check_placeholders(nodes, signatures)

    # Inputs too: one that no output depends on must still be there to be fed.
    ends = [tensor for r in signatures for tensor in (*r.outputs.values(), *r.inputs.values())]
    reached = find_ancestors(nodes, ends)
    initializers = order_initializers(nodes, find_table_initializers(nodes, reached))
    reached |= find_ancestors(nodes, initializers)
    found_assets = find_assets(nodes, initializers, body.asset_dir, body.assets)

    bundle = None if body.checkpoint_prefix is None else open_bundle(body.checkpoint_prefix)
    variables = match_variables(
        find_variables(nodes, reached),
        body.variable_keys,
        bundle.entries if bundle else (),
        where=str(body.checkpoint_prefix or body.asset_dir),
    )
    kept = {name: _clean_node(node) for name, node in nodes.items() if name in reached}
    _keep_variable_reads(kept, nodes, variables)
    for asset in found_assets:
        kept[asset.const_name] = point_to_asset(kept[asset.const_name], asset.file_name)
    saver = add_saver(kept, variables) if variables else None
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

    out_dir.mkdir(parents=True)
    if bundle is not None and variables:
        (out_dir / "variables").mkdir()
        keys = {key.key: key.key for key in variables.values()}
        copy_tensors(bundle, keys, out_dir / "variables" / "variables", progress=progress)
    write_saved_model(out_dir, meta_graph, _name_assets(found_assets))


def _infer_specs(
    meta_graph: Any, nodes: Mapping[str, Any], tensors: Sequence[str]
) -> Mapping[str, TensorSpec]:
    needed = [_clean_node(nodes[name]) for name in find_ancestors(nodes, tensors)]
    library = meta_graph.graph_def.library
    graph_def = assemble_graph(needed, library.function, library.gradient, meta_graph.graph_def.versions)
    return infer_specs(graph_def, tensors)


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
    """Keeps each variable's plain read, by which Python's loaders know the variable."""
    for name in variables:
        for read in (f"{name}/read", f"{name}/Read/ReadVariableOp"):
            node = nodes.get(read)
            if node is not None and read not in kept and list(node.input) == [name]:
                kept[read] = _clean_node(node)


def _clean_node(node: Any) -> Any:
    cleaned = NodeDef()
    cleaned.CopyFrom(node)
    strip_foreign_attrs(cleaned)
    return cleaned
