"""The room's door, without TensorFlow."""

import pytest

from servable.errors import ExportError
from servable.export.dialects.adapting import adapt_meta_graph
from servable.export.dialects.rules import RULES
from servable.export.dialects.rules.precision import WIDENED_OPS
from servable.formats.protos import MetaGraphDef, NodeDef
from servable.graphs.graph import index_nodes
from servable.report import Severity
from servable.signature import DTYPE_NUMBERS
from servable.targets.catalog import find_target
from servable.targets.registry import load_registry

FLOAT, INT64 = DTYPE_NUMBERS["float32"], DTYPE_NUMBERS["int64"]


def _node(name, op, *inputs, dtype=FLOAT, key="T"):
    node = NodeDef(name=name, op=op, input=inputs)
    if key:
        node.attr[key].type = dtype
    return node


def _make(*nodes, output="y:0", functions=(), dtype=FLOAT):
    meta_graph = MetaGraphDef()
    meta_graph.graph_def.node.extend([_node("x", "Placeholder", dtype=dtype, key="dtype"), *nodes])
    for name, body in functions:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=dtype)
        function.node_def.extend(body)
    signature = meta_graph.signature_def["serve"]
    for infos, tensor in ((signature.inputs, "x:0"), (signature.outputs, output)):
        infos["key"].name = tensor
        infos["key"].dtype = dtype
    return meta_graph


def _einsum(name, *inputs, equation=b"ab,bc->ac", dtype=FLOAT):
    node = _node(name, "Einsum", *inputs, dtype=dtype)
    node.attr["equation"].s = equation
    node.attr["N"].i = len(inputs)
    return node


def test_what_fits_is_left_alone():
    meta_graph = _make(_node("y", "Relu", "x"))
    before = meta_graph.SerializeToString(deterministic=True)
    assert adapt_meta_graph(meta_graph, find_target("tensorflow-1.12")) == []
    assert meta_graph.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("target", ["tensorflow-1.12", "tensorflow-2.3", "tensorflow-2.7"])
def test_attributes_that_say_nothing_new_are_left_out_in_functions_too(target):
    def product(name, *inputs):
        node = _node(name, "MatMul", *inputs)
        node.attr["grad_a"].b = False
        node.attr["grad_b"].b = True  # only a gradient's origin
        return node

    meta_graph = _make(product("y", "x", "x"), functions=[("f", [product("z", "x", "x")])])
    assert adapt_meta_graph(meta_graph, find_target(target)) == []
    graph_def = meta_graph.graph_def
    for node in (graph_def.node[1], graph_def.library.function[0].node_def[0]):
        assert set(node.attr) == {"T"}


def test_labels_are_left_out():
    variable = _node("v", "VarHandleOp", key="dtype")
    variable.attr["shape"].shape.SetInParent()
    variable.attr["debug_name"].s = b"mine"
    meta_graph = _make(variable, _node("y", "ReadVariableOp", "v", key="dtype"))
    adapt_meta_graph(meta_graph, find_target("tensorflow-2.4"))
    assert set(index_nodes(meta_graph.graph_def)["v"].attr) == {"dtype", "shape"}


def test_copies_on_read_are_not_asked_for_in_a_save_function():
    body = [
        _node("copies", "DisableCopyOnRead", "v", key=""),
        _node("read", "ReadVariableOp", "v", "^copies", key="dtype"),
        _node("end", "NoOp", "^copies", "^read", key=""),
    ]
    meta_graph = _make(_node("y", "Relu", "x"), functions=[("save", body)])
    function = meta_graph.graph_def.library.function[0]
    function.signature.input_arg.add(name="v", type=DTYPE_NUMBERS["resource"])
    function.ret["out"] = "read:value:0"
    function.control_ret["done"] = "copies"
    (note,) = adapt_meta_graph(meta_graph, find_target("tensorflow-2.7"))
    inputs = {node.name: (node.op, list(node.input)) for node in function.node_def}
    assert inputs == {
        "copies/NoOp": ("NoOp", []),
        "read": ("ReadVariableOp", ["v", "^copies/NoOp"]),
        "end": ("NoOp", ["^copies/NoOp", "^read"]),
    }
    assert dict(function.ret) == {"out": "read:value:0"}
    assert dict(function.control_ret) == {"done": "copies/NoOp"}
    assert note.severity is Severity.INFO
    assert "tensorflow-2.7 knows: 1 DisableCopyOnRead" in note.message


