"""Faults that only answers show: wrong numbers, training behaviour, rows that depend on one another."""

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.report import Severity

F = np.float32


def change_weights(change):
    return lambda s: s.edit_weights("W", change)


def put(array, at, value):
    array[at] = value
    return array


def change_one_weight(s):
    """The weight that counts most in the first request, and a hundredth of it."""
    row = next(iter(s.baseline.samples.values())).inputs["x"][0]

    def change(w):
        weight = np.abs(w * row[:, None])
        return np.where(weight == weight.max(), w * F(1.01), w)

    s.edit_weights("W", change)


def exchange_outputs(s):
    outputs = s.signature.outputs
    outputs["scores"].name, outputs["twice"].name = outputs["twice"].name, outputs["scores"].name


def take_other_models_answers(s):
    s.expect(lambda outputs: {"y": np.roll(outputs["y"], 1, axis=1)})


def change_one_byte(s):
    s.expect(lambda outputs: outputs | {"text": put(outputs["text"], 2, outputs["text"][2] + b" ")})


def change_one_label(s):
    s.expect(lambda outputs: outputs | {"label": put(outputs["label"], 3, outputs["label"][3] + 1)})


def answer_with_other_type(s):
    s.expect(lambda outputs: outputs | {"label": outputs["label"].astype(np.int32)})


def expect_another_output(s):
    s.expect(lambda outputs: outputs | {"logits": outputs["scores"]})


def expect_nan(s):
    s.expect(lambda outputs: {"y": put(outputs["y"], (1, 2), np.nan)})


def expect_another_signature(s):
    sample = next(iter(s.baseline.samples.values()))
    s.baseline = Baseline({**s.baseline.samples, "predict_images": sample})


def drop_output_of_baseline(s):
    s.expect(lambda outputs: {"scores": outputs["scores"]})


def change_bias(s):
    s.edit_weights("b", lambda b: put(b, 9, b[9] + F(0.01)))


def softmax_twice(s):
    s.answer(s.add("again", "Softmax", "y", T=s.type(1)) + ":0")


def scale_input(s):
    s.const("k255", F(1 / 255))
    s.add("scaled", "Mul", "x", "k255", T=s.type(1))
    s.node("MatMul").input[0] = "scaled"


def drop_out(s):
    """Dropout as TensorFlow 1 writes it, with a share that shows."""
    shape_of(s, "add")
    s.add("u", "RandomUniform", "shape", T=s.type(3), dtype=s.type(1), seed=0, seed2=0)
    s.const("keep", F(0.9))
    s.add("u1", "Add", "keep", "u", T=s.type(1))
    s.add("mask", "Floor", "u1", T=s.type(1))
    s.add("kept", "Mul", "add", "mask", T=s.type(1))
    s.node("y").input[0] = "kept"
    s.baseline = None


def shape_of(s, tensor, name="shape"):
    s.add(name, "Shape", tensor, T=s.type(1), out_type=s.type(3))


def answer_noise(s):
    shape_of(s, "y")
    s.add("noise", "RandomStandardNormal", "shape", T=s.type(3), dtype=s.type(1), seed=0, seed2=0)
    s.const("little", F(1e-3))
    s.add("small", "Mul", "noise", "little", T=s.type(1))
    s.answer(s.add("noisy", "Add", "y", "small", T=s.type(1)) + ":0")
    s.baseline = None


def normalize_by_batch(s):
    s.const("image", np.array([-1, 1, 1, 10], np.int32))
    s.add("as_image", "Reshape", "add", "image", T=s.type(1), Tshape=s.type(3))
    s.const("scale", np.ones(10, F))
    s.const("offset", np.zeros(10, F))
    s.const("none", np.zeros(0, F))
    kinds = {"T": s.type(1), "U": s.type(1), "data_format": b"NHWC", "is_training": True, "epsilon": 1e-3}
    s.add("bn", "FusedBatchNormV3", "as_image", "scale", "offset", "none", "none", **kinds)
    s.const("flat", np.array([-1, 10], np.int32))
    s.add("as_rows", "Reshape", "bn", "flat", T=s.type(1), Tshape=s.type(3))
    s.node("y").input[0] = "as_rows"
    s.baseline = None


def reduce_rows(s, op="Mean", *, keep):
    s.const("first", np.array([0], np.int32))
    s.add("mean", op, "add", "first", T=s.type(1), Tidx=s.type(3), keep_dims=keep)


def subtract_batch_mean(s):
    reduce_rows(s, keep=True)
    s.add("centred", "Sub", "add", "mean", T=s.type(1))
    s.node("y").input[0] = "centred"
    s.baseline = None


def answer_batch_mean_to_all(s):
    reduce_rows(s, keep=True)
    s.add("zero", "Sub", "y", "y", T=s.type(1))
    s.answer(s.add("all_alike", "Add", "zero", "mean", T=s.type(1)) + ":0")
    s.baseline = None


def add_up_rows(s):
    s.const("first", np.int32(0))
    kinds = {"T": s.type(1), "Tidx": s.type(3), "exclusive": False, "reverse": False}
    s.answer(s.add("sum", "Cumsum", "y", "first", **kinds) + ":0")
    s.baseline = None


def count_rows(s):
    """Gives the number of rows as a float."""
    shape_of(s, "x", "x_shape")
    for name, value in (("begin", [0]), ("end", [1]), ("step", [1])):
        s.const(name, np.array(value, np.int32))
    kinds = {"T": s.type(3), "Index": s.type(3), "shrink_axis_mask": 1}
    masks = dict.fromkeys(("begin_mask", "ellipsis_mask", "end_mask", "new_axis_mask"), 0)
    s.add("rows", "StridedSlice", "x_shape", "begin", "end", "step", **kinds, **masks)


