"""What a training graph offers, and what is taken of it, on real graphs of TensorFlow 1.4 to 1.15."""

import contextlib
import random
import re
from pathlib import Path

import pytest

from servable.errors import SignatureError
from servable.formats.protos import MetaGraphDef
from servable.signature import SignatureRequest
from servable.sources.choosing.completing import GraphSuggester
from servable.sources.saver_checkpoints.checkpoint_graph import read_meta_graph

# The training graph of an Estimator names nothing in its case; its heads always bear these names.
ESTIMATOR_INPUTS = {"IteratorGetNext:0", "IteratorGetNext:1"}
ESTIMATOR_OUTPUTS = re.compile(
    r"dnn/(head/predictions/(probabilities|str_classes|ExpandDims(_2)?)|logits/BiasAdd):0"
)


def suggester_of(case):
    return GraphSuggester(read_meta_graph(case.source), case.source)


def expect_ends(case):
    if case.facts["kind"] == "tf1_estimator":
        return ESTIMATOR_INPUTS, None
    return set(case.name_ends("inputs").values()), set(case.name_ends("outputs").values())


# Every TF1 case that has its graph.
@pytest.mark.zoo("tf1.*")
def test_a_signature_is_chosen_right_from_a_bare_graph(zoo, case_name):
    case = zoo(case_name)
    if case.facts["kind"] == "saved_model" or case.facts.get("has_meta") is False:
        pytest.skip("its graph is no .meta")
    suggestion = suggester_of(case)([SignatureRequest()], frozen={})
    (request,) = suggestion.requests
    inputs, outputs = expect_ends(case)
    assert set(request.inputs.values()) == inputs
    assert request.outputs
    for tensor in request.outputs.values():
        assert tensor in outputs if outputs else ESTIMATOR_OUTPUTS.fullmatch(tensor)
    assert suggestion.frozen == case.frozen
    assert len(suggestion.notes) == 1 + len(case.frozen)


@pytest.mark.parametrize(
    ("case_name", "outputs"),
    [
        ("tf1.15-multi_head-a", ["probs", "class_id", "label", "top_0", "top_1", "value"]),
        ("tf1.15-dtypes-a", ["y", "big", "s"]),
        ("tf1.15-lookup-a", ["scores", "label"]),
        ("tf1.15-estimator-a", ["probabilities", "class_ids", "str_classes"]),
        ("tf1.15-lr-b", ["probabilities"]),
    ],
)
def test_heads_of_equal_standing_are_served_together(zoo, case_name, outputs):
    (request,) = suggester_of(zoo(case_name))([SignatureRequest()], frozen={}).requests
    assert sorted(request.outputs) == sorted(outputs)


def test_feature_columns_name_the_inputs(zoo):
    (request,) = suggester_of(zoo("tf1.15-estimator-a"))([SignatureRequest()], frozen={}).requests
    assert request.inputs == {"f1": "IteratorGetNext:0", "f2": "IteratorGetNext:1"}


def test_parts_of_a_sparse_placeholder_keep_its_name(zoo):
    (request,) = suggester_of(zoo("tf1.15-sparse_ph-a"))([SignatureRequest()], frozen={}).requests
    assert set(request.inputs) == {"features_indices", "features_values", "features_shape"}


@pytest.mark.zoo("tf1.*-cnn_bn-?", "tf1.*-estimator-a", "tf1.*-queue_pipeline-a", "tf1.*-rnn-?")
def test_nothing_of_the_training_is_offered(zoo, case_name):
    found = suggester_of(zoo(case_name)).candidates
    assert found.inputs
    for candidate in (*found.inputs, *found.outputs):
        assert not re.search(r"gradients|save/|cross_entropy|Adam|Adagrad|labels|Summary", candidate.tensor)
        assert candidate.reason


def test_names_of_an_old_style_flag_do_not_matter(zoo):
    """The graph of `phase_train` says what it does; called otherwise it is frozen all the same."""
    case = zoo("tf1.4-cnn_bn-b")
    meta_graph = read_meta_graph(case.source)
    for node in meta_graph.graph_def.node:
        node.name = node.name.replace("phase_train", "q7")
        renamed = [text.replace("phase_train", "q7") for text in node.input]
        del node.input[:]
        node.input.extend(renamed)
    suggestion = GraphSuggester(meta_graph, case.source)([SignatureRequest()], frozen={})
    assert suggestion.frozen == {"input/q7:0": False}


@pytest.mark.zoo("tf1.15-*-a")
def test_a_graph_without_noted_shapes_is_read_the_same_way(zoo, case_name):
    case = zoo(case_name)
    if case.facts["kind"] == "saved_model" or case.facts.get("has_meta") is False:
        pytest.skip("its graph is no .meta")
    noted = suggester_of(case)([SignatureRequest()], frozen={})
    meta_graph = read_meta_graph(case.source)
    for node in meta_graph.graph_def.node:
        if "_output_shapes" in node.attr:
            del node.attr["_output_shapes"]
    bare = GraphSuggester(meta_graph, case.source)([SignatureRequest()], frozen={})
    assert set(bare.requests[0].outputs.values()) == set(noted.requests[0].outputs.values())
    assert (bare.requests[0].inputs, bare.frozen) == (noted.requests[0].inputs, noted.frozen)


