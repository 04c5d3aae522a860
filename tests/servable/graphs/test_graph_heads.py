"""Graphs are told from everything else by how they begin, whatever they are called."""

import pytest

from servable.formats.protos import GraphDef, MetaGraphDef, SavedModel
from servable.graphs.graph_heads import begins_like_graph

GRAPH = GraphDef()
GRAPH.node.add(name="x", op="Placeholder", input=["^y"]).attr["shape"].shape.SetInParent()
GRAPH.node.add(name="y", op="NoOp")
GRAPH.versions.producer = 27
META_GRAPH = MetaGraphDef(graph_def=GRAPH)
META_GRAPH.meta_info_def.tags.append("serve")
LONG_GRAPH = GraphDef()
LONG_GRAPH.node.add(name="w", op="Const").attr["value"].tensor.tensor_content = bytes(300_000)


@pytest.mark.parametrize(
    "data",
    [
        GRAPH.SerializeToString(),
        LONG_GRAPH.SerializeToString(),
        str(GRAPH).encode(),
        b'# written by hand\n\nnode: <\n name: "x" op: "NoOp" >',
    ],
)
def test_a_graph_is_known(data, tmp_path):
    path = tmp_path / "model.bytes"
    path.write_bytes(data)
    assert begins_like_graph(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\xff\xff\xff\xff\xff\xff",
        b"\n\x05\n\x03abc",
        b"node: 3",
        b"a plain text\n",
        bytes(4096),
        META_GRAPH.SerializeToString(),
        str(META_GRAPH).encode(),
        SavedModel(saved_model_schema_version=1, meta_graphs=[META_GRAPH]).SerializeToString(),
        SavedModel(meta_graphs=[META_GRAPH]).SerializeToString(),
    ],
)
def test_nothing_else_is(data, tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(data)
    assert not begins_like_graph(path)
