"""ROOM 1: the graph that a user's `build_graph()` makes, for a checkpoint that came without its graph.

What passes through: the file behind `--module` is run; its graph comes out as a MetaGraphDef, its two dicts
as a signature. No variable is initialized and no session is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import EncodeError

from servable.errors import SettingsError
from servable.formats.protos import MetaGraphDef
from servable.graphs.graph import TEXT_FILE_INITIALIZER_OPS, index_nodes, normalize_tensor
from servable.graphs.graph_files import find_file_names
from servable.report import Finding
from servable.signature import DEFAULT_SIGNATURE, SignatureRequest
from servable.sources.user_code.running import find_function, note_user_code, run_user_file, tell_failure
from servable.sources.user_code.tensorflow_1 import build_tensorflow_1_graph

FLAG: Final = "--module"
FUNCTION_NAME: Final = "build_graph"
RETURNS: Final = "(inputs, outputs), two dicts of key to tensor, such as {'x': x}, {'y': y}"


@dataclass(frozen=True, slots=True)
class ModuleGraph:
    """A graph that the user's code has built.

    Attributes:
        meta_graph: tensorflow.MetaGraphDef, a message of `servable.formats.protos`.
        request: What the code says are inputs and outputs.
        assets: Files that its lookup tables read, by their path in the graph.
        note: Which file was run.
    """

    meta_graph: Any
    request: SignatureRequest
    assets: Mapping[str, Path]
    note: Finding


def build_module_graph(path: Path) -> ModuleGraph:
    """Runs a user's file and takes the graph that its `build_graph()` makes.

    Args:
        path: A Python file. It runs in a graph of its own, as TensorFlow 1 would have run it.

    Raises:
        SettingsError: The file fails, defines no `build_graph`, or that returns something else than two dicts
            of tensors of one graph.
    """
    import tensorflow as tf

    with build_tensorflow_1_graph(path) as opened:
        module = run_user_file(path, FLAG)
        function = find_function(module, FUNCTION_NAME, path, returns=RETURNS)
        with tell_failure(path, f"{FUNCTION_NAME}() of {path.name} failed."):
            returned = function()
        inputs, outputs = _read_returned(returned, path)
        values = [*inputs.values(), *outputs.values()]
        # The code may have opened a graph of its own.
        graph = next((value.graph for value in values if isinstance(value, tf.Tensor)), opened)
        with graph.as_default():
            fed = {key: _name_tensor(value, graph, key, path) for key, value in inputs.items()}
            fetched = {key: _name_tensor(value, graph, key, path) for key, value in outputs.items()}
        try:
            message = tf.compat.v1.train.export_meta_graph(graph=graph).SerializeToString()
        except (ValueError, EncodeError) as error:
            raise SettingsError(
                "The graph is too large to be written down.",
                expected="weights in variables, not in constants: at most 2 GB",
                received=str(error),
                where=str(path),
            ) from error
    meta_graph = MetaGraphDef.FromString(message)
    return ModuleGraph(
        meta_graph,
        SignatureRequest(DEFAULT_SIGNATURE, fed, fetched),
        _find_files(meta_graph, path),
        note_user_code(path, FLAG),
    )


def _read_returned(returned: Any, path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    is_pair = isinstance(returned, tuple | list) and len(returned) == 2
    if not is_pair or not all(_is_side(side) for side in returned):
        received = [type(item).__name__ for item in returned] if is_pair else []
        raise SettingsError(
            f"{FUNCTION_NAME}() of {path.name} returned something else than inputs and outputs.",
            expected=RETURNS,
            received=" and ".join(received) or type(returned).__name__,
            where=str(path),
            advice="end it with: return {'x': x}, {'y': y}",
        )
    inputs, outputs = returned
    return inputs, outputs


def _is_side(side: object) -> bool:
    return isinstance(side, Mapping) and bool(side) and all(isinstance(key, str) for key in side)


def _name_tensor(value: Any, graph: Any, key: str, path: Path) -> str:
    """Names a tensor of the graph; a variable is named by a read of it, a name is looked up."""
    import tensorflow as tf

    try:
        if isinstance(value, str):
            return str(graph.get_tensor_by_name(normalize_tensor(value)).name)
        if isinstance(value, tf.Variable):
            value = tf.identity(value)
        if isinstance(value, tf.Tensor) and value.graph is graph:
            return str(value.name)
    except (KeyError, ValueError) as error:
        reason = str(error)
    else:
        reason = "it is of another graph" if isinstance(value, tf.Tensor) else type(value).__name__
    raise SettingsError(
        f"{FUNCTION_NAME}() of {path.name} returned under {key!r} no tensor of the graph that it built.",
        expected="a tensor or a tensor's name; of a SparseTensor its indices, values and dense_shape, each "
        "under a key of its own",
        received=f"{value!r}: {reason}",
        where=str(path),
    )


def _find_files(meta_graph: Any, path: Path) -> dict[str, Path]:
    """Finds the files that the user's own code names, from where it runs or from its own folder."""
    nodes = index_nodes(meta_graph.graph_def)
    readers = [name for name, node in nodes.items() if node.op in TEXT_FILE_INITIALIZER_OPS]
    found = {}
    for graph_path in find_file_names(nodes, readers).values():
        for candidate in (Path(graph_path), path.parent / graph_path):
            if graph_path and candidate.is_file():
                found[graph_path] = candidate.resolve()
                break
    return found
