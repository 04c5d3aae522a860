"""Which graph of a SavedModel is taken, and how broken ones are refused; written by hand, no TensorFlow."""

import shutil

import pytest

from servable.errors import BrokenSourceError, SettingsError, SignatureError, UnsafeSourceError
from servable.export.exporting import complete_requests
from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.protos import MetaGraphDef, SavedModel, SignatureDef
from servable.model import VariableKey
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions


def make_graph(*tags, name="y"):
    graph = MetaGraphDef()
    graph.meta_info_def.tags.extend(tags)
    graph.graph_def.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    graph.graph_def.node.add(name=name, op="Relu", input=["x"]).attr["T"].type = 1
    add_signature(graph, "serving_default", {"x": "x:0"}, {"y": f"{name}:0"})
    return graph


def add_signature(graph, name, inputs, outputs, method="tensorflow/serving/predict"):
    definition = SignatureDef(method_name=method)
    for ends, infos in ((inputs, definition.inputs), (outputs, definition.outputs)):
        for key, tensor in ends.items():
            infos[key].name, infos[key].dtype = tensor, 1
    graph.signature_def[name].CopyFrom(definition)


@pytest.fixture
def write(tmp_path):
    def write(*graphs, text=False):
        saved_model = SavedModel(saved_model_schema_version=1, meta_graphs=graphs)
        folder = tmp_path / "model"
        folder.mkdir()
        if text:
            (folder / "saved_model.pbtxt").write_text(str(saved_model))
        else:
            (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
        return folder

    return write


def output_of(model):
    return model.signatures[0].outputs["y"]


def test_the_graph_tagged_serve_is_taken(write):
    folder = write(make_graph("train", name="a"), make_graph("serve", name="b"), make_graph("serve", "gpu"))
    model = open_source(folder)
    assert output_of(model) == "b:0"
    assert "left out {train}, {gpu, serve}" in model.notes[0].message


def test_text_is_read_too(write):
    assert output_of(open_source(write(make_graph("serve"), text=True))) == "y:0"


@pytest.mark.parametrize("graphs", [[("serve", "tpu")], [("train",), ()], [()]])
def test_the_next_best_is_taken_and_said(write, graphs):
    model = open_source(write(*(make_graph(*tags, name=f"y{len(tags)}") for tags in graphs)))
    assert output_of(model) == f"y{len(graphs[-1])}:0"
    assert "took the graph tagged" in model.notes[0].message


def test_a_graph_for_training_is_taken_only_by_name(write):
    folder = write(make_graph("train"))
    with pytest.raises(BrokenSourceError, match="to be served") as caught:
        open_source(folder)
    assert "--tags 'train'" in caught.value.advice
    assert output_of(open_source(folder, SourceOptions(tags=("train",)))) == "y:0"


def test_tags_that_are_not_there_are_refused_with_those_that_are(write):
    folder = write(make_graph("serve"), make_graph("train"))
    with pytest.raises(SettingsError, match="has these tags") as caught:
        open_source(folder, SourceOptions(tags=("serve", "train")))
    assert "{serve}, {train}" in caught.value.expected


@pytest.mark.parametrize(
    ("graphs", "problem"),
    [
        ([], "holds no graph"),
        ([MetaGraphDef()], "holds no graph"),
        ([make_graph("serve"), make_graph("serve")], "same tags"),
    ],
)
def test_what_no_loader_could_choose_from_is_broken(write, graphs, problem):
    with pytest.raises(BrokenSourceError, match=problem):
        open_source(write(*graphs))


@pytest.mark.parametrize("data", [b"", b"\x08", b"garbage that is no message at all"])
def test_garbage_is_broken(tmp_path, data):
    (tmp_path / "saved_model.pb").write_bytes(data)
    with pytest.raises(BrokenSourceError):
        open_source(tmp_path)


def test_a_graph_that_is_a_link_to_elsewhere_is_unsafe(write, tmp_path):
    folder = write(make_graph("serve"))
    (folder / "saved_model.pb").rename(tmp_path / "elsewhere.pb")
    (folder / "saved_model.pb").symlink_to(tmp_path / "elsewhere.pb")
    with pytest.raises(UnsafeSourceError, match="outside"):
        open_source(folder)


@pytest.mark.parametrize("name", ["assets", "variables", "assets.extra"])
def test_a_folder_of_it_that_is_a_link_to_elsewhere_is_unsafe(write, tmp_path, name):
    folder = write(make_graph("serve"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.txt").write_text("not the model's")
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(UnsafeSourceError, match="outside"):
        open_source(folder)


def test_functions_that_call_themselves_are_refused(write):
    graph = make_graph("serve")
    function = graph.graph_def.library.function.add()
    function.signature.name = "f"
    function.node_def.add(name="again", op="f")
    with pytest.raises(UnsafeSourceError, match="calls itself"):
        open_source(write(graph))


def test_missing_and_short_variables_are_named(zoo, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(zoo("tf2.16-sm_module-a").source, folder)
    shard = folder / "variables" / "variables.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(BrokenSourceError, match="incomplete"):
        open_source(folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(BrokenSourceError, match="but not their values") as caught:
        open_source(folder)
    assert "variables.index" in caught.value.expected


def test_keys_of_variables_are_read_out_of_functions(zoo):
    model = open_source(zoo("tf2.3-sm_module-a").source)
    assert model.body.variable_keys == {"Variable": VariableKey("w/.ATTRIBUTES/VARIABLE_VALUE")}
    body = open_source(zoo("tf2.16-sm_keras_export-a").source).body
    keys = [key.key for key in body.variable_keys.values()]
    stored = set(open_bundle(body.checkpoint_prefix).entries) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert len(keys) == len(stored) == 16
    assert set(keys) == stored


def test_a_signature_without_a_method_is_served_as_a_prediction(write):
    graph = make_graph("serve")
    add_signature(graph, "default", {"default": "x:0"}, {"default": "y:0"}, method="")
    add_signature(graph, "odd", {"a": "x:0"}, {"b": "y:0"}, method="tensorflow/serving/classify")
    add_signature(graph, "__saved_model_init_op", {}, {"__saved_model_init_op": "x"}, method="")
    model = open_source(write(graph))
    assert [(s.name, s.method) for s in model.signatures] == [
        ("serving_default", "predict"),
        ("default", "predict"),
        ("odd", "predict"),
    ]
    assert [note.message for note in model.notes if "odd" in note.message]


def test_sparse_ends_are_served_part_by_part(write):
    graph = make_graph("serve")
    info = graph.signature_def["serving_default"].inputs["ids"]
    for part in ("indices", "values", "dense_shape"):
        setattr(info.coo_sparse, f"{part}_tensor_name", f"{part}:0")
    (signature,) = open_source(write(graph)).signatures
    assert signature.inputs == {
        "ids_dense_shape": "dense_shape:0",
        "ids_indices": "indices:0",
        "ids_values": "values:0",
        "x": "x:0",
    }


def test_keys_of_a_stored_signature_stand_for_its_tensors(write):
    graph = make_graph("serve")
    add_signature(graph, "other", {"images": "x:0", "z": "x:0"}, {"scores": "y:0", "z": "y:0"})
    add_signature(graph, "third", {"images": "x:0"}, {"z": "x:0"})
    model = open_source(write(graph))

    def complete(inputs, outputs, name="new"):
        (request,) = complete_requests(model, [SignatureRequest(name, inputs, outputs)]).requests
        return request.inputs, request.outputs

    assert complete({"a": "images"}, {"b": "scores"}) == ({"a": "x:0"}, {"b": "y:0"})
    assert complete({"a": "x"}, {"b": "y:0"}) == ({"a": "x"}, {"b": "y:0"})
    assert complete({"a": "x"}, {"b": "y"}) == ({"a": "x"}, {"b": "y"})
    assert complete({"a": "images"}, {"b": "z"}, "third") == ({"a": "x:0"}, {"b": "x:0"})
    with pytest.raises(SignatureError, match="several signatures") as caught:
        complete({"a": "images"}, {"b": "z"})
    assert "third has images=x:0, z=x:0" in caught.value.expected


def test_keys_that_every_signature_has_are_those_of_the_default(write):
    graph = make_graph("serve")
    graph.graph_def.node.add(name="x2", op="Placeholder").attr["dtype"].type = 1
    graph.graph_def.node.add(name="y2", op="Relu", input=["x2"]).attr["T"].type = 1
    for name, number in (("serve", "2"), ("serving_default", "")):
        add_signature(graph, name, {"keras_tensor": f"x{number}:0"}, {"output_0": f"y{number}:0"})
    request = SignatureRequest("new", {"images": "keras_tensor"}, {"scores": "output_0"})
    (named,) = complete_requests(open_source(write(graph)), [request]).requests
    assert (named.inputs, named.outputs) == ({"images": "x:0"}, {"scores": "y:0"})


def test_without_a_signature_tensors_are_asked_for_with_candidates(write):
    graph = make_graph("serve")
    graph.signature_def.clear()
    model = open_source(write(graph))
    with pytest.raises(SignatureError, match="no signature") as caught:
        complete_requests(model, ())
    assert "x:0" in caught.value.received
    assert "y:0" in caught.value.received
    assert "--input x=x:0 --output" in caught.value.advice
    (request,) = complete_requests(model, [SignatureRequest(outputs={"y": "y:0"})]).requests
    assert request.inputs == {"x": "x:0"}


def test_warm_up_requests_of_the_original_are_left_out_and_said(write):
    folder = write(make_graph("serve"))
    (folder / "assets.extra").mkdir()
    assert "assets.extra" in open_source(folder).notes[-1].message
