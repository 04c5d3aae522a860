import pytest

from servable.formats.protos import MetaGraphDef, NodeDef
from servable.signature import DTYPE_NUMBERS


@pytest.fixture
def make_node():
    """Makes a node from plain values: a type is given by its name, as "float32"."""
    return _make_node


def _make_node(op, inputs=(), name="n", **attrs):
    node = NodeDef(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        attr = node.attr[key]
        if isinstance(value, bool):
            attr.b = value
        elif isinstance(value, int):
            attr.i = value
        elif isinstance(value, float):
            attr.f = value
        elif isinstance(value, bytes):
            attr.s = value
        elif isinstance(value, list):
            attr.list.type.extend(DTYPE_NUMBERS[name] for name in value)
        else:
            attr.type = DTYPE_NUMBERS[value]
    return node


@pytest.fixture
def make_meta_graph():
    """Makes a MetaGraphDef of nodes, with one signature from "x:0" to an output."""

    def make(nodes, output, *, functions=None, dtype="float32"):
        meta_graph = MetaGraphDef()
        meta_graph.graph_def.node.extend([_make_node("Placeholder", name="x", dtype=dtype), *nodes])
        for name, body in (functions or {}).items():
            function = meta_graph.graph_def.library.function.add()
            function.signature.name = name
            function.node_def.extend(body)
        signature = meta_graph.signature_def["serving_default"]
        signature.method_name = "tensorflow/serving/predict"
        for infos, tensor in ((signature.inputs, "x:0"), (signature.outputs, output)):
            infos["key"].name = tensor
            infos["key"].dtype = DTYPE_NUMBERS[dtype]
            infos["key"].tensor_shape.unknown_rank = True
        return meta_graph

    return make