def test_signatures_name_what_stands_for_their_tensors():
    meta_graph = _make(_einsum("y", "x", "x"), _node("z", "Relu", "y"))
    meta_graph.signature_def["other"].outputs["z"].name = "z"
    meta_graph.signature_def["other"].outputs["z"].dtype = FLOAT
    (note,) = adapt_meta_graph(meta_graph, find_target("tensorflow-1.12"))
    assert meta_graph.signature_def["serve"].inputs["key"].name == "x:0"
    assert meta_graph.signature_def["serve"].outputs["key"].name == "y/MatMul:0"
    assert meta_graph.signature_def["other"].outputs["z"].name == "z"
    assert list(index_nodes(meta_graph.graph_def)["z"].input) == ["y/MatMul"]
    assert "1 Einsum" in note.message


def test_what_a_rule_adds_is_replaced_in_turn_and_not_told():
    meta_graph = _make(_einsum("y", "x", "x", equation=b"...ab,...bc->...ac"))
    (note,) = adapt_meta_graph(meta_graph, find_target("tensorflow-1.12"))
    ops = {node.op for node in meta_graph.graph_def.node}
    assert "BatchMatMul" in ops
    assert not ops & {"Einsum", "BatchMatMulV2"}
    assert note.message.endswith("knows: 1 Einsum")


def test_a_refusal_names_op_node_origin_and_what_to_do():
    meta_graph = _make(_einsum("tower/dense_1/y", "x", "x", equation=b"aa,ab->b"), output="tower/dense_1/y:0")
    before = list(meta_graph.graph_def.node)
    with pytest.raises(ExportError) as caught:
        adapt_meta_graph(meta_graph, find_target("tensorflow-1.12"))
    assert list(meta_graph.graph_def.node) == before
    message = str(caught.value)
    assert "tensorflow-1.12 cannot serve this model; nothing was written" in message
    assert "1.12.3 has no op Einsum (node tower/dense_1/y, from tower/dense_1)" in message
    assert "choose a newer target" in message


def test_a_refusal_names_the_function():
    body = [_einsum("layer/z", "x", "x", equation=b"aa,ab->b")]
    meta_graph = _make(_node("y", "f", "x", key=""), functions=[("f", body)])
    with pytest.raises(ExportError, match="node layer/z in function f, from layer"):
        adapt_meta_graph(meta_graph, find_target("tensorflow-1.14"))


def test_a_rule_whose_result_cannot_run_is_taken_back_as_a_whole():
    # Stacks of int64 are stretched well in 1.12, and not multiplied.
    meta_graph = _make(
        _einsum("y", "x", "x", equation=b"...ab,...bc->...ac", dtype=INT64),
        dtype=INT64,
    )
    with pytest.raises(ExportError, match="has no op Einsum"):
        adapt_meta_graph(meta_graph, find_target("tensorflow-1.12"))
    assert [node.name for node in meta_graph.graph_def.node] == ["x", "y"]


def test_many_obstacles_are_counted():
    nodes = [_einsum(f"n{n}", "x", "x", equation=b"aa,ab->b") for n in range(11)]
    with pytest.raises(ExportError, match="and 3 more"):
        adapt_meta_graph(_make(*nodes, output="n0:0"), find_target("tensorflow-1.12"))


def test_rules_are_for_ops_that_there_are():
    assert set(RULES) | WIDENED_OPS <= set(load_registry("2.21.0").ops)