def test_reading_a_graph_changes_nothing_in_it(zoo):
    case = zoo("tf1.15-cnn_bn-a")
    meta_graph = read_meta_graph(case.source)
    before = meta_graph.SerializeToString(deterministic=True)
    suggester = GraphSuggester(meta_graph, case.source)
    suggester([SignatureRequest()], frozen={})
    assert suggester.candidates.outputs
    assert meta_graph.SerializeToString(deterministic=True) == before


def test_only_inputs_are_asked_for(zoo):
    suggest = suggester_of(zoo("tf1.15-cnn_bn-a"))
    asked = SignatureRequest("predict_images", outputs={"scores": "logits/BiasAdd:0"})
    suggestion = suggest([asked], frozen={})
    (request,) = suggestion.requests
    assert (request.name, request.inputs) == ("predict_images", {"images": "images:0"})
    assert request.outputs == {"scores": "logits/BiasAdd:0"}
    assert suggestion.frozen == {"is_training:0": False}


def test_only_outputs_are_asked_for(zoo):
    asked = SignatureRequest(inputs={"pictures": "images:0"})
    (request,) = suggester_of(zoo("tf1.15-cnn_bn-a"))([asked], frozen={}).requests
    assert request.inputs == {"pictures": "images:0"}
    assert request.outputs == {"probabilities": "probabilities:0"}


def test_a_loss_that_is_asked_for_needs_the_labels(zoo):
    asked = SignatureRequest(outputs={"loss": "Mean:0"})
    (request,) = suggester_of(zoo("tf1.15-cnn_bn-a"))([asked], frozen={}).requests
    assert set(request.inputs.values()) == {"images:0", "labels:0"}


def test_what_the_user_set_stands(zoo):
    suggest = suggester_of(zoo("tf1.15-dropout-a"))
    suggestion = suggest([SignatureRequest()], frozen={"keep_prob": "0.5"})
    assert suggestion.frozen == {"keep_prob": "0.5"}
    assert suggestion.requests[0].inputs == {"x": "x:0"}


def test_a_switch_that_the_user_feeds_is_not_frozen(zoo):
    asked = SignatureRequest(inputs={"x": "x:0", "keep": "keep_prob"}, outputs={"y": "prediction:0"})
    suggestion = suggester_of(zoo("tf1.15-dropout-a"))([asked], frozen={})
    assert (suggestion.requests, suggestion.frozen) == ((asked,), {})


def test_a_complete_request_gets_its_switches_frozen(zoo):
    asked = SignatureRequest(inputs={"x": "x:0"}, outputs={"y": "prediction:0"})
    suggestion = suggester_of(zoo("tf1.15-dropout-a"))([asked], frozen={})
    assert (suggestion.requests, suggestion.frozen) == ((asked,), {"keep_prob:0": 1.0})
    assert "keep_prob:0 is frozen to 1.0" in suggestion.notes[0].message


def test_each_of_several_signatures_is_completed(zoo):
    asked = [SignatureRequest("all"), SignatureRequest("raw", outputs={"logits": "logits/BiasAdd:0"})]
    suggestion = suggester_of(zoo("tf1.15-cnn_bn-a"))(asked, frozen={})
    assert [request.name for request in suggestion.requests] == ["all", "raw"]
    assert all(request.inputs == {"images": "images:0"} for request in suggestion.requests)
    assert suggestion.frozen == {"is_training:0": False}


def test_a_tensor_that_is_not_there_is_named(zoo):
    asked = SignatureRequest(inputs={"x": "nothing:0"})
    with pytest.raises(SignatureError, match="nothing:0"):
        suggester_of(zoo("tf1.15-lr-a"))([asked], frozen={})


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("case_name", ["tf1.15-cnn_bn-a", "tf1.15-rnn-b", "tf1.15-estimator-a"])
def test_a_mangled_graph_is_read_or_refused_in_words(zoo, case_name, seed):
    meta_graph = read_meta_graph(zoo(case_name).source)
    nodes = list(meta_graph.graph_def.node)
    draw = random.Random(seed)
    for node in draw.sample(nodes, 40):
        other = draw.choice(nodes)
        if draw.random() < 0.3:
            node.op = other.op
        elif node.input:
            position = draw.randrange(len(node.input))
            node.input[position] = draw.choice([other.name, f"{other.name}:7", node.name])
            del node.input[draw.randrange(len(node.input)) : draw.randrange(3)]
        for attr in draw.sample(sorted(node.attr), min(1, len(node.attr))):
            del node.attr[attr]
    suggest = GraphSuggester(meta_graph, Path("m"))
    with contextlib.suppress(SignatureError):
        (request,) = suggest([SignatureRequest()], frozen={}).requests
        assert request.inputs
        assert request.outputs


def test_a_ring_of_nodes_ends():
    meta_graph = MetaGraphDef()
    add = meta_graph.graph_def.node.add
    add(name="x", op="Placeholder").attr["dtype"].type = 1
    add(name="a", op="Reshape", input=["b", "x"])
    add(name="b", op="Identity", input=["a"])
    with pytest.raises(SignatureError):
        GraphSuggester(meta_graph, Path("m"))([SignatureRequest()], frozen={})