def answer_otherwise_in_large_batches(s):
    count_rows(s)
    s.const("eight", np.int32(8))
    s.add("is_large", "Greater", "rows", "eight", T=s.type(3))
    s.add("as_float", "Cast", "is_large", SrcT=s.type(10), DstT=s.type(1), Truncate=False)
    s.answer(s.add("shifted", "Add", "y", "as_float", T=s.type(1)) + ":0")


def count_requests(s):
    s.const("one", np.linspace(0, 0.1, 10, dtype=F))
    s.add("count", "AssignAdd", "b", "one", T=s.type(1), use_locking=False)
    s.node("b/read").input.append("^count")
    s.baseline = None


def leave_switch_on(s):
    s.const("default", F(0.5))
    s.add("keep_prob", "PlaceholderWithDefault", "default", dtype=s.type(1), shape=s.scalar)
    s.add("scaled", "Mul", "add", "keep_prob", T=s.type(1))
    s.node("y").input[0] = "scaled"
    s.baseline = None


def fix_rows(s):
    s.signature.inputs["x"].tensor_shape.dim[0].size = 3
    s.signature.outputs["y"].tensor_shape.dim[0].size = 3


def fix_answered_rows(s):
    s.signature.outputs["y"].tensor_shape.dim[0].size = 3


def reshape_to_training_batch(s):
    s.const("batch", np.array([3, 784], np.int32))
    s.add("reshaped", "Reshape", "x", "batch", T=s.type(1), Tshape=s.type(3))
    s.node("MatMul").input[0] = "reshaped"


def answer_mean_row(s):
    reduce_rows(s, keep=True)
    s.answer("mean:0")
    s.baseline = None


def refuse_large_batches(s):
    count_rows(s)
    s.const("most", np.int32(32))
    s.add("fits", "LessEqual", "rows", "most", T=s.type(3))
    s.const("words", "more rows than in training")
    s.add("assert", "Assert", "fits", "words", T=[s.type(7)], summarize=3)
    s.node("y").input.append("^assert")


def take_logarithm(s):
    s.add("log", "Log", "x", T=s.type(1))
    s.const("k0", F(0.0))
    s.add("nothing", "MulNoNan", "log", "k0", T=s.type(1))
    s.add("x1", "Add", "x", "log", T=s.type(1))
    s.node("MatMul").input[0] = "x1"
    sample = next(iter(s.baseline.samples.values()))
    s.baseline = Baseline({"serving_default": Sample({"x": np.abs(sample.inputs["x"]) + F(0.5)}, {})})


def divide_by_sum(s):
    s.const("second", np.array([1], np.int32))
    s.add("total", "Sum", "x", "second", T=s.type(1), Tidx=s.type(3), keep_dims=True)
    s.add("shares", "RealDiv", "x", "total", T=s.type(1))
    s.node("MatMul").input[0] = "shares"
    s.baseline = None


WARNING = Severity.WARNING
FAULTS = {
    "one weight changed by 1 %": ("dense", change_one_weight, "fidelity"),
    "all weights off by 1 %": ("dense", change_weights(lambda w: w * F(1.01)), "fidelity"),
    "rows of the weights in another order": ("dense", change_weights(lambda w: w[::-1]), "fidelity"),
    "stale baseline": ("dense", take_other_models_answers, "fidelity"),
    "two outputs exchanged": ("heads", exchange_outputs, "fidelity"),
    "string output off by one byte": ("heads", change_one_byte, "fidelity"),
    "integer output off by one": ("heads", change_one_label, "fidelity"),
    "integer output of another width": ("heads", answer_with_other_type, "fidelity"),
    "output missing": ("heads", expect_another_output, "fidelity"),
    "output that was compared with nothing": ("heads", drop_output_of_baseline, "fidelity", WARNING),
    "signature of the baseline missing": ("dense", expect_another_signature, "fidelity"),
    "NaN in the baseline": ("dense", expect_nan, "fidelity"),
    "one bias off by 0.01": ("dense", change_bias, "fidelity"),
    "softmax twice": ("dense", softmax_twice, "fidelity"),
    "input scaled once more": ("dense", scale_input, "fidelity"),
    "dropout on": ("dense", drop_out, "inference_mode"),
    "random output": ("dense", answer_noise, "inference_mode"),
    "batch norm in training mode": ("dense", normalize_by_batch, "inference_mode"),
    "batch mean subtracted": ("dense", subtract_batch_mean, "inference_mode"),
    "batch mean answered to every row": ("dense", answer_batch_mean_to_all, "inference_mode"),
    "rows added up": ("dense", add_up_rows, "inference_mode"),
    "other answers in large batches": ("dense", answer_otherwise_in_large_batches, "inference_mode"),
    "state changed by requests": ("dense", count_requests, "inference_mode"),
    "training switch that nobody feeds": ("dense", leave_switch_on, "inference_mode", WARNING),
    "fixed number of rows": ("dense", fix_rows, "batch", WARNING),
    "fixed number of answered rows": ("dense", fix_answered_rows, "batch", WARNING, "serving_load"),
    "reshaped to the training batch": ("dense", reshape_to_training_batch, "batch"),
    "output rows not following": ("dense", answer_mean_row, "batch"),
    "large batches refused": ("dense", refuse_large_batches, "batch"),
    "NaN for negative input": ("dense", take_logarithm, "robustness", WARNING),
    "NaN for zeros and denormals": ("dense", divide_by_sum, "robustness", WARNING),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, convict):
    convict(name, FAULTS[name])
