"""ROOM 2: tables whose entries lie in the checkpoint, beside the variables.

What passes through: a table that training filled (a mutable hash table, such as the vocabulary that a Keras
layer has learnt) is saved as two tensors. They are copied as bytes like variables, and the saver that a
server runs at load fills the table from them. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from servable.errors import BrokenSourceError
from servable.export.variables import add_strings
from servable.formats.checkpoints.bundle_entries import BundleEntry
from servable.formats.protos import NodeDef, SaverDef
from servable.graphs.graph import unique_name
from servable.model import TableKeys
from servable.signature import DTYPE_NUMBERS

# lookup_ops.cc: the older ops hand a table on as the reference of a string.
_REF_TABLE_OPS = frozenset({"MutableHashTable", "MutableHashTableOfTensors", "MutableDenseHashTable"})


def match_tables(
    keys: Mapping[str, TableKeys],
    reached: Collection[str],
    entries: Mapping[str, BundleEntry],
    *,
    where: str,
) -> dict[str, TableKeys]:
    """Finds the tables that serving needs in the checkpoint.

    Raises:
        BrokenSourceError: Their tensors are not there; all are listed.
    """
    matched = {name: table for name, table in sorted(keys.items()) if name in reached}
    missing = [key for table in matched.values() for key in (table.keys, table.values) if key not in entries]
    if missing:
        raise BrokenSourceError(
            "Entries of lookup tables are not in the checkpoint.",
            expected=", ".join(missing),
            received=f"{len(entries)} other tensors",
            where=where,
            advice="copy the model again from where it was written, with all of its files",
        )
    return matched


def add_tables_to_saver(
    nodes: dict[str, Any],
    saver: Any | None,
    tables: Mapping[str, TableKeys],
    entries: Mapping[str, BundleEntry],
) -> Any:
    """Lets a saver fill tables too.

    Args:
        nodes: By name; nodes are added.
        saver: The variables' own SaverDef, or None where there are no variables.
        tables: Table node to its tensors.
        entries: The checkpoint's, for the types.

    Returns:
        The SaverDef.
    """
    saver = _start_saver(nodes) if saver is None else saver
    filename = saver.filename_tensor_name.rpartition(":")[0]
    scope = unique_name(f"{saver.restore_op_name.rpartition('/')[0]}/tables", nodes)
    wanted = [key for table in tables.values() for key in (table.keys, table.values)]
    names = add_strings(nodes, f"{scope}/tensor_names", [key.encode() for key in wanted])
    slices = add_strings(nodes, f"{scope}/shape_and_slices", [b""] * len(wanted))
    types = [DTYPE_NUMBERS[entries[key].dtype] for key in wanted]
    restore = NodeDef(name=f"{scope}/RestoreV2", op="RestoreV2", input=[filename, names, slices])
    restore.attr["dtypes"].list.type.extend(types)
    nodes[restore.name] = restore
    restore_all = NodeDef()
    restore_all.CopyFrom(nodes[saver.restore_op_name])
    for position, name in enumerate(tables):
        op = "LookupTableImport" if nodes[name].op in _REF_TABLE_OPS else "LookupTableImportV2"
        values = [f"{restore.name}:{2 * position}", f"{restore.name}:{2 * position + 1}"]
        node = NodeDef(name=f"{scope}/Import_{position}", op=op, input=[name, *values])
        node.attr["Tin"].type, node.attr["Tout"].type = types[2 * position : 2 * position + 2]
        nodes[node.name] = node
        restore_all.input.append(f"^{node.name}")
    nodes[restore_all.name] = restore_all
    return saver


def _start_saver(nodes: dict[str, Any]) -> Any:
    scope = unique_name("save", {name.partition("/")[0] for name in nodes})
    filename = add_strings(nodes, f"{scope}/Const", [b"model"], scalar=True)
    restore_all = NodeDef(name=f"{scope}/restore_all", op="NoOp")
    nodes[restore_all.name] = restore_all
    return SaverDef(
        filename_tensor_name=f"{filename}:0",
        save_tensor_name=f"{filename}:0",
        restore_op_name=restore_all.name,
        version=SaverDef.V2,
    )
