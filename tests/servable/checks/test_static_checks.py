"""Graphs made by hand, each wrong in one way that shows without running anything."""

import os

import pytest

from servable.checks.policy import CheckPolicy
from servable.checks.suite import CHECKS, check_servable
from servable.formats import protos
from servable.report import Severity
from servable.signature import SignatureRequest

# Nodes made by hand lack most of their attributes, which the target would refuse.
LEFT_OUT = frozenset({"target", "serving_load", "fidelity", "inference_mode", "batch", "cost", "robustness"})
POLICY = CheckPolicy(switched_off=LEFT_OUT)
ASKED = {check.name for check in CHECKS if check.is_asked(CheckPolicy())}


def make_model(*, tags=("serve",)):
    """A graph that answers y = x."""
    model = protos.SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.extend(tags)
    add_node(graph, "x", "Placeholder")
    add_node(graph, "y", "Identity", "x")
    add_signature(graph, "serving_default", {"x": "x:0"}, {"y": "y:0"})
    return model


def add_node(owner, name, op, *inputs, device=""):
    nodes = owner.node_def if hasattr(owner, "node_def") else owner.graph_def.node
    return nodes.add(name=name, op=op, input=inputs, device=device)


def add_text(owner, name, *values):
    node = add_node(owner, name, "Const")
    node.attr["dtype"].type = 7
    tensor = node.attr["value"].tensor
    tensor.dtype = 7
    tensor.string_val.extend(value.encode() for value in values)
    return node


def add_signature(graph, name, inputs, outputs, *, method="tensorflow/serving/predict", dtype=1):
    signature = graph.signature_def[name]
    signature.method_name = method
    for side, pairs in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for key, tensor in pairs.items():
            side[key].name, side[key].dtype = tensor, dtype
            side[key].tensor_shape.dim.add(size=-1)


def add_function(graph, name, argument):
    function = graph.graph_def.library.function.add()
    function.signature.name = name
    function.signature.input_arg.add(name=argument, type=7)
    return function


@pytest.fixture
def inspect(tmp_path):
    def write_and_check(model, *, signatures=(), policy=POLICY):
        (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
        return check_servable(tmp_path, signatures=signatures, policy=policy)

    return write_and_check


def find(report, check, severity=Severity.ERROR):
    return [f"{f.message} @ {f.where}" for f in report.findings if (f.check, f.severity) == (check, severity)]


def test_a_right_graph_has_no_findings(inspect):
    report = inspect(make_model())
    assert report.passed
    assert report.findings == ()
    assert set(report.checked) == {"layout", "tags", "signatures", "ops", "variables", "weights"}
    assert {s.check for s in report.skipped} == LEFT_OUT


# layout


def test_folder_that_is_not_there(tmp_path):
    report = check_servable(tmp_path / "nowhere")
    assert report.checked == ("layout",)
    assert not report.passed
    assert {skip.check for skip in report.skipped} == ASKED - {"layout"}


def test_folder_without_a_model(tmp_path):
    assert "saved_model.pb" in find(check_servable(tmp_path), "layout")[0]


def test_text_form_is_read_too(tmp_path):
    (tmp_path / "saved_model.pbtxt").write_text(str(make_model()))
    assert check_servable(tmp_path, policy=POLICY).findings == ()


def test_link_out_of_the_folder(tmp_path):
    model_dir = tmp_path / "model"
    (model_dir / "variables").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (model_dir / "variables" / "variables.index").symlink_to(tmp_path / "secret")
    (model_dir / "saved_model.pb").write_bytes(make_model().SerializeToString())
    report = check_servable(model_dir, policy=POLICY)
    assert "leads out" in find(report, "layout")[0]
    assert report.checked == ("layout",)


def test_pipe_in_place_of_the_graph_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "saved_model.pb")
    assert "neither a file nor a folder" in find(check_servable(tmp_path), "layout")[0]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../b", "", "..\\secret"])
def test_asset_outside_of_assets(inspect, name):
    model = make_model()
    asset = model.meta_graphs[0].asset_file_def.add(filename=name)
    asset.tensor_info.name = "x:0"
    assert "leads out of assets/" in find(inspect(model), "layout")[0]


