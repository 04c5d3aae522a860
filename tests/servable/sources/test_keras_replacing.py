"""The user's functions in place of Lambda layers: real files of old runtimes, and every way to hide one."""

import os
from pathlib import Path

import numpy as np
import pytest

from servable.errors import SettingsError, UnsafeSourceError
from servable.signature import SignatureRequest
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]
MODULES_DIR = Path(__file__).parents[2] / "data" / "modules"
X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


def _name_layer(case):
    if case.facts.get("custom_objects"):
        return "swishish", "swishish"
    layer = "lambda_1" if case.facts["framework"] == "keras" and case.name.startswith("k2") else "lambda"
    return layer, "triple_plus_one" if case.name.startswith("keras3") else "double_plus_one"


@pytest.mark.zoo("*-lambda_layer-*")
def test_answers_are_those_of_the_runtime_that_wrote_the_file(zoo, case_name):
    case = zoo(case_name)
    with pytest.raises(UnsafeSourceError) as refused:
        open_source(case.source)
    layer, function = _name_layer(case)
    assert f"--replace-layer {layer}=FILE.py:FUNCTION" in refused.value.advice

    before = case.source.read_bytes()
    place = f"{MODULES_DIR / 'lambda_layers.py'}:{function}"
    model = open_source(case.source, SourceOptions(replace_layers={layer: place}))
    request = SignatureRequest(inputs=case.name_ends("inputs"), outputs=case.name_ends("outputs"))
    answer = model.predict(request, case.read_arrays("inputs"), frozen={})
    for key, expected in case.read_arrays("outputs").items():
        np.testing.assert_allclose(answer[key], expected, rtol=1e-5, atol=1e-5)
    assert case.source.read_bytes() == before
    assert any("ran lambda_layers.py (sha256 " in note.message for note in model.notes)


@pytest.mark.parametrize(
    "name", ["bad-h5_lambda_code-a", "bad-h5_lambda_code_keras2-a", "bad-keras_lambda_code-a"]
)
def test_the_stored_code_never_runs(zoo, name, monkeypatch):
    monkeypatch.delenv("LAB_PWNED", raising=False)
    place = f"{MODULES_DIR / 'lambda_layers.py'}:double_plus_one"
    model = open_source(zoo(name).source, SourceOptions(replace_layers={"lambda": place}))
    assert model.body.outputs
    assert "LAB_PWNED" not in os.environ


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request):
    return pytest.importorskip(request.param)


@pytest.fixture(params=[".keras", ".h5"])
def save(request, tmp_path):
    def save(model):
        path = tmp_path / f"saved{request.param}"
        model.save(path)
        return path

    return save


@pytest.fixture
def write_functions(tmp_path):
    def write_functions(text):
        path = tmp_path / "functions.py"
        path.write_text("import tensorflow as tf\n" + text)
        return path

    return write_functions


def _predict(path, x, **replace_layers):
    model = open_source(path, SourceOptions(replace_layers=replace_layers))
    answer = model.predict(model.signatures[0], {next(iter(model.body.inputs)): x}, frozen={})
    return next(iter(answer.values()))


def test_lambdas_of_nested_models_and_wrappers(keras, save, write_functions):
    layers = keras.layers
    inner = keras.Sequential(
        [layers.Input((4,)), layers.Lambda(lambda x: x, name="act"), layers.Dense(3, name="d")], name="inner"
    )
    i = layers.Input((2, 4), name="x")
    step = layers.TimeDistributed(inner, name="steps")(i)
    path = save(keras.Model(i, layers.Lambda(lambda x: x, name="act")(step)))
    functions = write_functions(
        "def square(x): return x * x\ndef total(x): return tf.reduce_sum(x, axis=1)\n"
    )
    x = np.random.default_rng(0).normal(size=(3, 2, 4)).astype("float32")
    kernel, bias = (np.array(weight) for weight in inner.get_weights())
    model = open_source(
        path,
        SourceOptions(replace_layers={"steps/inner/act": f"{functions}:square", "act": f"{functions}:total"}),
    )
    answer = model.predict(model.signatures[0], {"x": x}, frozen={})
    np.testing.assert_allclose(answer["act"], (x * x @ kernel + bias).sum(axis=1), rtol=1e-4, atol=1e-5)
    # The shape comes from what the function does, not from what the file says.
    assert model.body.outputs["act"].shape == (None, 3)
    assert sum("ran functions.py" in note.message for note in model.notes) == 1


def test_the_layers_own_arguments_are_handed_on(keras, save, write_functions):
    i = keras.layers.Input((4,), name="x")
    layer = keras.layers.Lambda(
        lambda x, by, plus: x * by + plus, arguments={"by": 3.0, "plus": [1, 2, 3, 4]}
    )
    path = save(keras.Model(i, layer(i)))
    functions = write_functions("def scale(x, by, plus): return x * by + tf.constant(plus, tf.float32)\n")
    np.testing.assert_allclose(
        _predict(path, X, **{layer.name: f"{functions}:scale"}), 3 * X + [1, 2, 3, 4], rtol=1e-6
    )


def test_a_function_stored_by_its_name_can_be_replaced_too(keras, save, write_functions):
    functions = write_functions("def twice(x): return 2 * x\n")
    namespace = {}
    exec("def twice(x): return -x", namespace)
    i = keras.layers.Input((4,), name="x")
    path = save(keras.Model(i, keras.layers.Lambda(namespace["twice"], name="l")(i)))
    np.testing.assert_array_equal(_predict(path, X, l=f"{functions}:twice"), 2 * X)


def test_a_mask_passes_a_replaced_layer_as_it_passed_the_stored_one(keras, save, write_functions):
    layers = keras.layers
    i = layers.Input((4, 2), name="x")
    masked = layers.Masking(0.0)(i)
    layer = layers.Lambda(lambda x: x + 1, mask=lambda inputs, mask: mask, name="l")
    path = save(keras.Model(i, layers.GlobalAveragePooling1D(name="y")(layer(masked))))
    x = np.zeros((1, 4, 2), "float32")
    x[0, 0] = [3, 5]
    bare = write_functions("def shift(x): return x + 1\n")
    with pytest.raises(SettingsError, match="computes a mask too") as caught:
        _predict(path, x, l=f"{bare}:shift")
    assert "shift_mask" in caught.value.expected
    # Only the first of four steps counts.
    bare.write_text(bare.read_text() + "def shift_mask(inputs, mask): return mask\n")
    np.testing.assert_allclose(_predict(path, x, l=f"{bare}:shift"), [[4, 6]])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nothing", "no function of a file"),
        (":f", "no function of a file"),
        ("{}:missing", "no function missing"),
    ],
)
def test_a_place_that_cannot_be_used_says_why(save, write_functions, place, said):
    import keras

    i = keras.layers.Input((4,), name="x")
    path = save(keras.Model(i, keras.layers.Lambda(lambda x: x, name="l")(i)))
    functions = write_functions("def there(x): return x\n")
    with pytest.raises(SettingsError, match=said):
        _predict(path, X, l=place.format(functions))
