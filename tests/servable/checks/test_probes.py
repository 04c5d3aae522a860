import numpy as np

from servable.checks.probes import list_probes
from servable.signature import Signature, TensorSpec


def make(dtype, shape=(None, 2)):
    return Signature("s", {"x": TensorSpec(dtype, shape, "x:0")}, {})


def probe(signature, value):
    return {probe.what: probe.inputs["x"] for probe in list_probes(signature, {"x": value})}


def test_floats_become_extreme_and_stay_finite():
    found = probe(make("float32"), np.ones((4, 2), np.float32))
    assert set(found) == {
        "zeros",
        "large numbers",
        "negative numbers",
        "denormal numbers",
        "no rows",
    }
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in found.values())
    assert (found["negative numbers"] == -1.5).all()
    assert 0 < found["denormal numbers"].max() < np.finfo(np.float32).tiny
    assert found["no rows"].shape == (0, 2)
    assert found["zeros"].shape == (2, 2)


def test_half_numbers_stay_finite_too():
    found = probe(make("float16"), np.ones((1, 2), np.float16))
    assert np.isfinite(found["large numbers"]).all()


def test_integers():
    found = probe(make("uint8"), np.ones((1, 2), np.uint8))
    assert set(found) == {"zeros", "the largest integers", "no rows"}
    assert (found["the largest integers"] == 255).all()
    assert (probe(make("int64"), np.ones((1, 2), np.int64))["negative integers"] == -1).all()


def test_texts():
    found = probe(make("string"), np.array([[b"a", b"b"]], object))
    assert set(found["empty texts"].ravel()) == {b""}
    assert found["texts beyond ASCII"][0, 0].decode().startswith("Zürich")
    assert found["texts that are no UTF-8"].dtype == object


def test_other_inputs_keep_their_values_and_fixed_rows_stay():
    signature = Signature("s", {"x": TensorSpec("float32", (3, 2)), "n": TensorSpec("int32", ())}, {})
    inputs = {"x": np.ones((3, 2), np.float32), "n": np.array(5, np.int32)}
    probes = {probe.what: probe.inputs for probe in list_probes(signature, inputs)}
    assert probes["large numbers"]["n"] == 5
    assert probes["large numbers"]["x"].shape == (3, 2)
    assert "no rows" not in probes


def test_only_no_rows_may_rightly_give_nan():
    probes = list_probes(make("float32"), {"x": np.ones((1, 2), np.float32)})
    assert [probe.what for probe in probes if not probe.is_finite] == ["no rows"]