def test_asset_that_is_missing(inspect):
    model = make_model()
    model.meta_graphs[0].asset_file_def.add(filename="words.txt").tensor_info.name = "x:0"
    assert "not in assets/" in find(inspect(model), "layout")[0]


def test_asset_that_the_pusher_would_leave_out(inspect, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "vocab_saved_model.pb.txt").write_text("a\n")
    assert "Pusher" in find(inspect(make_model()), "layout")[0]


def test_link_that_names_the_folder_by_its_absolute_path(inspect, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a").write_text("a")
    (tmp_path / "assets" / "b").symlink_to(tmp_path / "assets" / "a")
    assert "absolute path" in find(inspect(make_model()), "layout")[0]


@pytest.mark.parametrize(
    "name", [".DS_Store", "assets/old_words.txt", "variables/variables.data-00000-of-00001", "train.py"]
)
def test_files_that_no_loader_reads(inspect, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("12345")
    (text,) = find(inspect(make_model()), "layout", Severity.WARNING)
    assert text.startswith("1 files (5 bytes)")
    assert name in text


@pytest.mark.parametrize(
    "name", ["keras_metadata.pb", "fingerprint.pb", "assets.extra/tf_serving_warmup_requests"]
)
def test_files_that_some_loader_reads(inspect, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    assert inspect(make_model()).findings == ()


def test_both_forms_of_the_graph_are_one_too_many(inspect, tmp_path):
    (tmp_path / "saved_model.pbtxt").write_text(str(make_model()))
    assert "read only the first" in find(inspect(make_model()), "layout", Severity.WARNING)[0]


@pytest.mark.parametrize(
    ("name", "is_version"), [("1", True), ("007", True), ("v1", False), ("1.0", False), ("9" * 20, False)]
)
def test_name_of_a_version(tmp_path, name, is_version):
    (tmp_path / name).mkdir()
    (tmp_path / name / "saved_model.pb").write_bytes(make_model().SerializeToString())
    policy = CheckPolicy(switched_off=LEFT_OUT, version_folder=True)
    report = check_servable(tmp_path / name, policy=policy)
    assert bool(find(report, "layout", Severity.WARNING)) is not is_version
    assert check_servable(tmp_path / name, policy=POLICY).findings == ()


# tags


@pytest.mark.parametrize("tags", [("train",), ("serve", "gpu"), ()])
def test_other_tags(inspect, tags):
    report = inspect(make_model(tags=tags))
    assert "exactly {serve}" in find(report, "tags")[0]
    assert "ops" in report.checked  # what lies in the graph is looked at all the same


def test_two_graphs_to_serve(inspect):
    model = make_model()
    model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
    assert "2 graphs are tagged" in find(inspect(model), "tags")[0]


def test_another_graph_beside_the_one_to_serve(inspect):
    model = make_model()
    model.meta_graphs.add().CopyFrom(make_model(tags=("train",)).meta_graphs[0])
    report = inspect(model)
    assert report.passed
    assert find(report, "tags", Severity.WARNING)


# signatures


def test_signature_that_was_asked_for_and_is_missing(inspect):
    report = inspect(make_model(), signatures=[SignatureRequest("predict_images")])
    assert "'predict_images' was asked for" in find(report, "signatures")[0]


def test_signature_with_other_keys_than_asked_for(inspect):
    report = inspect(make_model(), signatures=[SignatureRequest(inputs={"images": "x:0"})])
    assert "asked images, found x" in find(report, "signatures")[0]


def test_no_default_signature_is_a_warning(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    graph.signature_def["other"].CopyFrom(graph.signature_def["serving_default"])
    del graph.signature_def["serving_default"]
    report = inspect(model)
    assert report.passed
    assert "serving_default" in find(report, "signatures", Severity.WARNING)[0]


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "words"),
    [
        ({"x": "gone:0"}, {"y": "y:0"}, {}, "no tensor 'gone:0'"),
        ({"x": "x:0"}, {"y": "gone:0"}, {}, "no tensor 'gone:0'"),
        ({"x": "x:0"}, {}, {}, "has no outputs"),
        ({"x": ""}, {"y": "y:0"}, {}, "not a dense one"),
        ({"x": "x:0"}, {"y": "y:0"}, {"method": "tensorflow/serving/guess"}, "tensorflow/serving/guess"),
        ({"x": "x:0"}, {"y": "y:0"}, {"dtype": 20}, "a resource has no values"),
        ({"x": "x:0"}, {"scores": "y:0"}, {"method": "tensorflow/serving/classify"}, "classify takes"),
        ({"inputs": "x:0"}, {"y": "y:0"}, {"method": "tensorflow/serving/regress"}, "regress gives"),
    ],
)
def test_signature_that_no_client_can_call(inspect, inputs, outputs, options, words):
    model = make_model()
    add_signature(model.meta_graphs[0], "wrong", inputs, outputs, **options)
    assert any(words in text and "signature wrong" in text for text in find(inspect(model), "signatures"))


def declare(graph, dtype, *shape):
    graph.graph_def.node[0].attr["dtype"].type = dtype
    for size in shape:
        graph.graph_def.node[0].attr["shape"].shape.dim.add(size=size)


def test_type_that_the_graph_does_not_have(inspect):
    model = make_model()
    declare(model.meta_graphs[0], 2)
    assert "type: declared float32, the graph has float64" in find(inspect(model), "signatures")[0]


@pytest.mark.parametrize(("shape", "fits"), [((-1,), True), ((4,), True), ((), True), ((-1, 3), False)])
def test_shape_that_the_graph_does_not_have(inspect, shape, fits):
    model = make_model()
    declare(model.meta_graphs[0], 1, *shape)
    assert (not find(inspect(model), "signatures")) is fits


def test_two_inputs_that_feed_one_tensor(inspect):
    model = make_model()
    add_signature(model.meta_graphs[0], "twice", {"a": "x:0", "b": "x"}, {"y": "y:0"})
    assert "the inputs a, b all feed 'x:0'" in find(inspect(model), "signatures")[0]


@pytest.mark.parametrize(("key", "severity"), [("", Severity.ERROR), (" x", Severity.WARNING)])
def test_keys_that_do_not_travel(inspect, key, severity):
    model = make_model()
    add_signature(model.meta_graphs[0], "other", {key: "x:0"}, {"y": "y:0"})
    assert len(find(inspect(model), "signatures", severity)) == 1


def test_placeholder_that_no_input_feeds(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "keep_prob", "Placeholder")
    add_node(graph, "z", "Mul", "x", "keep_prob")
    add_signature(graph, "z", {"x": "x:0"}, {"z": "z:0"})
    (text,) = find(inspect(model), "signatures")
    assert "'keep_prob', which no input feeds" in text
    assert "signature z" in text


# ops


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("EagerPyFunc", "code"),
        ("WriteFile", "files"),
        ("DataServiceDatasetV4", "machines"),
        ("SqlDataset", "machines"),
    ],
)
def test_dangerous_op_is_an_error_where_it_runs_and_a_warning_elsewhere(inspect, op, words):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "risk", op, "x")
    (text,) = find(inspect(model), "ops", Severity.WARNING)
    assert words in text
    assert "node risk" in text
    graph.graph_def.node[1].input.append("^risk")
    (text,) = find(inspect(model), "ops")
    assert "runs for serving_default" in text


