import pytest

from servable.targets.catalog import find_target
from servable.targets.verdict import find_origin, judge_meta_graph


def judge(meta_graph, target):
    return judge_meta_graph(meta_graph, find_target(target))


def test_a_graph_that_every_target_knows(make_node, make_meta_graph):
    meta_graph = make_meta_graph([make_node("Relu", ["x"], T="float32")], "n:0")
    for target in ("1.12", "2.3", "2.7", "current", "tensorflow_cpu_1.15"):
        assert judge(meta_graph, target) == ()


def test_an_unknown_op_says_where_it_is_and_what_to_do(make_node, make_meta_graph):
    node = make_node("LeakyRelu", ["x"], name="block_1/act/LeakyRelu", T="float32")
    meta_graph = make_meta_graph([node], "block_1/act/LeakyRelu:0")
    assert judge(meta_graph, "1.14") == ()
    (obstacle,) = judge(meta_graph, "1.12")
    assert obstacle.at_load
    assert (obstacle.op, obstacle.node, obstacle.function) == ("LeakyRelu", "block_1/act/LeakyRelu", "")
    assert obstacle.origin == "block_1/act"
    assert "newer target" in obstacle.advice
    assert "block_1/act/LeakyRelu" in str(obstacle)


def test_functions_are_walked_at_load_whether_or_not_they_are_called(make_node, make_meta_graph):
    body = [make_node("DisableCopyOnRead", ["resource"], name="off")]
    meta_graph = make_meta_graph([make_node("Relu", ["x"], T="float32")], "n:0", functions={"save": body})
    (obstacle,) = judge(meta_graph, "2.7")
    assert obstacle.at_load
    assert obstacle.function == "save"
    assert judge(meta_graph, "2.11") == ()


@pytest.mark.parametrize(
    ("target", "value", "stages"),
    [
        ("2.4", False, [True]),  # strict: refused, whatever the value
        ("2.6", False, []),  # logged, and nothing but the default
        ("2.6", True, [False]),  # logged and left out: it would answer otherwise
    ],
)
def test_an_unknown_attribute(make_node, make_meta_graph, target, value, stages):
    node = make_node("MatMul", ["x", "x"], T="float32", grad_a=value)
    obstacles = judge(make_meta_graph([node], "n:0"), target)
    assert [obstacle.at_load for obstacle in obstacles] == stages


def test_a_missing_kernel_is_found_at_load_or_when_its_function_is_called(make_node, make_meta_graph):
    table = make_node("HashTableV2", key_dtype="string", value_dtype="complex64", name="table")
    relu = make_node("Relu", ["x"], T="float32")
    # The loader looks for a kernel for every node of the graph, also for one that nobody asks for.
    (at_load,) = judge(make_meta_graph([relu, table], "n:0"), "2.7")
    assert at_load.at_load
    # Of a function only when somebody calls it.
    assert judge(make_meta_graph([relu], "n:0", functions={"f": [table]}), "2.7") == ()
    call = make_node("PartitionedCall", ["x"], Tin=["float32"], Tout=["float32"])
    call.attr["f"].func.name = "f"
    (at_run,) = judge(make_meta_graph([call], "n:0", functions={"f": [table]}), "2.7")
    assert (at_run.at_load, at_run.function) == (False, "f")


def test_a_type_that_clients_cannot_send(make_node, make_meta_graph):
    meta_graph = make_meta_graph([make_node("Identity", ["x"], T="uint32")], "n:0", dtype="uint32")
    assert judge(meta_graph, "tensorflow-serving-2.7") == ()
    obstacles = judge(meta_graph, "tensorflow_cpu_2.7")
    assert [obstacle.node for obstacle in obstacles] == [
        "input key of signature serving_default",
        "output key of signature serving_default",
    ]
    assert not any(obstacle.at_load for obstacle in obstacles)


@pytest.mark.parametrize(
    ("node", "origin"),
    [
        (
            "StatefulPartitionedCall/StatefulPartitionedCall/functional_1/dense_1/MatMul",
            "functional_1/dense_1",
        ),
        ("StatefulPartitionedCall_1/model/lstm/while/body/_7/add", "model/lstm/while/body/_7"),
        ("dnn/hiddenlayer_0/MatMul", "dnn/hiddenlayer_0"),
        ("MatMul", ""),
    ],
)
def test_the_origin_is_what_a_user_named(node, origin):
    assert find_origin(node) == origin
