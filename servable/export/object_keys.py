"""ROOM 2: the keys that the user asked for, written into a SavedModel of TensorFlow's.

What passes through: TensorFlow wants argument names that are Python identifiers, the user may want any key
("input-1", "a/b"). So functions are saved under stand-in names, and the written message is then renamed
everywhere that Python's and C++'s loaders read a key.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.errors import ExportError
from servable.export.dialects.adapting import adapt_meta_graph
from servable.graphs.graph import iterate_all_nodes
from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file
from servable.report import Finding
from servable.signature import DEFAULT_SIGNATURE, METHOD_NAMES, SignatureRequest
from servable.targets.catalog import Target

_FINGERPRINT_FILE = "fingerprint.pb"
# Of what a signature's name may consist where it also names nodes (tensorflow/core/framework/node_def_util).
_NODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class SignatureNames:
    """Stand-in names of one signature.

    Attributes:
        safe_name: Of the signature.
        inputs: Key to argument name.
        outputs: Key to result name.
    """

    safe_name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def name_signature(request: SignatureRequest, number: int) -> SignatureNames:
    """Makes stand-in names that sort as their keys do: loaders flatten dicts in the order of sorted keys.

    Args:
        request: Explicit.
        number: Position among all signatures.
    """
    is_plain = _NODE_NAME.fullmatch(request.name) is not None
    return SignatureNames(
        safe_name=request.name if is_plain else f"signature_{number}",
        inputs={key: f"input_{position:05d}" for position, key in enumerate(sorted(request.inputs))},
        outputs={key: f"output_{position:05d}" for position, key in enumerate(sorted(request.outputs))},
    )


def finish_saved_model(
    saved_model_dir: Path,
    requests: Sequence[SignatureRequest],
    names: Mapping[str, SignatureNames],
    alias_of: str | None,
    *,
    target: Target | None = None,
) -> list[Finding]:
    """Renames stand-ins to the user's keys, sets methods, adds the alias, clears devices.

    Args:
        saved_model_dir: As `tf.saved_model.save` wrote it.
        requests: What was asked.
        names: Signature name to its stand-ins.
        alias_of: The signature that "serving_default" is to stand for; None for no alias.
        target: The runtime that is to load it; None for the one that exports.

    Returns:
        What was changed for the target.

    Raises:
        ExportError: The written message is not as expected, or the target cannot serve it.
    """
    path = saved_model_dir / MODEL_FILE
    saved_model = read_model_file(path)
    meta_graph = saved_model.meta_graphs[0]
    _clear_devices(meta_graph.graph_def)
    children = _find_signature_children(meta_graph.object_graph_def)
    for request in requests:
        own = names[request.name]
        _rename_signature_def(meta_graph.signature_def, request, own)
        _rename_function(meta_graph, children, request, own)
    if alias_of is not None:
        _add_alias(meta_graph, children, alias_of)
    notes = adapt_meta_graph(meta_graph, target) if target is not None else []
    path.write_bytes(saved_model.SerializePartialToString(deterministic=True))
    _write_fingerprint(saved_model_dir)
    return notes


def _rename_signature_def(signature_defs: Any, request: SignatureRequest, own: SignatureNames) -> None:
    written = signature_defs[own.safe_name]
    renamed = type(written)()
    renamed.CopyFrom(written)
    for side, keys, stand_ins in (
        (renamed.inputs, written.inputs, own.inputs),
        (renamed.outputs, written.outputs, own.outputs),
    ):
        side.clear()
        for key, stand_in in stand_ins.items():
            if stand_in not in keys:
                raise ExportError(
                    "TensorFlow wrote a signature with other keys than asked.",
                    expected=", ".join(stand_ins.values()),
                    received=", ".join(sorted(keys)),
                    where=f"signature {request.name!r}",
                )
            side[key].CopyFrom(keys[stand_in])
    renamed.method_name = METHOD_NAMES[request.method]
    del signature_defs[own.safe_name]
    signature_defs[request.name].CopyFrom(renamed)


def _find_signature_children(object_graph: Any) -> Any:
    root = object_graph.nodes[0]
    number = next(child.node_id for child in root.children if child.local_name == "signatures")
    return object_graph.nodes[number].children


def _rename_function(meta_graph: Any, children: Any, request: SignatureRequest, own: SignatureNames) -> None:
    """Renames where Python's loader looks: argument names, both structures, names of the placeholders."""
    object_graph = meta_graph.object_graph_def
    child = next(child for child in children if child.local_name == own.safe_name)
    child.local_name = request.name
    function = object_graph.nodes[child.node_id].bare_concrete_function
    to_key = {stand_in: key for key, stand_in in own.inputs.items()}
    function.argument_keywords[:] = [to_key.get(word, word) for word in function.argument_keywords]
    # It spells the stand-ins as Python parameters, which a key need not be; without it Python's loader goes
    # by argument_keywords alone.
    function.ClearField("function_spec")
    concrete = object_graph.concrete_functions[function.concrete_function_name]
    _rename_fields(concrete.canonicalized_input_signature, to_key)
    _rename_fields(concrete.output_signature, {stand_in: key for key, stand_in in own.outputs.items()})
    for definition in meta_graph.graph_def.library.function:
        if definition.signature.name == function.concrete_function_name:
            for attributes in definition.arg_attr.values():
                name = attributes.attr["_user_specified_name"].s.decode()
                if name in to_key:
                    attributes.attr["_user_specified_name"].s = to_key[name].encode()


def _rename_fields(structure: Any, to_key: Mapping[str, str]) -> None:
    kind = structure.WhichOneof("kind")
    if kind == "tuple_value":
        for value in structure.tuple_value.values:
            _rename_fields(value, to_key)
    elif kind == "dict_value":
        fields = structure.dict_value.fields
        for stand_in in [name for name in fields if name in to_key]:
            fields[to_key[stand_in]].CopyFrom(fields[stand_in])
            del fields[stand_in]
        for value in fields.values():
            if value.WhichOneof("kind") == "tensor_spec_value":
                value.tensor_spec_value.name = to_key.get(
                    value.tensor_spec_value.name, value.tensor_spec_value.name
                )


def _add_alias(meta_graph: Any, children: Any, alias_of: str) -> None:
    meta_graph.signature_def[DEFAULT_SIGNATURE].CopyFrom(meta_graph.signature_def[alias_of])
    number = next(child.node_id for child in children if child.local_name == alias_of)
    children.add(node_id=number, local_name=DEFAULT_SIGNATURE)


def _clear_devices(graph_def: Any) -> None:
    for _, node in iterate_all_nodes(graph_def):
        node.device = ""


def _write_fingerprint(saved_model_dir: Path) -> None:
    """Computes the fingerprint again: the one that TensorFlow wrote describes the message before renaming.

    Its number, which TensorFlow draws, is derived from the rest, so that the same model is the same bytes.
    """
    from tensorflow.core.protobuf import fingerprint_pb2
    from tensorflow.python.saved_model import fingerprinting_utils

    path = saved_model_dir / _FINGERPRINT_FILE
    path.unlink(missing_ok=True)
    fingerprinting_utils.write_fingerprint(str(saved_model_dir))
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.uuid = ""
    fingerprint.uuid = str(uuid.UUID(bytes=hashlib.sha256(fingerprint.SerializeToString()).digest()[:16]).int)
    path.write_bytes(fingerprint.SerializeToString())
