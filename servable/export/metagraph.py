"""ROOM 2: puts a pruned graph, its saver, its main op and its signatures together into a MetaGraphDef.

What passes through: nodes and names come in, one message tagged `serve` goes out, in the v1 form that every
TensorFlow from 1.4 on can read. TensorFlow is asked for shapes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from servable.export.importing import infer_specs, prune_library, strip_default_attrs
from servable.export.variables import describe_variables
from servable.formats.protos import AssetFileDef, NodeDef, TensorInfo
from servable.graphs.graph import normalize_tensor, unique_name
from servable.graphs.saved_model_parts import ASSETS_COLLECTION, MAIN_OP_COLLECTION, SERVE_TAG
from servable.model import VariableKey
from servable.signature import (
    DEFAULT_SIGNATURE,
    DTYPE_NUMBERS,
    METHOD_NAMES,
    SignatureRequest,
    TensorSpec,
    read_signature,
)

_VARIABLE_COLLECTIONS = ("variables", "trainable_variables")


def build_meta_graph(
    original: Any,
    nodes: Mapping[str, Any],
    signatures: Sequence[SignatureRequest],
    default_name: str | None,
    *,
    variables: Mapping[str, VariableKey],
    saver: Any | None,
    initializers: Sequence[str],
    assets: Sequence[tuple[str, str]],
) -> Any:
    """Builds the MetaGraphDef.

    Args:
        original: The trainer's MetaGraphDef: its functions, versions and VariableDefs are taken over.
        nodes: What is exported, saver included.
        signatures: With explicit inputs and outputs.
        default_name: Signature that `serving_default` repeats, or None.
        variables: Variable node to its key in `variables/`.
        saver: SaverDef, or None where there are no variables.
        initializers: Nodes that fill tables, in the order in which they must run.
        assets: Const node and file name of each asset.

    Raises:
        ExportError: TensorFlow does not take the graph.
        SignatureError: A signature names an output that its node does not have.
    """
    exported = dict(nodes)
    main_op = _add_main_op(exported, initializers) if initializers else None
    graph_def = prune_library(original.graph_def, exported.values())
    ends = {normalize_tensor(t) for s in signatures for t in (*s.inputs.values(), *s.outputs.values())}
    specs = _add_declared(infer_specs(graph_def, sorted(ends)), original)

    meta_graph = strip_default_attrs(graph_def)
    meta_graph.meta_info_def.tags.append(SERVE_TAG)
    if saver is not None:
        meta_graph.saver_def.CopyFrom(saver)
    for request in signatures:
        _write_signature(meta_graph.signature_def[request.name], request, specs)
    if default_name is not None and DEFAULT_SIGNATURE not in meta_graph.signature_def:
        meta_graph.signature_def[DEFAULT_SIGNATURE].CopyFrom(meta_graph.signature_def[default_name])
    for collection in _VARIABLE_COLLECTIONS:
        known = original.collection_def[collection].bytes_list.value if variables else []
        described = describe_variables(exported, variables, known, saver) if known else []
        if described:
            meta_graph.collection_def[collection].bytes_list.value.extend(described)
    if main_op is not None:
        meta_graph.collection_def[MAIN_OP_COLLECTION].node_list.value.append(main_op)
    for const_name, file_name in assets:
        _write_asset(meta_graph, const_name, file_name)
    return meta_graph


def _add_declared(specs: Mapping[str, TensorSpec], original: Any) -> dict[str, TensorSpec]:
    """Takes shapes from the source's own signatures where a call of a function hides them."""
    declared = {
        spec.tensor: spec
        for name, definition in original.signature_def.items()
        for ends in (read_signature(name, definition),)
        for spec in (*ends.inputs.values(), *ends.outputs.values())
    }
    return {
        name: declared[name]
        if spec.shape is None and name in declared and declared[name].dtype == spec.dtype
        else spec
        for name, spec in specs.items()
    }


def _add_main_op(nodes: dict[str, Any], initializers: Sequence[str]) -> str:
    """Adds the op that a server runs once after loading; each initializer waits for the one before it."""
    for before, name in pairwise(initializers):
        node = NodeDef()
        node.CopyFrom(nodes[name])
        if f"^{before}" not in node.input:
            node.input.append(f"^{before}")
        nodes[name] = node
    name = unique_name("init_tables", nodes)
    nodes[name] = NodeDef(name=name, op="NoOp", input=[f"^{initializer}" for initializer in initializers])
    return name


def _write_signature(definition: Any, request: SignatureRequest, specs: Mapping[str, TensorSpec]) -> None:
    definition.method_name = METHOD_NAMES[request.method]
    for pairs, infos in ((request.inputs, definition.inputs), (request.outputs, definition.outputs)):
        for key, tensor in pairs.items():
            _write_tensor_info(infos[key], specs[normalize_tensor(tensor)])


def _write_tensor_info(info: Any, spec: TensorSpec) -> None:
    info.name = spec.tensor
    info.dtype = DTYPE_NUMBERS[spec.dtype]
    if spec.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in spec.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)


def _write_asset(meta_graph: Any, const_name: str, file_name: str) -> None:
    """Names an asset twice: loaders of TensorFlow 1.x look in the collection, later ones in the field."""
    asset = AssetFileDef(tensor_info=TensorInfo(name=f"{const_name}:0"), filename=file_name)
    meta_graph.asset_file_def.add().CopyFrom(asset)
    packed = meta_graph.collection_def[ASSETS_COLLECTION].any_list.value.add()
    packed.type_url = "type.googleapis.com/tensorflow.AssetFileDef"
    packed.value = asset.SerializeToString()
