"""Faults of tags and signatures, and of what a target's loader and clients know."""

import pytest

from servable.checks.policy import CheckPolicy
from servable.report import Severity
from servable.signature import SignatureRequest


def tag(*tags):
    def change(s):
        del s.graph.meta_info_def.tags[:]
        s.graph.meta_info_def.tags.extend(tags)

    return change


def repeat_graph(s):
    s.model.meta_graphs.add().CopyFrom(s.graph)


def add_training_graph(s):
    s.model.meta_graphs.add().CopyFrom(s.graph)
    del s.model.meta_graphs[1].meta_info_def.tags[:]
    s.model.meta_graphs[1].meta_info_def.tags.append("train")


def ask_for_another(s):
    s.requests = (SignatureRequest("predict_images"),)


def drop_signatures(s):
    s.graph.signature_def.clear()
    s.baseline = None


def swap_keys(s):
    s.requests = (SignatureRequest(inputs={"x": "x:0"}, outputs={"y": "y:0"}),)
    inputs, outputs = s.signature.inputs, s.signature.outputs
    inputs["y"].CopyFrom(inputs["x"])
    outputs["x"].CopyFrom(outputs["y"])
    del inputs["x"], outputs["y"]
    s.baseline = None


def declare_input_type(s):
    s.signature.inputs["x"].dtype = 2
    s.baseline = None


def declare_output_type(s):
    s.signature.outputs["y"].dtype = 2
    s.baseline = None


def declare_rank(s):
    s.signature.inputs["x"].tensor_shape.dim.add(size=1)
    s.baseline = None


def declare_output_shape(s):
    s.signature.outputs["y"].tensor_shape.dim[1].size = 9


def name_method(s):
    s.signature.method_name = "predict"


def classify(s):
    s.signature.method_name = "tensorflow/serving/classify"


def name_lost_tensor(s):
    s.answer("probabilities:0")


def need_unfed(s):
    s.add("scale", "Placeholder", dtype=s.type(1))
    s.answer(s.add("scaled", "Mul", "y", "scale", T=s.type(1)) + ":0")


def feed_twice(s):
    s.signature.inputs["image"].CopyFrom(s.signature.inputs["x"])
    s.baseline = None


def rename_default(s):
    signature = s.signature
    s.graph.signature_def["predict"].CopyFrom(signature)
    del s.graph.signature_def["serving_default"]
    s.baseline = None


def use_unknown_op(s):
    s.answer(s.add("odd", "MyCompanysSoftmax", "y", T=s.type(1)) + ":0")


def use_newer_op(s):
    s.policy = CheckPolicy(target="tensorflow-1.15")
    s.answer(s.add("even", "StatelessCase", "y") + ":0")


def mention_unknown_attribute(s):
    s.policy = CheckPolicy(target="pai-eas/tensorflow_cpu_2.4")
    s.node("MatMul").attr["grad_a"].b = False


def answer_in_halves(s):
    s.policy = CheckPolicy(target="pai-eas/tensorflow_cpu_2.7")
    kinds = {"SrcT": s.type(1), "DstT": s.type(19), "Truncate": False}
    s.answer(s.add("half", "Cast", "y", **kinds) + ":0")
    s.signature.outputs["y"].dtype = 19
    s.baseline = None


FAULTS = {
    "serve tag dropped": ("dense", tag("train"), "tags"),
    "serve tag spelled as letters": ("dense", tag(*"serve"), "tags"),
    "extra tag": ("dense", tag("serve", "gpu"), "tags"),
    "two graphs with the same tags": ("dense", repeat_graph, "tags"),
    "training graph beside": ("dense", add_training_graph, "tags", Severity.WARNING),
    "signature missing": ("dense", ask_for_another, "signatures"),
    "no signature at all": ("dense", drop_signatures, "signatures"),
    "no default signature": ("dense", rename_default, "signatures", Severity.WARNING),
    "signature keys swapped": ("dense", swap_keys, "signatures"),
    "wrong dtype of an input": ("dense", declare_input_type, "signatures"),
    "wrong dtype of an output": ("dense", declare_output_type, "serving_load"),
    "wrong rank of an input": ("module", declare_rank, "signatures"),
    "wrong shape of an output": ("dense", declare_output_shape, "serving_load"),
    "wrong method name": ("dense", name_method, "signatures"),
    "classify with predict's keys": ("dense", classify, "signatures"),
    "output that the graph does not have": ("dense", name_lost_tensor, "signatures"),
    "placeholder that nobody feeds": ("dense", need_unfed, "signatures"),
    "one tensor fed by two inputs": ("dense", feed_twice, "signatures"),
    "unknown op": ("dense", use_unknown_op, "target", "serving_load"),
    "op that the target does not know": ("dense", use_newer_op, "target", "runtimes", "serving_load"),
    "attribute that the target does not know": ("dense", mention_unknown_attribute, "target", "runtimes"),
    "type that the target's clients do not know": ("dense", answer_in_halves, "target"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, convict):
    convict(name, FAULTS[name])
