"""Has TensorFlow run an op, then what an older runtime is to run in its place, and compares."""

from __future__ import annotations

import numpy as np
import pytest

from servable.errors import CheckError
from servable.export.dialects.adapting import adapt_meta_graph
from servable.formats.protos import GraphDef, MetaGraphDef, SavedModel
from servable.graphs.graph import iterate_all_nodes, strip_foreign_attrs
from servable.runtime.installed import find_runtime
from servable.runtime.outcome import Call
from servable.runtime.session import open_session
from servable.signature import DTYPE_NUMBERS
from servable.targets.catalog import Target

_KEPT = "kept_{}"


@pytest.fixture
def agree(request, tmp_path):
    """Builds a graph with newer ops, adapts it, and has TensorFlow run both.

    Called with a function of tensors and the arrays to feed: `agree(call, *feeds, version=..., place=...)`.
    `shapes` are the placeholders' where these know more than a number of dimensions, or less. With
    --every-case, the real runtime of that version is asked too, where it is installed.
    """

    def check(call, *feeds, version="1.12.3", place="graph", shapes=None, rtol=1e-5, atol=1e-6):
        shapes = shapes or [[None] * np.ndim(feed) for feed in feeds]
        graph_def, names, outputs = _build(call, feeds, shapes, place)
        fed = {f"{name}:0": feed for name, feed in zip(names, feeds, strict=True)}
        expected = _run(graph_def, fed, outputs)
        target = make_target(version)
        adapted, moved = _adapt(graph_def, outputs, expected, target)
        _compare(_run(adapted.graph_def, fed, moved), expected, rtol=rtol, atol=atol)
        # For TensorFlow 1, exports are without functions.
        if request.config.getoption("--every-case") and not (target.is_v1 and place == "function"):
            _prove(adapted, fed, moved, expected, tmp_path, version=version, rtol=rtol, atol=atol)

    return check


def make_target(version):
    return Target(f"tensorflow-{version}", version, "TensorFlow", frozenset(DTYPE_NUMBERS))


def _adapt(graph_def, outputs, expected, target):
    meta_graph = MetaGraphDef(graph_def=GraphDef.FromString(graph_def.SerializeToString()))
    meta_graph.meta_info_def.tags.append("serve")
    for _, node in iterate_all_nodes(meta_graph.graph_def):
        strip_foreign_attrs(node)
    infos = meta_graph.signature_def["s"].outputs
    for number, (tensor, array) in enumerate(zip(outputs, expected, strict=True)):
        infos[str(number)].name = tensor
        infos[str(number)].dtype = DTYPE_NUMBERS["string" if array.dtype == object else array.dtype.name]
    replaced = adapt_meta_graph(meta_graph, target)
    assert replaced, "nothing was replaced"
    return meta_graph, [infos[str(number)].name for number in range(len(outputs))]


def _compare(received, expected, *, rtol, atol):
    for one, other in zip(received, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        if one.dtype.kind in "OSUb":
            assert one.tolist() == other.tolist()
        else:
            np.testing.assert_allclose(one.astype(complex), other.astype(complex), rtol=rtol, atol=atol)


def _prove(meta_graph, fed, outputs, expected, folder, *, version, rtol, atol):
    """Asks the runtime that the graph was adapted for."""
    try:
        library = find_runtime(version).library
    except CheckError:
        return  # not installed
    saved_model = SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph])
    (folder / "saved_model.pb").write_bytes(saved_model.SerializePartialToString())
    with open_session(folder, library=library) as session:
        assert session.load_fault is None, f"{version} loads it"
        result = session.run(Call({name: np.asarray(feed) for name, feed in fed.items()}, tuple(outputs)))
    assert result.fault is None, f"{version} runs it"
    # Other kernels add up in another order.
    received = [result.outputs[tensor] for tensor in outputs]
    _compare(received, expected, rtol=max(rtol, 1e-4), atol=max(atol, 1e-4))


def _build(call, feeds, shapes, place):
    import tensorflow as tf

    from servable.export.inlining import inline_calls

    with tf.Graph().as_default() as graph:
        inputs = [
            tf.compat.v1.placeholder(tf.as_dtype(np.asarray(feed).dtype), shape)
            for feed, shape in zip(feeds, shapes, strict=True)
        ]
        run = {"graph": call, "function": tf.function(call, autograph=False), "loop": _loop(call)}[place]
        results = tf.nest.flatten(run(*inputs))
        names = [tensor.op.name for tensor in inputs]
        outputs = [tf.identity(tensor, _KEPT.format(n)).name for n, tensor in enumerate(results)]
    graph_def = graph.as_graph_def()
    if place == "loop":
        plain = GraphDef.FromString(graph_def.SerializeToString())
        graph_def = tf.compat.v1.GraphDef.FromString(
            inline_calls(plain, [*names, *outputs]).SerializeToString()
        )
        assert any(node.op == "Enter" for node in graph_def.node)
    elif place == "function":
        assert graph_def.library.function
    return graph_def, names, outputs


def _loop(call):
    """Makes a loop of one turn, in which the call is made."""
    import tensorflow as tf

    def run(*inputs):
        types = tf.nest.map_structure(lambda tensor: tensor.dtype, call(*inputs))
        flat = tf.nest.flatten(types)
        free = tf.TensorShape(None)
        _, *results = tf.while_loop(
            lambda turn, *_: turn < 1,
            lambda turn, *_: [turn + 1, *tf.nest.flatten(call(*inputs))],
            [tf.constant(0), *(tf.zeros([0], dtype) for dtype in flat)],
            shape_invariants=[tf.TensorShape([]), *[free] * len(flat)],
        )
        return results

    return run


def _run(graph_def, feeds, outputs):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(
            tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString()), name=""
        )
        with tf.compat.v1.Session(graph=graph) as session:
            results = session.run(outputs, feeds)
    return [np.asarray(x, dtype=object if isinstance(x, bytes) else None) for x in results]
