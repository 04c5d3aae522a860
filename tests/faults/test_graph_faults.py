"""Faults of graphs: what must not run in a server, and what training left behind."""

import pytest

from servable.report import Severity


def run_before_answer(s, name):
    """The answer waits for a node."""
    s.node("y").input.append(f"^{name}")


def run_python(s):
    s.answer(s.add("py", "PyFunc", "y", token=b"f", Tin=[s.type(1)], Tout=[s.type(1)]) + ":0")


def read_file_in_branch(s):
    s.node("y").name = "right"
    then = s.define("then", inputs={"a": 1}, outputs={"r": (1, "kept:output:0")})
    s.const("path", "/etc/hostname", place=then)
    s.add("read", "ReadFile", "path:output:0", place=then)
    s.add("kept", "Identity", "a", "^read", place=then, T=s.type(1))
    orelse = s.define("orelse", inputs={"a": 1}, outputs={"r": (1, "kept:output:0")})
    s.add("kept", "Identity", "a", place=orelse, T=s.type(1))
    s.const("never", False)
    branches = {"then_branch": s.call("then"), "else_branch": s.call("orelse")}
    s.add("y", "If", "never", "right", Tcond=s.type(10), Tin=[s.type(1)], Tout=[s.type(1)], **branches)


def write_file(s):
    s.const("where", "out.txt")
    s.const("what", "text")
    run_before_answer(s, s.add("write", "WriteFile", "where", "what"))


def print_to_file(s):
    s.const("text", "hello")
    run_before_answer(s, s.add("print", "PrintV2", "text", output_stream=b"file://log.txt"))


def write_checkpoint(s):
    s.node("y").input.append("^save/SaveV2")


def open_socket(s):
    run_before_answer(s, s.add("call", "RpcClient"))


def read_foreign_vocabulary(s):
    s.graph.collection_def.pop("saved_model_assets")
    path = s.node("string_to_index/hash_table/asset_path").attr["value"].tensor
    path.string_val[:] = [b"/home/trainer/vocab.txt"]


def lead_back(s):
    s.const("origin", f"{s.folder}/assets/vocab.txt")


def name_trainers_path(s):
    s.const("log_dir", "/home/trainer/logs/run-7")
    run_before_answer(s, "log_dir")


def pin(device):
    def change(s):
        s.node("MatMul").device = device

    return change


def train(s):
    s.const("rate", np_float(0.1))
    s.const("step", [[np_float(0.0)] * 10] * 784)
    kinds = {"T": s.type(1), "use_locking": False}
    run_before_answer(s, s.add("train", "ApplyGradientDescent", "W", "rate", "step", **kinds))


def np_float(value):
    import numpy as np

    return np.float32(value)


def carry_optimizer(s):
    s.const("rate", np_float(0.1))
    s.const("step", [[np_float(0.0)] * 10] * 784)
    s.add("train", "ApplyGradientDescent", "W", "rate", "step", T=s.type(1), use_locking=False)


def take_from_queue(s):
    s.add("queue", "FIFOQueueV2", component_types=[s.type(1)])
    s.add("next", "QueueDequeueV2", "queue", component_types=[s.type(1)], timeout_ms=-1)
    run_before_answer(s, "next")


def carry_queue(s):
    s.add("queue", "FIFOQueueV2", component_types=[s.type(1)])


def answer_gradient(s):
    s.add("grad", "SoftplusGrad", "y", "add", T=s.type(1))
    s.answer("grad:0")
    s.baseline = None


def carry_gradient(s):
    s.add("grad", "SoftplusGrad", "y", "add", T=s.type(1))


def count_requests(s):
    s.const("one", [np_float(0.0)] * 10)
    run_before_answer(s, s.add("count", "AssignAdd", "b", "one", T=s.type(1), use_locking=False))


WARNING = Severity.WARNING
FAULTS = {
    # There is no Python in a server: that is for the target to say, too.
    "PyFunc": ("dense", run_python, "ops", "target"),
    "ReadFile in a branch": ("dense", read_file_in_branch, "ops"),
    "WriteFile": ("dense", write_file, "ops"),
    "PrintV2 to a file": ("dense", print_to_file, "ops"),
    "checkpoint written at each request": ("dense", write_checkpoint, "ops"),
    "talk with other machines": ("dense", open_socket, "ops", "target"),
    "vocabulary by absolute path": ("words", read_foreign_vocabulary, "ops"),
    "path back to the own folder": ("words", lead_back, "ops"),
    "path of the trainer's machine": ("dense", name_trainers_path, "ops", WARNING),
    "node pinned to a GPU": ("dense", pin("/device:GPU:1"), "ops", WARNING, "serving_load"),
    "node pinned to a parameter server": ("dense", pin("/job:ps/task:0"), "ops", WARNING, "serving_load"),
    "optimizer at each request": ("dense", train, "ops"),
    "optimizer left in": ("dense", carry_optimizer, "ops", WARNING),
    "queue at each request": ("dense", take_from_queue, "ops"),
    "queue left in": ("dense", carry_queue, "ops", WARNING),
    "gradient at each request": ("dense", answer_gradient, "ops", WARNING),
    "gradient left in": ("dense", carry_gradient, "ops", WARNING),
    "variable changed at each request": ("dense", count_requests, "ops", WARNING),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, convict):
    convict(name, FAULTS[name])
