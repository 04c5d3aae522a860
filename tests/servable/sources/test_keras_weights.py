"""Weights without their model, put into the structure or code that the user names, and nothing else."""

import json

import h5py
import numpy as np
import pytest

from servable.errors import BrokenSourceError, SettingsError, UnknownSourceError, UnsafeSourceError
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


def _open(path, **kwargs):
    return open_source(path, SourceOptions(**kwargs))


def _predict(model):
    answer = model.predict(model.signatures[0], {next(iter(model.body.inputs)): X}, frozen={})
    return next(iter(answer.values()))


@pytest.mark.zoo("*-json_weights-*")
def test_answers_are_those_of_the_runtime_that_wrote_the_files(zoo, case_name):
    case = zoo(case_name)
    architecture = case.folder / case.facts["architecture"]
    model = _open(case.folder / case.facts["weights"], architecture=architecture)
    request = SignatureRequest(inputs=case.name_ends("inputs"), outputs=case.name_ends("outputs"))
    answer = model.predict(request, case.read_arrays("inputs"), frozen={})
    for key, expected in case.read_arrays("outputs").items():
        np.testing.assert_allclose(answer[key], expected, rtol=1e-5, atol=1e-5)
    assert any("took the structure of model.json (sha256 " in note.message for note in model.notes)


def test_weights_alone_name_the_very_next_command(zoo):
    case = zoo("k2.2.4-json_weights-a")
    weights = case.folder / case.facts["weights"]
    with pytest.raises(UnknownSourceError) as caught:
        _open(weights)
    assert f"servable convert {weights} OUT_DIR --architecture {weights.parent}/model.json" in (
        caught.value.advice
    )


def test_yaml_is_refused_in_words(zoo):
    case = zoo("k2.2.4-json_weights-a")
    with pytest.raises(UnknownSourceError, match="YAML") as caught:
        _open(case.folder / case.facts["weights"], architecture=case.folder / "artifact" / "model.yaml")
    assert "to_json()" in caught.value.advice


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


def _make_model(keras, *, units=3, names=("a", "b", "c"), head=2):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((4,), name="x"),
            layers.Dense(units, activation="tanh", name=names[0]),
            layers.BatchNormalization(name=names[1]),
            layers.Dense(head, name=names[2]),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture
def save(keras, tmp_path):
    """Saves weights and structure; the older layout only Keras 2 still writes."""

    def save(model, name="w.weights.h5"):
        weights, architecture = tmp_path / name, tmp_path / "model.json"
        model.save_weights(str(weights))
        architecture.write_text(model.to_json())
        return weights, architecture

    return save


def test_the_newer_layout(keras, save):
    model = _make_model(keras)
    weights, architecture = save(model)
    opened = _open(weights, architecture=architecture)
    np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5)
    assert list(opened.body.inputs) == ["x"]


def test_weights_of_a_compiled_and_trained_model(keras, save):
    model = _make_model(keras)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, X[:, :2], verbose=0)
    weights, architecture = save(model)
    opened = _open(weights, architecture=architecture)
    np.testing.assert_allclose(_predict(opened), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_the_structure_may_be_a_whole_file_or_wrapped_text(keras, save, tmp_path):
    model = _make_model(keras)
    weights, architecture = save(model)
    expected = np.array(model(X))
    wrapped = tmp_path / "wrapped.json"
    wrapped.write_text(json.dumps(architecture.read_text()))
    model.set_weights([0 * weight for weight in model.get_weights()])
    model.save(tmp_path / "whole.keras")
    for path in (wrapped, tmp_path / "whole.keras"):
        np.testing.assert_allclose(_predict(_open(weights, architecture=path)), expected, rtol=1e-5)


# The older layout only Keras 2 writes.
@pytest.mark.parametrize(
    ("keras", "name"),
    [("keras", "w.weights.h5"), ("tf_keras", "w.weights.h5"), ("tf_keras", "w.h5")],
    indirect=["keras"],
)
def test_what_does_not_fit_is_listed_both_ways(keras, save, name, tmp_path):
    weights, _ = save(_make_model(keras), name)
    smaller = _make_model(keras, units=5)
    (tmp_path / "other.json").write_text(smaller.to_json())
    with pytest.raises(BrokenSourceError, match="not those of this model") as caught:
        _open(weights, architecture=tmp_path / "other.json")
    assert "[4, 5] in the model, [4, 3] in the file" in caught.value.received

    shorter = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, name="a")])
    (tmp_path / "other.json").write_text(shorter.to_json())
    with pytest.raises(BrokenSourceError) as caught:
        _open(weights, architecture=tmp_path / "other.json")
    assert "only in the file: " in caught.value.received

    longer = keras.Sequential([_make_model(keras), keras.layers.Dense(2, name="extra")])
    (tmp_path / "other.json").write_text(longer.to_json())
    with pytest.raises(BrokenSourceError) as caught:
        _open(weights, architecture=tmp_path / "other.json")
    assert "only in the model: " in caught.value.received


