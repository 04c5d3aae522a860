"""What a target's registry says of a graph, without the target: graphs made by hand, and recorded ones.

What each TensorFlow does with an op or attribute is what its own loader did with such a model:
DisableCopyOnRead came after 2.7, debug_name of VarHandleOp after 2.11, and up to 2.4 an unknown attribute is
refused.
"""

import pytest

from servable.checks.policy import CHECK_NAMES, CheckPolicy
from servable.checks.suite import check_servable
from servable.errors import SettingsError
from servable.formats import protos
from servable.report import Severity

STATIC = frozenset(CHECK_NAMES) - {"layout", "tags", "target"}
FLOAT, HALF, RESOURCE, STRING = 1, 19, 20, 7


def make_model(*, dtype=FLOAT, variables=0, copies=False):
    """A graph that answers y = x beside variables that know their names."""
    model = protos.SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    x = graph.graph_def.node.add(name="x", op="Placeholder")
    x.attr["dtype"].type = dtype
    x.attr["shape"].shape.unknown_rank = True
    y = graph.graph_def.node.add(name="y", op="Identity", input=["x"])
    y.attr["T"].type = dtype
    for number in range(variables):
        add_variable(graph.graph_def.node, f"model/dense_{number}/kernel", f"kernel_{number}/")
    if copies:
        function = graph.graph_def.library.function.add()
        function.signature.name = "traced_save"
        add_variable(function.node_def, "Read/handle", "h/")
        function.node_def.add(name="Read/DisableCopyOnRead", op="DisableCopyOnRead", input=["Read/handle:0"])
    signature = graph.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    for side, key, tensor in ((signature.inputs, "x", "x:0"), (signature.outputs, "y", "y:0")):
        side[key].name, side[key].dtype = tensor, dtype
        side[key].tensor_shape.dim.add(size=-1)
    return model


def add_variable(nodes, name, debug_name):
    node = nodes.add(name=name, op="VarHandleOp")
    node.attr["dtype"].type = FLOAT
    node.attr["shape"].shape.dim.add(size=3)
    node.attr["shared_name"].s = name.encode()
    node.attr["debug_name"].s = debug_name.encode()


@pytest.fixture
def judge(tmp_path):
    def write_and_check(model, target):
        (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
        return check_servable(tmp_path, policy=CheckPolicy(target=target, switched_off=STATIC))

    return write_and_check


@pytest.mark.parametrize(
    ("target", "version"),
    [("current", "2.21.0"), ("kserve", "2.6.5"), ("pai-eas/tensorflow_cpu_2.7", "2.7.4")],
)
def test_a_graph_that_every_loader_knows_has_no_finding(judge, target, version):
    report = judge(make_model(), target)
    assert report.checked == ("layout", "tags", "target")
    assert report.findings == ()
    assert (report.facts["target"], report.facts["target_version"]) == (target, version)


def test_short_names_are_told_by_their_full_ones(judge):
    assert judge(make_model(), "tensorflow_cpu_2.7").facts["target"] == "pai-eas/tensorflow_cpu_2.7"
    assert judge(make_model(), "1.15.5").facts["target"] == "tensorflow-1.15"


def test_five_hundred_nodes_with_one_obstacle_are_one_finding(judge):
    (finding,) = judge(make_model(variables=500), "tensorflow-2.4").findings
    assert (finding.check, finding.severity) == ("target", Severity.ERROR)
    assert finding.message.startswith("tensorflow-2.4 does not load the model: VarHandleOp")
    assert "debug_name" in finding.message
    assert "500 VarHandleOp nodes" in finding.message
    assert "node model/dense_0/kernel, from model/dense_0; node model/dense_1/kernel" in finding.where
    assert finding.where.endswith("and 497 more")
    assert "--target tensorflow-2.4" in finding.advice


@pytest.mark.parametrize("target", ["tensorflow-2.7", "tensorflow-2.11", "current"])
def test_an_attribute_that_a_later_loader_only_logs_is_no_obstacle(judge, target):
    assert judge(make_model(variables=2), target).passed


def test_an_unknown_op_in_a_function_that_nothing_serves_keeps_the_model_from_loading(judge):
    (finding,) = judge(make_model(copies=True), "kserve").findings
    assert "does not load the model" in finding.message
    assert "DisableCopyOnRead" in finding.message
    assert finding.where == "node Read/DisableCopyOnRead in function traced_save, from Read"
    assert "convert the model with --target kserve" in finding.advice
    assert judge(make_model(copies=True), "tensorflow-2.11").passed


def test_what_clients_cannot_send_or_receive_is_told_as_such(judge):
    findings = judge(make_model(dtype=HALF), "pai-eas/tensorflow_cpu_2.7").findings
    assert {finding.where for finding in findings} == {
        "input x of signature serving_default",
        "output y of signature serving_default",
    }
    assert all("cannot be asked" in finding.message for finding in findings)
    assert all("float16" in finding.message and "float32" in finding.advice for finding in findings)
    assert judge(make_model(dtype=HALF), "tensorflow-serving-2.7").passed


def test_an_op_that_no_server_can_run_is_told(judge):
    model = make_model()
    node = model.meta_graphs[0].graph_def.node[1]
    node.op = "PyFunc"
    del node.attr["T"]
    node.attr["token"].s = b"t"
    node.attr["Tin"].list.type.append(FLOAT)
    node.attr["Tout"].list.type.append(FLOAT)
    (finding,) = judge(model, "current").findings
    # In the graph itself its kernel is looked for before any request comes.
    assert finding.message.startswith("current does not load the model: ")
    assert finding.where == "node y"


def test_severity_and_switch_of_the_policy_hold_here_too(judge, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(make_model(copies=True).SerializeToString())
    lenient = CheckPolicy(target="2.7", switched_off=STATIC, severities={"target": Severity.WARNING})
    report = check_servable(tmp_path, policy=lenient)
    assert report.passed
    assert [finding.severity for finding in report.findings] == [Severity.WARNING]
    off = CheckPolicy(target="2.7", switched_off=STATIC | {"target"})
    assert "target" not in check_servable(tmp_path, policy=off).checked


def test_the_policy_reads_and_refuses_targets():
    assert CheckPolicy().target == "current"
    assert CheckPolicy.from_dict({"target": "tensorflow_gpu_2.4"}).target == "tensorflow_gpu_2.4"
    with pytest.raises(SettingsError) as caught:
        CheckPolicy(target="tensorflow-2.8", run_time_s=0)
    assert "target: no target 'tensorflow-2.8'" in caught.value.received
    assert "tensorflow-2.7" in caught.value.received
    assert "run_time_s" in caught.value.received
    with pytest.raises(SettingsError, match=r"in quotes, is 2\.7"):
        CheckPolicy.from_dict({"target": 2.7})


@pytest.mark.parametrize(
    ("name", "target", "loads"),
    [
        ("tf2.16-sm_keras_export-a", "tensorflow-2.16", True),
        ("tf2.16-sm_keras_export-a", "tensorflow-2.7", False),
        ("tf1.12-sm_simple-a", "tensorflow-1.12", True),
        ("tf1.15-sm_assets-a", "tensorflow-1.15", True),
        ("tf2.3-sm_keras-a", "tensorflow-2.3", True),
    ],
)
def test_recorded_models_load_where_they_were_written(zoo, name, target, loads):
    path = next(zoo(name).folder.rglob("saved_model.pb")).parent
    report = check_servable(path, policy=CheckPolicy(target=target, switched_off=STATIC))
    assert report.passed is loads, report.findings
