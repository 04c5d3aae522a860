"""Faults of running: what does not start, does not end, takes all memory, crashes, or costs too much."""

import shutil

import numpy as np
import pytest

from servable.checks.policy import CheckPolicy
from servable.report import Severity


def drop_main_op(s):
    s.graph.collection_def.pop("saved_model_main_op")


def break_edge(s):
    s.node("MatMul").input[1] = "W_that_is_not_there"


def break_shape(s):
    s.const("narrow", np.zeros((5, 5), np.float32))
    s.node("MatMul").input[1] = "narrow"


def spin(s, *, while_negative=False):
    """A loop that hands a row's sum on and asks again whether it should; it never changes."""
    condition = s.define("goes_on", inputs={"a": 1}, outputs={"r": (10, "is:z:0")})
    limit = 0.0 if while_negative else 1e30
    s.const("limit", np.float32(limit), place=condition)
    s.add("is", "Less", "a", "limit:output:0", place=condition, T=s.type(1))
    body = s.define("stays", inputs={"a": 1}, outputs={"r": (1, "same:output:0")})
    s.add("same", "Identity", "a", place=body, T=s.type(1))
    s.const("both", np.array([0, 1], np.int32))
    s.add("sum", "Sum", "x", "both", T=s.type(1), Tidx=s.type(3), keep_dims=False)
    functions = {"cond": s.call("goes_on"), "body": s.call("stays")}
    s.add("loop", "StatelessWhile", "sum", T=[s.type(1)], parallel_iterations=10, **functions)
    s.const("nought", np.float32(0.0))
    s.add("nothing", "Minimum", "loop", "nought", T=s.type(1))
    s.answer(s.add("late", "Add", "y", "nothing", T=s.type(1)) + ":0")
    s.baseline = None
    s.policy = CheckPolicy(run_time_s=2)


def spin_for_negative(s):
    spin(s, while_negative=True)


def hoard(s):
    s.const("many", np.array([1 << 15, 1 << 15], np.int32))
    s.const("both", np.array([0, 1], np.int32))
    # Something that the runtime cannot compute in advance.
    s.add("sum", "Sum", "x", "both", T=s.type(1), Tidx=s.type(3), keep_dims=False)
    s.add("big", "Fill", "many", "sum", T=s.type(1), index_type=s.type(3))
    s.const("all", np.array([0, 1], np.int32))
    s.add("most", "Max", "big", "all", T=s.type(1), Tidx=s.type(3), keep_dims=False)
    s.answer(s.add("y1", "Add", "y", "most", T=s.type(1)) + ":0")
    s.policy = CheckPolicy(memory_bytes=2 << 30)


def crash(s):
    s.add("abort", "Abort", error_msg=b"the end", exit_without_error=False)
    s.node("y").input.append("^abort")
    s.policy = CheckPolicy(allowed_ops=frozenset({"Abort"}))


def allow(**budget):
    def change(s):
        s.policy = CheckPolicy(budget=budget)

    return change


def grow(s):
    s.previous = shutil.copytree(s.folder, s.folder.parent / "previous")
    s.policy = CheckPolicy(budget={"graph_bytes_ratio": 1.1})
    s.const("ballast", np.zeros((100, 100), np.float32))


def slow_down(s):
    s.previous = shutil.copytree(s.folder, s.folder.parent / "previous")
    s.policy = CheckPolicy(budget={"latency_p50_s_ratio": 3.0})
    s.const("size", np.array([800, 800], np.int32))
    s.const("both", np.array([0, 1], np.int32))
    s.add("sum", "Sum", "x", "both", T=s.type(1), Tidx=s.type(3), keep_dims=False)
    s.add("square", "Fill", "size", "sum", T=s.type(1), index_type=s.type(3))
    kinds = {"T": s.type(1), "transpose_a": False, "transpose_b": False}
    s.add("product", "MatMul", "square", "square", **kinds)
    s.const("nought", np.float32(0.0))
    s.add("most", "Max", "product", "both", T=s.type(1), Tidx=s.type(3), keep_dims=False)
    s.add("little", "Minimum", "most", "nought", T=s.type(1))
    s.answer(s.add("late", "Add", "y", "little", T=s.type(1)) + ":0")
    s.baseline = None


def compare_with_nothing(s):
    s.previous = s.folder.parent
    s.policy = CheckPolicy(budget={"latency_p50_s_ratio": 3.0})


FAULTS = {
    "main op dropped, table not initialized": ("words", drop_main_op, "serving_load"),
    "edge to a node that is not there": ("dense", break_edge, "serving_load"),
    "shapes that do not fit": ("dense", break_shape, "serving_load"),
    "infinite loop": ("dense", spin, "serving_load"),
    "memory hog": ("dense", hoard, "serving_load"),
    "crash of the runtime": ("dense", crash, "serving_load"),
    "endless for negative input": ("dense", spin_for_negative, "robustness", Severity.WARNING),
    "more bytes than the budget": ("dense", allow(variable_bytes=1000), "cost"),
    "slower than the budget": ("dense", allow(latency_p99_s=1e-7), "cost"),
    "fewer rows a second than the budget": ("dense", allow(rows_per_s=1e12), "cost"),
    "more memory than the budget": ("dense", allow(peak_memory_bytes=1 << 20), "cost"),
    "larger than the previous model": ("dense", grow, "cost"),
    "slower than the previous model": ("dense", slow_down, "cost"),
    "previous model that cannot be asked": ("dense", compare_with_nothing, "cost", Severity.WARNING),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, convict):
    convict(name, FAULTS[name])