def test_a_layer_without_its_dataset_is_named(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    model = _make_model(tf_keras)
    model.save_weights(tmp_path / "w.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["b/b/gamma:0"]
    with pytest.raises(BrokenSourceError, match="'b/gamma:0' of layer 'b'"):
        _open(tmp_path / "w.h5", architecture=tmp_path / "model.json")


def test_other_names_are_matched_by_order_and_told(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    model = _make_model(tf_keras)
    model.save_weights(tmp_path / "w.h5")
    (tmp_path / "model.json").write_text(_make_model(tf_keras, names=("p", "q", "r")).to_json())
    opened = _open(tmp_path / "w.h5", architecture=tmp_path / "model.json")
    np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5)
    assert any("p from a" in note.message for note in opened.notes)


def test_the_same_names_in_another_order_are_not_mixed_up(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    i = tf_keras.layers.Input((4,), name="x")
    heads = [tf_keras.layers.Dense(2, name=name) for name in ("p", "q")]
    model = tf_keras.Model(i, tf_keras.layers.Subtract()([head(i) for head in heads]))
    model.save_weights(tmp_path / "w.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    with h5py.File(tmp_path / "w.h5", "a") as file:
        names = file.attrs["layer_names"]
        file.attrs["layer_names"] = names[::-1]
    opened = _open(tmp_path / "w.h5", architecture=tmp_path / "model.json")
    np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5, atol=1e-6)
    assert any("another order" in note.message for note in opened.notes)


def test_code_of_the_time_builds_the_model_of_the_time(tmp_path):
    """`tf.keras`, `tensorflow.keras` and `keras` are Keras 2 for weights of Keras 2."""
    tf_keras = pytest.importorskip("tf_keras")
    import keras
    import tensorflow as tf

    model = _make_model(tf_keras)
    model.save_weights(tmp_path / "w.h5")
    module = tmp_path / "net.py"
    for head in (
        "import tensorflow as tf\nlayers, Sequential = tf.keras.layers, tf.keras.Sequential\n",
        "from tensorflow.keras import layers\nfrom tensorflow.keras.models import Sequential\n",
        "from keras import layers\nfrom keras.models import Sequential\n",
    ):
        module.write_text(
            f"{head}def build_model():\n"
            "    return Sequential([layers.Dense(3, activation='tanh', input_shape=(4,)),\n"
            "        layers.BatchNormalization(), layers.Dense(2)])\n"
        )
        opened = _open(tmp_path / "w.h5", module=module)
        assert type(opened.body.trackable).__module__.startswith("tf_keras")
        np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5)
        assert any("ran net.py (sha256 " in note.message for note in opened.notes)
    assert keras.__name__ == "keras"
    assert tf.keras.layers.Dense is keras.layers.Dense


def test_a_model_in_python_code_is_built_on_the_inputs_that_its_file_names(keras, tmp_path):
    text = (
        "import tensorflow as tf\n"
        "INPUTS = {'a': tf.TensorSpec([None, 4]), 'b': tf.TensorSpec([None, 4], tf.float64)}\n"
        "def build_model(keras):\n"
        "    class Pair(keras.Model):\n"
        "        def __init__(self):\n"
        "            super().__init__()\n"
        "            self.left, self.right = keras.layers.Dense(2), keras.layers.Dense(2)\n"
        "        def call(self, a, b):\n"
        "            return {'sum': self.left(a) + self.right(tf.cast(b, tf.float32))}\n"
        "    return Pair()\n"
    )
    (tmp_path / "net.py").write_text(text)
    namespace = {}
    exec(text, namespace)
    model = namespace["build_model"](keras)
    expected = np.array(model(X, b=X.astype("float64"))["sum"])
    model.save_weights(str(tmp_path / "w.weights.h5"))
    opened = _open(tmp_path / "w.weights.h5", module=tmp_path / "net.py")
    assert opened.body.inputs["b"].dtype == "float64"
    answer = opened.predict(opened.signatures[0], {"a": X, "b": X}, frozen={})
    np.testing.assert_allclose(answer["sum"], expected, rtol=1e-5)

    (tmp_path / "net.py").write_text(text.replace("INPUTS =", "OTHERS ="))
    with pytest.raises(BrokenSourceError, match="Nothing says what this model takes") as caught:
        _open(tmp_path / "w.weights.h5", module=tmp_path / "net.py")
    assert "INPUTS = " in caught.value.advice


def test_code_in_a_structure_is_refused_and_can_be_replaced(keras, save, tmp_path):
    i = keras.layers.Input((4,), name="x")
    dense = keras.layers.Dense(2, name="d")
    model = keras.Model(i, keras.layers.Lambda(lambda x: x * 2, name="l")(dense(i)))
    weights, architecture = save(model)
    with pytest.raises(UnsafeSourceError, match="'l'"):
        _open(weights, architecture=architecture)
    (tmp_path / "f.py").write_text("def double(x): return x * 2\n")
    opened = _open(weights, architecture=architecture, replace_layers={"l": f"{tmp_path / 'f.py'}:double"})
    np.testing.assert_allclose(_predict(opened), np.array(model(X)), rtol=1e-5)


def test_structure_and_code_together_are_one_too_many(keras, save, tmp_path):
    weights, architecture = save(_make_model(keras))
    for beside in ({"architecture": architecture}, {"custom_objects": architecture}):
        with pytest.raises(SettingsError, match="Both"):
            _open(weights, module=architecture, **beside)
    with pytest.raises(SettingsError, match="no such file"):
        _open(weights, architecture=tmp_path / "none.json")


@pytest.mark.parametrize("content", [b"\x08\x01\x12\x04 graph", b"[1, 2]", b"not json", b'{"a": 1}'])
def test_what_is_no_structure_says_so(keras, save, tmp_path, content):
    weights, _ = save(_make_model(keras))
    (tmp_path / "other").write_bytes(content)
    with pytest.raises((UnknownSourceError, BrokenSourceError)) as caught:
        _open(weights, architecture=tmp_path / "other")
    assert str(tmp_path / "other") in caught.value.where
