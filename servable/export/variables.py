"""ROOM 2: a saver for exactly the variables that serving needs.

What passes through: the variable nodes that the signatures reach and their keys in the trainer's checkpoint
come in; save and restore nodes, a SaverDef and VariableDefs go out. The tensors themselves are copied from
checkpoint to SavedModel as bytes (`servable.formats.checkpoints.bundle`), so no session and no tensor is ever
held. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from servable.errors import SignatureError
from servable.formats.checkpoints.bundle import TensorBundle
from servable.formats.protos import NodeDef, SaverDef, VariableDef, decode_message
from servable.graphs.graph import REF_VARIABLE_OPS, unique_name
from servable.graphs.training_tensors import split_training_tensors
from servable.model import TableKeys, VariableKey
from servable.report import Finding, Severity

_DT_STRING = 7


def require_averages(
    variables: Mapping[str, VariableKey], keys: Mapping[str, VariableKey], *, where: str
) -> None:
    """Refuses signatures that no moving average reaches, where the user has asked for averages.

    Args:
        variables: Exported variable to its key.
        keys: Those of the whole graph.
        where: The checkpoint, for the error.

    Raises:
        SignatureError: Averages are there, but none is of an exported variable.
    """
    averaged = sorted(name for name, key in keys.items() if key.average_of)
    if averaged and variables and not any(key.average_of for key in variables.values()):
        raise SignatureError(
            "None of the variables that the signatures need has a moving average.",
            expected="outputs that depend on " + ", ".join(averaged),
            received="outputs that depend on " + ", ".join(variables),
            where=where,
            advice="leave --ema out, or choose other outputs",
        )


def note_variables(
    variables: Mapping[str, VariableKey], tables: Mapping[str, TableKeys], bundle: TensorBundle
) -> list[Finding]:
    """Says how many variables took a moving average, and what of the checkpoint serving does not need.

    Args:
        variables: Exported variable to its key.
        tables: Exported lookup table to its keys.
        bundle: The trainer's checkpoint.
    """
    notes = []
    plain = [name for name, key in variables.items() if not key.average_of]
    if len(plain) < len(variables):
        text = f"{len(variables) - len(plain)} of {len(variables)} variables take their moving average"
        text += f", {len(plain)} have none: {', '.join(plain)}" if plain else ""
        notes.append(Finding("export", Severity.INFO, text, where=str(bundle.prefix)))
    taken = {key.key for key in variables.values()}
    taken |= {key for table in tables.values() for key in (table.keys, table.values)}
    dropped = set(bundle.entries) - taken
    if dropped:
        slots, others = split_training_tensors(dropped, bundle.entries)
        counts = [f"{len(slots)} of training (optimizer slots, steps, averages)"] if slots else []
        counts += [f"{len(others)} others"] if others else []
        size_bytes = sum(bundle.entries[key].size_bytes for key in dropped)
        text = f"dropped tensors that serving does not need: {' and '.join(counts)}"
        text += f", {_spell_size(size_bytes)}"
        notes.append(Finding("export", Severity.INFO, text, where=str(bundle.prefix)))
    return notes


def _spell_size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 10**5 else f"{size_bytes} bytes"


def add_saver(nodes: dict[str, Any], variables: Mapping[str, VariableKey]) -> Any:
    """Adds save and restore nodes for the variables.

    Args:
        nodes: By name; nodes are added.
        variables: Variable node to its key.

    Returns:
        The SaverDef that names them.
    """
    scope = unique_name("save", {name.partition("/")[0] for name in nodes})
    names = list(variables)
    dtypes = [nodes[name].attr["dtype"].type for name in names]
    filename = add_strings(nodes, f"{scope}/Const", [b"model"], scalar=True)
    key_names = add_strings(
        nodes, f"{scope}/tensor_names", [v.exported_key.encode() for v in variables.values()]
    )
    slices = add_strings(
        nodes, f"{scope}/shape_and_slices", [v.slice_spec.encode() for v in variables.values()]
    )

    restore = _add_node(nodes, f"{scope}/RestoreV2", "RestoreV2", [filename, key_names, slices])
    restore.attr["dtypes"].list.type.extend(dtypes)
    assigns = []
    values = []
    for position, (name, dtype) in enumerate(zip(names, dtypes, strict=True)):
        value = f"{restore.name}:{position}" if position else restore.name
        if nodes[name].op in REF_VARIABLE_OPS:
            assign = _add_node(nodes, f"{scope}/Assign_{position}", "Assign", [name, value])
            assign.attr["T"].type = dtype
            values.append(name)
        else:
            assign = _add_node(nodes, f"{scope}/Assign_{position}", "AssignVariableOp", [name, value])
            assign.attr["dtype"].type = dtype
            read = _add_node(nodes, f"{scope}/Read_{position}", "ReadVariableOp", [name])
            read.attr["dtype"].type = dtype
            values.append(read.name)
        assigns.append(assign.name)
    restore_all = _add_node(nodes, f"{scope}/restore_all", "NoOp", [f"^{name}" for name in assigns])

    save = _add_node(nodes, f"{scope}/SaveV2", "SaveV2", [filename, key_names, slices, *values])
    save.attr["dtypes"].list.type.extend(dtypes)
    saved = _add_node(nodes, f"{scope}/control_dependency", "Identity", [filename, f"^{save.name}"])
    saved.attr["T"].type = _DT_STRING
    return SaverDef(
        filename_tensor_name=f"{filename}:0",
        save_tensor_name=f"{saved.name}:0",
        restore_op_name=restore_all.name,
        max_to_keep=5,
        version=SaverDef.V2,
    )


def describe_variables(
    nodes: Mapping[str, Any], variables: Mapping[str, VariableKey], known: Sequence[bytes], saver: Any
) -> list[bytes]:
    """Makes the VariableDefs that Python's loaders look for in the `variables` collection.

    Args:
        nodes: By name, with the saver's.
        variables: Variable node to its key.
        known: Serialized VariableDefs of the trainer's graph; their slice info is kept.
        saver: The SaverDef; its Assign nodes stand for the initializers, which are not exported.

    Returns:
        Serialized VariableDefs of the variables whose read node is in the graph.
    """
    scope = saver.restore_op_name.rpartition("/")[0]
    positions = {name: position for position, name in enumerate(variables)}
    described = []
    for data in known:
        definition = decode_message(VariableDef, data, where="the graph's collection of variables")
        position = positions.get(definition.variable_name.rpartition(":")[0])
        if position is None or definition.snapshot_name.rpartition(":")[0] not in nodes:
            continue
        definition.initializer_name = f"{scope}/Assign_{position}"
        definition.initial_value_name = ""
        described.append(definition.SerializeToString())
    return described


def add_strings(nodes: dict[str, Any], name: str, values: Sequence[bytes], *, scalar: bool = False) -> str:
    """Adds a Const of strings, and gives its name back."""
    node = _add_node(nodes, name, "Const", [])
    node.attr["dtype"].type = _DT_STRING
    tensor = node.attr["value"].tensor
    tensor.dtype = _DT_STRING
    tensor.tensor_shape.SetInParent()
    if not scalar:
        tensor.tensor_shape.dim.add(size=len(values))
    tensor.string_val.extend(values)
    return name


def _add_node(nodes: dict[str, Any], name: str, op: str, inputs: Sequence[str]) -> Any:
    node = NodeDef(name=name, op=op, input=inputs)
    nodes[name] = node
    return node
