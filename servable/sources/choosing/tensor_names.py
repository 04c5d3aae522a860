"""ROOM 1: what a tensor's name says of it: whether a person chose it, and which serving key it makes.

What passes through: tensors of a graph come in, keys that read well go out, each once. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from servable.graphs.graph import Edge, spell_tensor
from servable.sources.choosing.training_graph import TrainingGraph
from servable.sources.choosing.training_parts import is_pipeline, lies_in_loss_scope

# Names that TensorFlow's Python gives by itself where they are not the op's own.
_OWN_NAME = re.compile(
    r"^(abs|activation|add|and|argmax|argmin|average_pooling2d|batch|batch_normalization|batchnorm|"
    r"boolean_mask|cast|clip_by_value|concat|cond|conv2d|dense|div|dropout|embedding|"
    r"embedding_lookup|embedding_lookup_sparse|eq|exit|fill|flatten|floordiv|gather_nd|ge|"
    r"gradients|gt|hash_table_lookup|identity|input_pipeline|iteratorgetnext|l2_normalize|lambda|"
    r"le|lookup|lt|matmul|max_pooling2d|merge|mod|model|moments|mul|ne|neg|norm|not|one_hot|"
    r"ones|ones_like|or|output_projection|placeholder|pow|random_normal|random_normal_initializer|"
    r"random_uniform|range|reshape|rnn|rnn_output|select|select_1|selectv2|sequential|"
    r"softmax_cross_entropy|sparsetensordensematmul|sparsetodense|stack|stop_gradient|strided_slice|"
    r"sub|switch|tensordot|todouble|tofloat|toint32|toint64|top_k|transpose|truediv|unstack|"
    r"where|while|xor|xw_plus_b|zeros|zeros_like)$"
)
_OWN_SCOPE = re.compile(_OWN_NAME.pattern + r"|^predictions$")  # an Estimator's head
_NUMBER = re.compile(r"_\d+$")
_INPUT_LAYER = re.compile(r"(^|/)(input_layer|linear_model)(_\d+)?/([^/]+)/")
_COLUMN_KIND = re.compile(r"_(bucketized|indicator|embedding|shared_embedding)$")
_SPARSE_PARTS = frozenset({"indices", "values", "shape"})  # of tf.sparse_placeholder
_KEY_CHARACTER = re.compile(r"[^A-Za-z0-9_.\-]")
_OUTPUT_NAME = re.compile(
    r"(prob|predict|output|score|logit|softmax|sigmoid|class|result|decoded|y_?(hat|pred)|^y(_?out)?$|^pred|"
    r"label|detection|embedding)",
    re.IGNORECASE,
)


def is_named(graph: TrainingGraph, name: str) -> bool:
    """Whether a person, not TensorFlow, chose the last part of a node's name."""
    if lies_in_loss_scope(name):
        return False
    last = _NUMBER.sub("", name.rpartition("/")[2]).lower()
    op = re.sub(r"v\d$", "", graph.nodes[name].op.lower())
    own = {op, graph.nodes[name].op.lower()}
    return last not in own and not _OWN_NAME.match(last) and not lies_in_loss_scope(last)


def is_named_as_output(name: str) -> bool:
    """Whether the last part of a name reads like what a model answers."""
    return bool(_OUTPUT_NAME.search(_NUMBER.sub("", name.rpartition("/")[2])))


def make_input_keys(graph: TrainingGraph, edges: Sequence[Edge]) -> dict[str, str]:
    """Gives each input a key: its own name, the feature column that reads it, or its place.

    Args:
        graph: The graph.
        edges: The tensors, in order.

    Returns:
        Key to tensor name.
    """
    own = [_name_input(graph, edge) for edge in edges]
    plain = "features" if any(is_pipeline(graph.nodes[edge.node]) for edge in edges) else "x"
    return _spread(edges, own, plain)


def make_output_keys(
    graph: TrainingGraph, edges: Sequence[Edge], plain: Mapping[Edge, str]
) -> dict[str, str]:
    """Gives each output a key: its own name, its layer's, or what kind of answer it is.

    Args:
        graph: The graph.
        edges: The tensors, in order.
        plain: Key of each where nobody named it.

    Returns:
        Key to tensor name.
    """
    keys = []
    for edge in edges:
        name = _last_named(graph, edge.node)
        if name and sum(other.node == edge.node for other in edges) > 1:
            name = f"{name}_{edge.output or 0}"
        keys.append(name or plain.get(edge, "y"))
    return _spread(edges, keys, "y")


def _name_input(graph: TrainingGraph, edge: Edge) -> str:
    if is_pipeline(graph.nodes[edge.node]):
        columns = {
            _COLUMN_KIND.sub("", match.group(4))
            for reader, _ in graph.readers.get(edge, ())
            if (match := _INPUT_LAYER.search(reader))
        }
        return columns.pop() if len(columns) == 1 else ""
    return _last_named(graph, edge.node)


def _last_named(graph: TrainingGraph, name: str) -> str:
    """The last part of a name that a person chose, but not a scope above the layer."""
    scope, _, last = name.rpartition("/")
    if scope and last in _SPARSE_PARTS and f"{scope}/values" in graph.nodes:
        return f"{scope.rpartition('/')[2]}_{last}"
    if is_named(graph, name):
        return last
    layer = name.rpartition("/")[0].rpartition("/")[2]
    return (
        layer if layer.strip("0123456789_") and not _OWN_SCOPE.match(_NUMBER.sub("", layer).lower()) else ""
    )


def _spread(edges: Sequence[Edge], keys: Sequence[str], plain: str) -> dict[str, str]:
    bare = [_KEY_CHARACTER.sub("_", key) for key in keys]
    if sum(not key for key in bare) > 1:
        numbers = iter(range(len(bare)))
        bare = [key or f"{plain}_{next(numbers)}" for key in bare]
    result: dict[str, str] = {}
    for edge, key in zip(edges, bare, strict=True):
        result[_make_free(key or plain, result)] = spell_tensor(edge)
    return result


def _make_free(key: str, taken: Collection[str]) -> str:
    number = 1
    free = key
    while free in taken:
        free = f"{key}_{number}"
        number += 1
    return free
