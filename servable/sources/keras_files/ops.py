"""ROOM 1: layers of Keras 2 that wrap a TensorFlow function or op. No TensorFlow here.

What passes through: the configuration of TFOpLambda, ClassMethod and TensorFlowOpLayer. tf.keras wrote one
for every TensorFlow call on a symbolic tensor; by name they reach any public symbol of TensorFlow, of which
only those that compute tensors from tensors belong in a model.
"""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf.message import DecodeError

from servable.formats.protos import NodeDef
from servable.graphs.op_classes import (
    CHECKPOINT_READING_OPS,
    CHECKPOINT_WRITING_OPS,
    CODE_OPS,
    FILE_OPS,
    NETWORK_OPS,
)

_SYMBOL_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})
_METHOD_LAYERS = frozenset({"ClassMethod"})
_OP_LAYERS = frozenset({"TensorFlowOpLayer", "AddLoss", "AddMetric"})

# Namespaces of TensorFlow whose functions compute tensors from tensors.
_TENSOR_NAMESPACES = frozenset(
    [
        "__operators__",
        "audio",
        "bitwise",
        "dtypes",
        "experimental.numpy",
        "image",
        "linalg",
        "math",
        "nn",
        "quantization",
        "ragged",
        "random",
        "sets",
        "signal",
        "sparse",
        "strings",
    ]
)
_NAMESPACE_PREFIXES = ("compat.v1.", "compat.v2.", "keras.")
# Of the functions at the top of TensorFlow, those that run code, touch files, or hold state.
_REFUSED_FUNCTIONS = frozenset(
    [
        "function",
        "py_function",
        "numpy_function",
        "print",
        "load_file_system_library",
        "load_library",
        "load_op_library",
        "import_graph_def",
        "init_scope",
        "device",
        "name_scope",
        "control_dependencies",
        "register_tensor_conversion_function",
        "py_func",
        "Print",
        "Session",
        "disable_v2_behavior",
        "enable_v2_behavior",
        "global_variables",
        "get_variable",
        "read_file",
        "write_file",
        "matching_files",
        "save_v2",
        "make_tensor_proto",
        "no_gradient",
    ]
)
# In the namespaces above, and yet reads a file that an argument names (vocab_file).
_FILE_FUNCTIONS = frozenset({"fixed_unigram_candidate_sampler"})
_TENSOR_CLASSES = frozenset({"RaggedTensor", "SparseTensor", "sparse.SparseTensor", "Tensor", "TensorShape"})
_KERAS_NAMESPACES = frozenset({"backend", "activations", "losses", "metrics", "ops"})

# Names of ops that read or write files, run Python, talk to other machines or print.
_REFUSED_OPS = re.compile(
    r"File|PyFunc|Print|Summary|Iterator|Dataset|Save|Restore|Checkpoint|Reader|Queue|Rpc|Send|Recv|Barrier"
    r"|PyCall|Plugin|Library|Launch|Recordio|RecordInput|MergeV2|LoadAnd",
)
_REFUSED_OP_NAMES = CODE_OPS | FILE_OPS | NETWORK_OPS | CHECKPOINT_READING_OPS | CHECKPOINT_WRITING_OPS


def find_op_danger(class_name: str, config: dict[str, Any]) -> str:
    """Says why a layer that wraps a TensorFlow call must not be built; "" when it may, or is no such layer.

    Args:
        class_name: Of the layer.
        config: Its configuration.
    """
    kind = class_name.rpartition(">")[2]
    if kind in _SYMBOL_LAYERS:
        symbol = config.get("function")
        if not isinstance(symbol, str) or not _is_tensor_function(symbol):
            return f"calls tf.{symbol}, which is not a function of tensors"
    if kind in _METHOD_LAYERS and config.get("cls_symbol") not in _TENSOR_CLASSES:
        return f"calls a method of tf.{config.get('cls_symbol')}, which is not a class of tensors"
    if kind in _OP_LAYERS and "node_def" in config:
        op = _read_op(config["node_def"])
        if not op or op in _REFUSED_OP_NAMES or _REFUSED_OPS.search(op):
            return f"runs the op {op or 'of an unreadable node'}, which does not belong in a model"
    return ""


def _is_tensor_function(symbol: str) -> bool:
    for prefix in _NAMESPACE_PREFIXES:
        if symbol.startswith(prefix):
            rest = symbol.removeprefix(prefix)
            return (
                rest.partition(".")[0] in _KERAS_NAMESPACES
                if prefix == "keras."
                else _is_tensor_function(rest)
            )
    namespace, _, name = symbol.rpartition(".")
    if name in _FILE_FUNCTIONS:
        return False
    if not namespace:
        return name not in _REFUSED_FUNCTIONS and re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None
    return namespace in _TENSOR_NAMESPACES or namespace.partition(".")[0] in _TENSOR_NAMESPACES


def _read_op(node_def: Any) -> str:
    # Three layouts in the course of time: the fields as JSON, JSON in a string, the message in a string.
    if isinstance(node_def, str):
        try:
            node_def = json.loads(node_def)
        except ValueError:
            return _read_serialized_op(node_def)
    op = node_def.get("op") if isinstance(node_def, dict) else None
    return op if isinstance(op, str) else ""


def _read_serialized_op(text: str) -> str:
    try:
        return str(NodeDef.FromString(text.encode("utf-8")).op)
    except (DecodeError, UnicodeError):
        return ""
