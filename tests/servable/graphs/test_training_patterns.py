"""Dropout and batch norm told from plain nodes: graphs that no TensorFlow would build, and hostile ones."""

import pytest

from servable.formats.protos import NodeDef
from servable.graphs.batch_norm import find_batch_norms
from servable.graphs.dropout import find_dropouts
from servable.graphs.graph import Edge
from servable.graphs.served_path import ServedPath, find_open_nodes, read_const_number
from servable.signature import SignatureRequest

FLOAT, HALF, BFLOAT16 = 1, 19, 14


def make_node(name, op, *inputs):
    return NodeDef(name=name, op=op, input=inputs)


def make_const(name, value, dtype=FLOAT):
    node = make_node(name, "Const")
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.dtype = dtype
    node.attr["value"].tensor.float_val.append(value)
    return node


def walk(nodes, *outputs, inputs=("x:0",), **options):
    request = SignatureRequest("s", {f"in{n}": t for n, t in enumerate(inputs)}, {t: t for t in outputs})
    return ServedPath({node.name: node for node in nodes}, [request], **options)


def make_dropout(keep_prob=0.5, scale=0.5):
    return [
        make_node("x", "Placeholder"),
        make_const("keep_prob", keep_prob),
        make_const("scale", scale),
        make_node("shape", "Shape", "x"),
        make_node("uniform", "RandomUniform", "shape"),
        make_node("sum", "Add", "keep_prob", "uniform"),
        make_node("mask", "Floor", "sum"),
        make_node("div", "RealDiv", "x", "scale"),
        make_node("y", "Mul", "div", "mask"),
    ]


def test_a_dropout_gives_what_it_was_given():
    (dropout,) = find_dropouts(walk(make_dropout(), "y:0"))
    assert (dropout.output, dropout.source, dropout.keep_share) == (Edge("y", 0), Edge("x", 0), 0.5)


@pytest.mark.parametrize(
    ("keep_prob", "scale"), [(0.5, 0.6), (0.5, 1.0), (0.0, 0.5), (-3.0, 0.5), (1.5, 1.5)]
)
def test_a_scale_that_does_not_make_up_for_what_is_dropped_is_no_dropout(keep_prob, scale):
    assert not find_dropouts(walk(make_dropout(keep_prob, scale), "y:0"))


@pytest.mark.parametrize("output", ["mask:0", "uniform:0", "sum:0"])
def test_random_numbers_that_are_served_too_are_kept(output):
    assert not find_dropouts(walk(make_dropout(), "y:0", output))


def test_random_numbers_that_go_elsewhere_are_kept():
    nodes = [*make_dropout(), make_node("z", "Tanh", "uniform")]
    assert not find_dropouts(walk(nodes, "y:0", "z:0"))
    assert find_dropouts(walk(nodes, "y:0"))  # a gradient may read them, as long as nobody serves it


def test_a_value_that_was_chosen_is_no_constant():
    assert not find_dropouts(walk(make_dropout(), "y:0", chosen=["keep_prob:0"]))


def test_a_client_that_feeds_the_share_is_served_with_it():
    assert not find_dropouts(walk(make_dropout(), "y:0", inputs=("x:0", "keep_prob:0")))


def make_conditional(predicate):
    branch = make_dropout()
    branch[0] = make_node("x", "Switch", "input", "predicate")
    other = make_node("merge", "Merge", "y", "x:1")
    return [make_node("input", "Placeholder"), predicate, *branch, other]


@pytest.mark.parametrize(
    ("op", "count"), [("Const", 1), ("Placeholder", 0), ("PlaceholderWithDefault", 0), ("VariableV2", 0)]
)
def test_what_a_switch_decides_is_not_built_in(op, count):
    nodes = make_conditional(make_node("predicate", op))
    open_nodes = find_open_nodes({node.name: node for node in nodes})
    assert ("y" in open_nodes) == (count == 0)
    assert "merge" not in open_nodes
    path = walk(nodes, "merge:0", inputs=("input:0",), open_nodes=open_nodes)
    assert len(find_dropouts(path)) == count


def test_chains_that_double_at_each_step_are_read_in_no_time():
    nodes = [make_node("x", "Placeholder"), make_const("c0", 0.5)]
    nodes += [make_node(f"c{n}", "Add", f"c{n - 1}", f"c{n - 1}") for n in range(1, 200)]
    nodes += [make_node("v", "VariableV2"), make_node("s", "FusedBatchNorm", "x", "x", "x", "x", "x")]
    nodes += [make_node("m0", "Sub", "v", "s:1")]
    nodes += [make_node(f"m{n}", "Mul", f"m{n - 1}", f"m{n - 1}") for n in range(1, 200)]
    nodes += [make_node("update", "AssignSub", "v", "m199"), make_node("y", "Mul", "c199", "s")]
    path = walk(nodes, "y:0")
    assert path.read_number(Edge("c199", 0)) == 0.5 * 2.0**199
    assert not find_batch_norms(path)


def test_circles_have_no_value():
    nodes = [
        make_node("x", "Placeholder"),
        make_node("a", "Add", "b", "b"),
        make_node("b", "Mul", "a", "a"),
        make_node("i", "Identity", "j"),
        make_node("j", "Identity", "i"),
        make_node("r", "RandomUniform", "x"),
        make_node("m", "Mul", "m", "r"),
        make_node("y", "AddN", "a", "i", "m"),
    ]
    path = walk(nodes, "y:0")
    assert path.read_number(Edge("a", 0)) is None
    assert path.read_number(Edge("i", 0)) is None
    assert not find_dropouts(path)
    assert not find_batch_norms(path)


def make_raw(dtype, content, *dims):
    node = make_node("c", "Const")
    node.attr["value"].tensor.dtype = dtype
    node.attr["value"].tensor.tensor_content = content
    for size in dims:
        node.attr["value"].tensor.tensor_shape.dim.add(size=size)
    return node


@pytest.mark.parametrize(
    ("node", "number"),
    [
        (make_raw(FLOAT, b"\0\0\0\x3f"), 0.5),
        (make_raw(2, b"\0\0\0\0\0\0\xe0\x3f"), 0.5),
        (make_raw(HALF, b"\0\x38"), 0.5),
        (make_raw(BFLOAT16, b"\0\x3f"), 0.5),
        (make_raw(3, b"\x02\0\0\0"), 2.0),
        (make_raw(FLOAT, b""), 0.0),
        (make_raw(FLOAT, b"", 0), None),
        (make_raw(FLOAT, b"\0\0\0\x3f\0\0\0\x3f", 2), 0.5),
        (make_raw(FLOAT, b"\0\0\0\x3f\0\0\x80\x3f", 2), None),
        (make_raw(FLOAT, b"\0\0\xc0\x7f"), None),
        (make_raw(FLOAT, b"\0\0\0"), None),
        (make_raw(7, b"text"), None),
    ],
)
def test_constants_are_read_in_every_form(node, number):
    assert read_const_number(node) == number
