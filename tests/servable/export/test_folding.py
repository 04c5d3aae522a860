import pytest

from servable.export.folding import fold_conditionals
from servable.export.switches import freeze_switches
from servable.formats.protos import GraphDef, NodeDef
from servable.graphs.graph import find_ancestors, index_nodes
from servable.sources.saver_checkpoints.checkpoint_graph import read_meta_graph

FLOAT, BOOL = 1, 10


def node(name, op, *inputs, **attrs):
    made = NodeDef(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        made.attr[key].type = value
    return made


@pytest.fixture
def conditional():
    """y = cond(training, dropout(x), x), as tf.cond of TensorFlow 1 wrote it."""
    nodes = [
        node("x", "Placeholder", dtype=FLOAT),
        node("training", "Placeholder", dtype=BOOL),
        node("cond/pred_id", "Identity", "training", T=BOOL),
        node("cond/Switch", "Switch", "cond/pred_id", "cond/pred_id", T=BOOL),
        node("cond/switch_t", "Identity", "cond/Switch:1", T=BOOL),
        node("cond/x", "Switch", "x", "cond/pred_id", T=FLOAT),
        node("cond/noise", "RandomUniform", "cond/shape"),
        node("cond/shape", "Const", "^cond/switch_t", dtype=3),
        node("cond/dropped", "Mul", "cond/x:1", "cond/noise", T=FLOAT),
        node("cond/kept", "Identity", "cond/x", T=FLOAT),
        node("cond/Merge", "Merge", "cond/kept", "cond/dropped", T=FLOAT),
        node("y", "Identity", "cond/Merge", T=FLOAT),
        node("index", "Identity", "cond/Merge:1", T=3),
    ]
    return index_nodes(GraphDef(node=nodes))


@pytest.mark.parametrize(("value", "noisy"), [(False, False), (True, True)])
def test_only_the_branch_taken_is_left(conditional, value, noisy):
    folded = fold_conditionals(freeze_switches(conditional, {"training": value}))
    reached = find_ancestors(folded, ["y"])
    assert ("cond/noise" in reached) is noisy
    assert ("cond/kept" in reached) is not noisy
    assert not any(folded[name].op in ("Switch", "Merge") for name in reached)


def test_readers_of_the_second_output_are_rewired(conditional):
    folded = fold_conditionals(freeze_switches(conditional, {"training": True}))
    assert list(folded["cond/dropped"].input) == ["cond/x", "cond/noise"]
    index = folded[folded["index"].input[0]]
    assert index.op == "Const"
    assert list(index.attr["value"].tensor.int_val) == [1]


def test_an_undecided_conditional_stays(conditional):
    assert fold_conditionals(conditional) == conditional


def test_the_original_nodes_are_not_changed(conditional):
    before = {name: made.SerializeToString() for name, made in conditional.items()}
    fold_conditionals(freeze_switches(conditional, {"training": False}))
    assert {name: made.SerializeToString() for name, made in conditional.items()} == before


@pytest.mark.zoo("tf1.*-cnn_bn-?")
def test_a_trained_batch_norm_loses_its_training_branch(zoo, case_name):
    case = zoo(case_name)
    nodes = index_nodes(read_meta_graph(case.source).graph_def)
    folded = fold_conditionals(freeze_switches(nodes, case.frozen))
    reached = find_ancestors(folded, case.name_ends("outputs").values())
    norms = [folded[name] for name in reached if folded[name].op.startswith("FusedBatchNorm")]
    assert norms
    assert not any(norm.attr["is_training"].b for norm in norms)
