"""Keras models, exported: they answer as where they were trained; and layers with a story of their own."""

import numpy as np
import pytest

from servable.export.objects import write_object_model
from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.protos import SavedModel, parse_message
from servable.runtime.outcome import Call
from servable.runtime.session import open_session
from servable.signature import SignatureRequest
from servable.sources.opening import open_source

pytestmark = [
    pytest.mark.tensorflow,
    # Saving in tests: Keras' variables lack the copy keyword that NumPy 2 asks for.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def _run_in_runtime(out_dir, feeds, name="serving_default"):
    signature = parse_message(SavedModel, out_dir / "saved_model.pb").meta_graphs[0].signature_def[name]
    fetches = {key: info.name for key, info in signature.outputs.items()}
    with open_session(out_dir) as session:
        assert session.load_fault is None
        result = session.run(
            Call({signature.inputs[k].name: v for k, v in feeds.items()}, tuple(fetches.values()))
        )
    assert result.fault is None
    return {key: result.outputs[tensor] for key, tensor in fetches.items()}


def _list_keys(out_dir):
    entries = open_bundle(out_dir / "variables" / "variables").entries
    return {
        key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/")
        for key in entries
        if not key.startswith("_CHECKPOINTABLE")
    }


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def convert(tmp_path):
    """Saves a model, opens it again, exports it; gives the opened model and the folder."""

    def convert(model, requests=None, suffix=".keras"):
        path = tmp_path / f"saved{suffix}"
        model.save(path)
        opened = open_source(path)
        out_dir = tmp_path / "exported"
        write_object_model(opened.body, requests or opened.signatures, None, out_dir)
        return opened, out_dir

    return convert


def _compare(converted, feeds):
    opened, out_dir = converted
    expected = opened.predict(opened.signatures[0], feeds, frozen={})
    answer = _run_in_runtime(out_dir, feeds)
    assert set(answer) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(answer[key].dtype, value.dtype)
        if value.dtype == object:
            np.testing.assert_array_equal(answer[key], value)
        else:
            np.testing.assert_allclose(answer[key], value, rtol=1e-5, atol=1e-5)
    return answer


def test_what_training_left_behind_is_not_written(keras, convert):
    i = keras.layers.Input((4,), name="x")
    h = keras.layers.Dropout(0.5)(keras.layers.Dense(3, name="h")(i))
    model = keras.Model(i, [keras.layers.Dense(2, name="a")(h), keras.layers.Dense(2, name="b")(h)])
    model.compile("adam", "mse")
    x, y = np.ones((2, 4), "float32"), np.ones((2, 2), "float32")
    model.train_on_batch(x, [y, y])
    _, out_dir = convert(model, [SignatureRequest(outputs={"a": "a"})])
    assert _list_keys(out_dir) == {"h/kernel", "h/bias", "a/kernel", "a/bias"}


def test_recurrent_layers_with_masks(keras, convert):
    layers = keras.layers
    i = layers.Input((None,), dtype="int32", name="ids")
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(
        layers.Embedding(10, 4, mask_zero=True)(i)
    )
    converted = convert(keras.Model(i, layers.GRU(2)(h)))
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0]], "int32")
    short = _compare(converted, {"ids": ids[:, :3]})
    padded = _compare(converted, {"ids": ids})
    # Padding is masked, so that more of it changes nothing.
    np.testing.assert_allclose(next(iter(padded.values())), next(iter(short.values())), rtol=1e-5, atol=1e-6)


def test_mixed_precision_and_double_precision(keras, convert):
    i = keras.layers.Input((4,), name="x")
    half = keras.layers.Dense(8, dtype="mixed_float16")(i)
    converted = convert(keras.Model(i, keras.layers.Dense(2, dtype="float64", name="y")(half)))
    answer = _compare(converted, {"x": np.linspace(0, 1, 8, dtype="float32").reshape(2, 4)})
    assert answer["y"].dtype == np.float64


def test_strings_are_looked_up(keras, convert):
    i = keras.layers.Input((1,), dtype="string", name="word")
    lookup = keras.layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot", name="y")
    words = np.array([[b"green"], [b"blue"], [b"red"]], dtype=object)
    answer = _compare(convert(keras.Model(i, lookup(i))), {"word": words})
    # The first column is for words that are not in the vocabulary.
    np.testing.assert_array_equal(answer["y"], [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_text_is_vectorized(keras, convert):
    vectorize = keras.layers.TextVectorization(output_sequence_length=3, name="y")
    vectorize.adapt(["b b b a a c"])
    i = keras.layers.Input((1,), dtype="string", name="text")
    answer = _compare(
        convert(keras.Model(i, vectorize(i))), {"text": np.array([[b"A, c?"], [b"zz b"]], dtype=object)}
    )
    # 0 pads, 1 is an unknown word, then words by how often they were seen.
    np.testing.assert_array_equal(answer["y"], [[3, 4, 0], [1, 2, 0]])


def test_integer_images_are_preprocessed_as_in_eager_mode(keras, convert):
    i = keras.layers.Input((None, None, 3), dtype="uint8", name="image")
    model = keras.Model(i, keras.layers.Rescaling(1 / 255, name="y")(keras.layers.Resizing(4, 4)(i)))
    images = np.random.default_rng(1).integers(0, 256, (2, 7, 5, 3), dtype=np.uint8)
    converted = convert(model)
    answer = _compare(converted, {"image": images})
    np.testing.assert_allclose(answer["y"], np.asarray(model(images, training=False)), atol=1e-6)


def test_a_recurrent_state_starts_as_saved(keras, convert):
    i = keras.layers.Input(batch_shape=(1, 2, 3), name="x")
    opened, out_dir = convert(keras.Model(i, keras.layers.LSTM(2, stateful=True, name="y")(i)))
    _compare((opened, out_dir), {"x": np.ones((1, 2, 3), "float32")})


def test_dropout_that_the_model_itself_forces_stays_on(convert):
    # tf_keras lets a layer's own training=True win; Keras 3 lets the model's training=False win.
    tf_keras = pytest.importorskip("tf_keras")
    i = tf_keras.layers.Input((4,), name="x")
    _, out_dir = convert(tf_keras.Model(i, tf_keras.layers.Dropout(0.5, name="y")(i, training=True)))
    ones = {"x": np.ones((50, 4), "float32")}
    answer = _run_in_runtime(out_dir, ones)["y"]
    assert set(np.unique(answer)) == {0, 2}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_tensorflow_calls_between_layers(convert, suffix):
    tf_keras = pytest.importorskip("tf_keras")
    import tensorflow as tf

    i = tf_keras.layers.Input((4,), name="x")
    y = tf.math.reduce_sum(tf.nn.relu(i) * 2.0, axis=-1, keepdims=True)[:, :1]
    x = np.array([[1, -1, 2, 0.5]], "float32")
    answer = _compare(convert(tf_keras.Model(i, y), suffix=suffix), {"x": x})
    np.testing.assert_allclose(next(iter(answer.values())), [[7.0]])
