"""Made-up tf.Examples: TensorFlow's parsers take them, in graphs of each kind; elsewhere there are none."""

from __future__ import annotations

import numpy as np
import pytest

from servable.checks.made_up_examples import Feature, find_features, invent_examples
from servable.checks.reach import GraphReach
from servable.formats.protos import MetaGraphDef
from servable.signature import read_signature

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def tf():
    import tensorflow

    return tensorflow


@pytest.fixture
def open_graph(tf):
    """Makes a graph of the TensorFlow 1 kind, and gives its signature and what a server runs of it."""

    def make(build, *, dtype=None, shape=(None,)):
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph:
            texts = v1.placeholder(dtype or tf.string, shape, "texts")
            outputs = {f"y{i}": tensor for i, tensor in enumerate(build(texts))}
            definition = v1.saved_model.predict_signature_def({"examples": texts}, outputs)
            meta_graph = MetaGraphDef.FromString(v1.train.export_meta_graph(graph=graph).SerializeToString())
        meta_graph.signature_def["serve"].MergeFromString(definition.SerializeToString())
        return read_signature("serve", meta_graph.signature_def["serve"]), GraphReach(meta_graph)

    return make


SPECS = {
    "one": ("fixed", [], "float32"),
    "image": ("fixed", [2, 3], "float32"),
    "id": ("fixed", [1], "int64"),
    "word": ("fixed", [1], "string"),
    "steps": ("sequence", [2], "float32"),
    "tags": ("variable", None, "string"),
    "clicks": ("variable", None, "int64"),
}
# As many as each takes; of free numbers, four.
COUNTS = {"one": 1, "image": 6, "id": 1, "word": 1, "steps": 8, "tags": 4, "clicks": 4}


def make_specs(tf):
    def make(kind, shape, dtype):
        if kind == "fixed":
            return tf.io.FixedLenFeature(shape, dtype)
        if kind == "sequence":
            return tf.io.FixedLenSequenceFeature(shape, dtype, allow_missing=True)
        return tf.io.VarLenFeature(tf.as_dtype(dtype))

    return {name: make(*spec) for name, spec in SPECS.items()}


def list_tensors(tf, parsed):
    return [getattr(value, "values", value) for _, value in sorted(parsed.items())]


def parse_v2(tf, texts):
    return list_tensors(tf, tf.io.parse_example(texts, make_specs(tf)))


def parse_v1(tf, texts):
    """As graphs before TensorFlow 1.15 have it: one input for each key."""
    sparse, dense = (
        [name for name, spec in SPECS.items() if (spec[0] == "variable") == loose] for loose in (True, False)
    )
    shapes = {
        name: ([None, *shape] if kind == "sequence" else shape) for name, (kind, shape, _) in SPECS.items()
    }
    types = {name: tf.as_dtype(dtype) for name, (_, _, dtype) in SPECS.items()}
    empty = {"float32": [], "int64": [], "string": []}
    parsed = tf.raw_ops.ParseExample(
        serialized=texts,
        names=tf.constant([], tf.string),
        sparse_keys=[tf.constant(name) for name in sparse],
        dense_keys=[tf.constant(name) for name in dense],
        dense_defaults=[
            tf.constant(empty[SPECS[name][2]] if name != "steps" else [0.0], types[name]) for name in dense
        ],
        sparse_types=[types[name] for name in sparse],
        dense_shapes=[shapes[name] for name in dense],
    )
    return [*parsed.sparse_values, *parsed.dense_values]


@pytest.mark.parametrize("parse", [parse_v2, parse_v1])
def test_what_a_parser_asks_for_is_read_from_its_graph(tf, open_graph, parse):
    signature, reach = open_graph(lambda texts: parse(tf, texts))
    found = find_features("serve", signature.inputs["examples"], reach)
    assert found == {name: Feature(spec[2], COUNTS[name]) for name, spec in SPECS.items()}


@pytest.mark.parametrize("parse", [parse_v2, parse_v1])
def test_tensorflow_parses_what_is_made_up(tf, open_graph, parse):
    signature, reach = open_graph(lambda texts: parse(tf, texts))
    texts = invent_examples(signature, reach, batch_size=3)["examples"]
    assert (texts.shape, texts.dtype) == ((3,), object)
    parsed = tf.io.parse_example(texts.tolist(), make_specs(tf))
    assert parsed["image"].shape == (3, 2, 3)
    assert parsed["steps"].shape == (3, 4, 2)
    assert parsed["tags"].dense_shape.numpy().tolist() == [3, 4]
    # Rows differ, or a model that mixes them up would answer all alike.
    assert len(np.unique(parsed["one"].numpy())) == 3
    assert set(parsed["clicks"].values.numpy().tolist()) <= {0, 1}


def test_the_same_seed_gives_the_same_bytes(tf, open_graph):
    signature, reach = open_graph(lambda texts: parse_v2(tf, texts))
    first, second, other = (invent_examples(signature, reach, seed=seed)["examples"] for seed in (0, 0, 1))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_single_examples_are_made_up_too(tf, open_graph):
    specs = {"x": tf.io.FixedLenFeature([3], tf.float32)}
    signature, reach = open_graph(lambda text: [tf.io.parse_single_example(text, specs)["x"]], shape=())
    text = invent_examples(signature, reach)["examples"]
    assert text.shape == ()
    assert tf.io.parse_single_example(text.item(), specs)["x"].shape == (3,)


def test_a_parser_inside_a_function_is_found(exported_models):
    from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file

    saved_model = read_model_file(exported_models["examples"] / MODEL_FILE)
    meta_graph = saved_model.meta_graphs[0]
    signature = read_signature("serving_default", meta_graph.signature_def["serving_default"])
    found = find_features("serving_default", next(iter(signature.inputs.values())), GraphReach(meta_graph))
    assert found == {"x": Feature("float32", 6)}


def test_two_parsers_ask_for_the_features_of_both(tf, open_graph):
    def build(texts):
        for name, dtype in (("x", tf.float32), ("z", tf.int64)):
            yield tf.io.parse_example(texts, {name: tf.io.FixedLenFeature([1], dtype)})[name]

    signature, reach = open_graph(build)
    found = find_features("serve", signature.inputs["examples"], reach)
    assert found == {"x": Feature("float32", 1), "z": Feature("int64", 1)}


def test_parsers_that_contradict_each_other_are_not_served(tf, open_graph):
    def build(texts):
        for dtype in (tf.float32, tf.int64):
            yield tf.io.parse_example(texts, {"x": tf.io.FixedLenFeature([1], dtype)})["x"]

    signature, reach = open_graph(build)
    assert invent_examples(signature, reach) is None


def test_strings_that_nothing_parses_are_no_examples(tf, open_graph):
    assert invent_examples(*open_graph(lambda texts: [tf.strings.upper(texts)])) is None


def test_what_is_decoded_first_is_no_example(tf, open_graph):
    specs = {"x": tf.io.FixedLenFeature([1], tf.float32)}
    signature, reach = open_graph(lambda texts: [tf.io.parse_example(tf.io.decode_base64(texts), specs)["x"]])
    assert invent_examples(signature, reach) is None


def test_numbers_are_no_examples(tf, open_graph):
    assert invent_examples(*open_graph(lambda x: [x + 1], dtype=tf.float32)) is None