def test_dangerous_op_in_the_branch_of_a_function(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(add_function(graph, "deep", "a"), "risk", "ReadFile", "a")
    branch = add_node(add_function(graph, "outer", "a"), "cond", "If", "a", "a")
    branch.attr["then_branch"].func.name = "deep"
    add_node(graph, "call", "StatefulPartitionedCall", "x").attr["f"].func.name = "outer"
    add_signature(graph, "other", {"x": "x:0"}, {"z": "call:0"})
    (text,) = find(inspect(model), "ops")
    assert "node risk in function deep" in text
    assert "runs for other" in text


def test_dangerous_op_that_runs_when_the_model_is_loaded(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_text(graph, "path", "/etc/hostname")
    add_node(graph, "init", "ReadFile", "path")
    graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    (text,) = find(inspect(model), "ops")
    assert "'/etc/hostname'" in text
    assert "start-up" in text


def test_print_to_a_file(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    node = add_node(graph, "print", "PrintV2", "x")
    node.attr["output_stream"].s = b"file:///tmp/log"
    graph.graph_def.node[1].input.append("^print")
    assert find(inspect(model), "ops")
    node.attr["output_stream"].s = b"stderr"
    assert not find(inspect(model), "ops")


@pytest.mark.parametrize("inside_function", [False, True])
def test_reading_an_asset_is_no_finding_and_reading_anything_else_is(inspect, tmp_path, inside_function):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "words.txt").write_text("a\n")
    model = make_model()
    graph = model.meta_graphs[0]
    add_text(graph, "path", "/trainer/words.txt")
    asset = graph.asset_file_def.add(filename="words.txt")
    asset.tensor_info.name = "path:0"
    if inside_function:
        add_node(add_function(graph, "fill", "a"), "table_init", "InitializeTableFromTextFileV2", "t", "a")
        add_node(graph, "init", "PartitionedCall", "path").attr["f"].func.name = "fill"
    else:
        add_node(graph, "init", "InitializeTableFromTextFileV2", "table", "path")
    graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    assert inspect(model).findings == ()
    asset.tensor_info.name = "x:0"
    assert "'/trainer/words.txt', which is no asset" in find(inspect(model), "ops")[0]


def test_cache_in_memory_is_no_file(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    path = add_text(graph, "name", "")
    add_node(graph, "cache", "CacheDataset", "x", "name")
    graph.graph_def.node[1].input.append("^cache")
    assert not find(inspect(model), "ops")
    path.attr["value"].tensor.string_val[0] = b"/tmp/cache"
    assert find(inspect(model), "ops")


def test_saver_may_restore_and_a_request_may_not(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "restore", "RestoreV2", "x", "x", "x")
    graph.saver_def.restore_op_name = "restore"
    assert not find(inspect(model), "ops")
    graph.graph_def.node[1].input.append("^restore")
    assert "reads a checkpoint" in find(inspect(model), "ops")[0]


@pytest.mark.parametrize(
    ("device", "foreign"),
    [
        ("/device:CPU:0", False),
        ("/job:localhost/replica:0/task:0/device:CPU:0", False),
        ("/cpu:0", False),
        ("/device:GPU:1", True),
        ("/job:ps/task:3", True),
        ("/device:CPU:1", True),
    ],
)
def test_devices_of_the_trainer(inspect, device, foreign):
    model = make_model()
    model.meta_graphs[0].graph_def.node[1].device = device
    report = inspect(model)
    assert report.passed
    assert any(device in text for text in find(report, "ops", Severity.WARNING)) is foreign


@pytest.mark.parametrize("op", ["ResourceApplyAdam", "IteratorGetNext", "QueueDequeueManyV2"])
def test_training_on_the_path_of_a_signature_is_an_error_and_a_warning_elsewhere(inspect, op):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "leftover", op, "x")
    (text,) = find(inspect(model), "ops", Severity.WARNING)
    assert "which no server runs @ node leftover" in text
    graph.graph_def.node[1].input.append("^leftover")
    report = inspect(model)
    assert op in find(report, "ops")[0]
    assert not find(report, "ops", Severity.WARNING)


def test_changing_a_variable_at_each_request_is_a_warning(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "count", "AssignAdd", "x")
    assert not inspect(model).findings
    graph.graph_def.node[1].input.append("^count")
    assert "AssignAdd changes a variable" in find(inspect(model), "ops", Severity.WARNING)[0]


def test_leftovers_in_a_function_that_nobody_calls_are_information(inspect):
    model = make_model()
    add_node(add_function(model.meta_graphs[0], "backward", "a"), "g", "ReluGrad", "a", "a")
    report = inspect(model)
    assert not find(report, "ops", Severity.WARNING)
    assert "1 nodes of gradients" in find(report, "ops", Severity.INFO)[0]


@pytest.mark.parametrize("op", ["TanhGrad", "Conv2DBackpropFilter", "FusedBatchNormGradV3"])
def test_gradients_at_each_request_are_a_warning(inspect, op):
    model = make_model()
    graph = model.meta_graphs[0]
    add_node(graph, "g", op, "x")
    graph.graph_def.node[1].input.append("^g")
    assert f"{op} computes gradients at each request" in find(inspect(model), "ops", Severity.WARNING)[0]


def test_the_gradient_that_a_transposed_convolution_computes_is_none(inspect):
    model = make_model()
    model.meta_graphs[0].graph_def.node[1].op = "Conv2DBackpropInput"
    assert inspect(model).findings == ()


def test_savers_beside_the_loaders_own_are_information(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    for name in ("save", "save_1"):
        add_node(graph, name, "SaveV2", "x")
    graph.saver_def.save_tensor_name = "save:0"
    (text,) = find(inspect(model), "ops", Severity.INFO)
    assert "1 nodes of other savers" in text
    assert "node save_1" in text


@pytest.mark.parametrize(
    ("text", "suspicious"),
    [
        ("/home/ann/data/words.txt", True),
        ("C:\\models\\words.txt", True),
        ("gs://bucket/words.txt", True),
        ("file:///data/x", True),
        ("/", False),
        ("a/b", False),
        ("and/or", False),
        ("/n", False),
        ("see /home/ann for more", False),
        ("http://example.org", False),
    ],
)
def test_paths_of_the_trainers_machine(inspect, text, suspicious):
    model = make_model()
    graph = model.meta_graphs[0]
    add_text(graph, "path", text)
    assert not inspect(model).findings  # nothing uses it
    graph.graph_def.node[1].input.append("^path")
    found = find(inspect(model), "ops", Severity.WARNING)
    assert bool(found) is suspicious


def test_a_list_of_words_is_not_searched_for_paths(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    add_text(graph, "words", *(f"/home/{i}" for i in range(17)))
    graph.graph_def.node[1].input.append("^words")
    assert not inspect(model).findings


def test_text_that_leads_back_to_the_folder_itself(inspect, tmp_path):
    model = make_model()
    add_text(model.meta_graphs[0], "path", f"{tmp_path}/assets/words.txt")
    assert "leads back to this very folder" in find(inspect(model), "ops")[0]
    model.meta_graphs[0].graph_def.node[2].attr["value"].tensor.string_val[0] = f"{tmp_path}2/x".encode()
    assert not find(inspect(model), "ops")


# variables and weights


def test_variables_without_files(inspect):
    model = make_model()
    add_node(model.meta_graphs[0], "w", "VarHandleOp")
    assert "files are missing" in find(inspect(model), "variables")[0]


def test_nan_in_a_constant_that_is_used(inspect):
    model = make_model()
    graph = model.meta_graphs[0]
    node = add_node(graph, "w", "Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.extend([float("inf"), float("nan"), float("nan")])
    assert not find(inspect(model), "weights")
    graph.graph_def.node[1].input.append("w")
    assert "2 NaN" in find(inspect(model), "weights")[0]


# the suite


def test_severity_of_the_policy_replaces_the_checks_own(inspect):
    model = make_model()
    model.meta_graphs[0].graph_def.node[1].op = "WriteFile"
    policy = CheckPolicy(switched_off=LEFT_OUT, severities={"ops": Severity.WARNING})
    report = inspect(model, policy=policy)
    assert report.passed
    assert find(report, "ops", Severity.WARNING)


def test_nothing_is_run_before_the_static_checks_allow_it(inspect, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the runtime was started")

    monkeypatch.setattr("servable.checks.context.open_session", refuse)
    model = make_model()
    model.meta_graphs[0].graph_def.node[1].op = "WriteFile"
    report = inspect(model, policy=CheckPolicy())
    assert {s.check: s.reason for s in report.skipped}["serving_load"] == "check ops found errors"
    assert {*report.checked} | {s.check for s in report.skipped} == {*report.checked} | LEFT_OUT


def test_every_check_is_in_the_report_exactly_once(inspect):
    report = inspect(make_model(tags=("train",)), policy=CheckPolicy())
    names = [*report.checked, *(s.check for s in report.skipped)]
    assert sorted(names) == sorted(set(names))
    assert {*names} == ASKED


def test_the_checks_never_import_tensorflow(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys\nfrom pathlib import Path\nfrom servable.checks.suite import check_servable\n"
        "check_servable(Path(sys.argv[1]))\nassert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    (tmp_path / "saved_model.pb").write_bytes(make_model().SerializeToString())
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
