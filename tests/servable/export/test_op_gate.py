"""What is let through to TensorFlow and to a server, and what is not; graphs written by hand."""

import pytest

from servable.errors import UnsafeSourceError
from servable.export.op_gate import admit_ops
from servable.formats.protos import GraphDef
from servable.report import Severity


@pytest.fixture
def graph():
    graph = GraphDef()
    graph.node.add(name="x", op="Placeholder")
    graph.node.add(name="y", op="Relu", input=["x"])
    return graph


def add_function(graph, name, *nodes, inputs=()):
    function = graph.library.function.add()
    function.signature.name = name
    for argument in inputs:
        function.signature.input_arg.add(name=argument)
    for node_name, op, node_inputs in nodes:
        function.node_def.add(name=node_name, op=op, input=node_inputs)


def test_a_graph_that_computes_passes_without_a_word(graph):
    add_function(graph, "f", ("y", "Relu", ["x"]))
    assert admit_ops(graph, (), ()) == []


@pytest.mark.parametrize(
    "op", ["ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "RestoreV2", "SaveV2", "SqlDataset", "Send"]
)
def test_an_unsafe_op_is_named_with_its_place(graph, op):
    graph.node.add(name="bad", op=op)
    add_function(graph, "inner", ("hidden", op, []))
    with pytest.raises(UnsafeSourceError, match="more than compute") as caught:
        admit_ops(graph, (), ())
    assert f"{op} " in caught.value.received
    assert "node bad" in caught.value.received
    assert "node hidden in function inner" in caught.value.received
    assert f"--allow-op {op}" in caught.value.advice


def test_files_in_attributes_count(graph):
    graph.node.add(name="p", op="PrintV2").attr["output_stream"].s = b"stderr"
    graph.node.add(name="s", op="FixedUnigramCandidateSampler").attr["vocab_file"].s = b""
    graph.node.add(name="d", op="DecodeProtoV2").attr["descriptor_source"].s = b"local://"
    assert admit_ops(graph, (), ()) == []
    graph.node[-3].attr["output_stream"].s = b"file:///tmp/x"
    graph.node[-2].attr["vocab_file"].s = b"/etc/passwd"
    graph.node[-1].attr["descriptor_source"].s = b"/etc/passwd"
    with pytest.raises(UnsafeSourceError) as caught:
        admit_ops(graph, (), ())
    assert "PrintV2 writes files" in caught.value.received
    assert "FixedUnigramCandidateSampler reads files" in caught.value.received
    assert "DecodeProtoV2 reads files" in caught.value.received


def test_what_the_user_lets_in_is_said_with_the_source(graph):
    graph.node.add(name="a", op="ReadFile")
    graph.node.add(name="b", op="ReadFile")
    graph.node.add(name="c", op="WriteFile")
    with pytest.raises(UnsafeSourceError) as caught:
        admit_ops(graph, (), {"ReadFile"})
    assert "ReadFile" not in caught.value.received
    (read, write) = admit_ops(graph, (), {"ReadFile", "WriteFile", "PyFunc"}, digest="0f" * 32)
    assert read.severity is Severity.WARNING
    assert "node a" in read.message
    assert "node b" in read.message
    assert "0f" * 32 in read.message
    assert "WriteFile" in write.message


def test_a_table_may_read_an_asset_and_nothing_else(graph):
    graph.node.add(name="table", op="HashTableV2")
    graph.node.add(name="path", op="Const")
    graph.node.add(name="fill", op="InitializeTableFromTextFileV2", input=["table", "path"])
    assert admit_ops(graph, {"path"}, ()) == []
    with pytest.raises(UnsafeSourceError, match="more than compute"):
        admit_ops(graph, {"another"}, ())


def make_call(graph, inputs):
    call = graph.node.add(name="call", op="StatefulPartitionedCall", input=inputs)
    call.attr["f"].func.name = "initializer"
    fill = ("fill", "InitializeTableFromTextFileV2", ["table", "path"])
    add_function(graph, "initializer", fill, inputs=("path", "table"))


@pytest.mark.parametrize(("assets", "passes"), [({"asset"}, True), ({"table"}, False), (set(), False)])
def test_a_table_in_a_function_may_read_what_its_caller_hands_over(graph, assets, passes):
    graph.node.add(name="table", op="HashTableV2")
    graph.node.add(name="asset", op="Const")
    make_call(graph, ["asset", "table"])
    if passes:
        assert admit_ops(graph, assets, ()) == []
    else:
        with pytest.raises(UnsafeSourceError, match="more than compute"):
            admit_ops(graph, assets, ())


def test_a_path_in_a_variable_has_to_come_from_an_asset_each_time(graph):
    graph.node.add(name="table", op="HashTableV2")
    graph.node.add(name="asset", op="Placeholder")
    graph.node.add(name="variable", op="VarHandleOp")
    graph.node.add(name="assign", op="AssignVariableOp", input=["variable", "asset"])
    graph.node.add(name="read", op="ReadVariableOp", input=["variable"])
    make_call(graph, ["read", "table"])
    assert admit_ops(graph, {"asset"}, ()) == []
    graph.node.add(name="other", op="Const")
    graph.node.add(name="again", op="AssignVariableOp", input=["variable", "other"])
    with pytest.raises(UnsafeSourceError, match="more than compute"):
        admit_ops(graph, {"asset"}, ())
