"""Which variable and which table of a graph lies under which key of its checkpoint. No TensorFlow here.

What passes through: a MetaGraphDef comes in, keys go out, read off what its own saver restores. TF1 restores
with ops in the graph, TF2 inside a function that is called with every variable; both are followed from the
restored tensor to the variable that takes it, because neither names of nodes nor of objects are keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servable.formats.protos import VariableDef, decode_message
from servable.graphs.frames import Frame, ValueOrigin, find_nodes, open_frame
from servable.graphs.graph import VARIABLE_OPS, find_ancestors, read_const_strings, read_edge
from servable.graphs.op_classes import CHECKPOINT_READING_OPS
from servable.graphs.variables import spell_slice
from servable.model import TableKeys, VariableKey

_ASSIGN_OPS = frozenset({"Assign", "AssignVariableOp"})
_IMPORT_OPS = frozenset({"LookupTableImport", "LookupTableImportV2"})
_VARIABLES_COLLECTION = "variables"


@dataclass(frozen=True, slots=True)
class SavedState:
    """What lies in a SavedModel's checkpoint, by node."""

    variable_keys: Mapping[str, VariableKey]
    table_keys: Mapping[str, TableKeys]


def read_saved_state(meta_graph: Any) -> SavedState:
    """Reads what the SavedModel's own saver restores.

    Returns:
        Nothing of variables where there is no saver: they lie under their own names, but for parts of one
        that the trainer split.
    """
    frame = open_frame(meta_graph.graph_def)
    root = read_edge(meta_graph.saver_def.restore_op_name).node
    if root not in frame.nodes:
        return SavedState(read_parts(meta_graph), {})
    variables: dict[str, VariableKey] = {}
    tables: dict[str, TableKeys] = {}
    reached = find_ancestors(frame.nodes, [root])
    for place, node in find_nodes(frame, reached, _ASSIGN_OPS | _IMPORT_OPS):
        data = [place.find_origin(text) for text in node.input if not text.startswith("^")]
        if not data or data[0] is None:
            continue
        target = _name_target(data[0])
        keys = [_read_key(origin) for origin in data[1:]]
        if node.op in _ASSIGN_OPS and frame.nodes[target].op in VARIABLE_OPS and keys and keys[0] is not None:
            variables[target] = keys[0]
        elif node.op in _IMPORT_OPS and len(keys) == 2 and keys[0] is not None and keys[1] is not None:
            tables[target] = TableKeys(keys[0].key, keys[1].key)
    return SavedState(variables, tables)


def add_variable_names(meta_graph: Any, keys: Mapping[str, VariableKey]) -> None:
    """Gives a graph the collection of variables by which Python's loaders know them."""
    if _VARIABLES_COLLECTION in meta_graph.collection_def:
        return
    names = {node.name for node in meta_graph.graph_def.node}
    for name in sorted(keys):
        read = f"{name}/Read/ReadVariableOp"
        if read in names:
            definition = VariableDef(
                variable_name=f"{name}:0", snapshot_name=f"{read}:0", is_resource=True, trainable=True
            )
            values = meta_graph.collection_def[_VARIABLES_COLLECTION].bytes_list.value
            values.append(definition.SerializeToString())


def _name_target(origin: ValueOrigin) -> str:
    """Names the node of the graph that stands for what is filled; a function may have made it."""
    name, frame = str(origin.node.name), origin.frame
    while frame.caller is not None:
        name, frame = frame.call, frame.caller
    return name


def _read_key(origin: ValueOrigin | None) -> VariableKey | None:
    if origin is None or origin.node.op not in CHECKPOINT_READING_OPS or len(origin.node.input) < 2:
        return None
    names = _read_strings(origin.frame, origin.node.input[1])
    slices = _read_strings(origin.frame, origin.node.input[2]) if len(origin.node.input) > 2 else []
    if origin.output >= len(names):
        return None
    slice_spec = slices[origin.output].decode("utf-8", "replace") if origin.output < len(slices) else ""
    return VariableKey(names[origin.output].decode("utf-8", "replace"), slice_spec)


def _read_strings(frame: Frame, text: str) -> list[bytes]:
    origin = frame.find_origin(text)
    return (read_const_strings(origin.node) or []) if origin is not None else []


def read_parts(meta_graph: Any) -> dict[str, VariableKey]:
    """Reads from the collection which variables are parts of one that lies in the checkpoint as a whole."""
    if _VARIABLES_COLLECTION not in meta_graph.collection_def:
        return {}
    keys = {}
    for data in meta_graph.collection_def[_VARIABLES_COLLECTION].bytes_list.value:
        definition = decode_message(VariableDef, data, where=f"collection {_VARIABLES_COLLECTION}")
        part = definition.save_slice_info_def
        if part.full_name and len(part.full_shape) == len(part.var_offset) == len(part.var_shape):
            spec = spell_slice(part.full_shape, part.var_offset, part.var_shape)
            keys[read_edge(definition.variable_name).node] = VariableKey(part.full_name, spec)
    return keys
