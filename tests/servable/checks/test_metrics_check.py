"""Check `metrics`: counting with a model made of numpy, judging, and one real model in the runtime."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from servable.checks.example_counting import BatchCounter
from servable.checks.example_files import ExampleFiles
from servable.checks.example_plan import ExamplesPlan
from servable.checks.metrics import judge_tally
from servable.checks.metrics_policy import MetricsPolicy
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.checks.tolerances import Tolerance
from servable.errors import CheckError, SettingsError
from servable.formats.protos import Example
from servable.formats.tf_examples import parse_examples
from servable.formats.tfrecords import mask_checksum
from servable.report import Severity
from servable.runtime.outcome import CallResult, Fault, FaultKind, Limits
from servable.signature import Signature, TensorSpec

# The model of these tests: one input x of two numbers, three scores; its class is x[0] rounded.
SIGNATURE = Signature(
    "serving_default",
    {"x": TensorSpec("float32", (None, 2), "x:0")},
    {"y": TensorSpec("float32", (None, 3), "y:0")},
)


def make_row(**features):
    example = Example()
    for name, values in features.items():
        kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}[type(values[0])]
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()


def write_rows(path: Path, rows) -> Path:
    frames = []
    for row in rows:
        head = struct.pack("<Q", len(row))
        frames.append(head + struct.pack("<I", mask_checksum(head)) + row)
        frames.append(struct.pack("<I", mask_checksum(row)))
    path.write_bytes(gzip.compress(b"".join(frames)))
    return path


def answer(inputs):
    scores = np.zeros((len(inputs["x"]), 3), np.float32)
    scores[np.arange(len(scores)), inputs["x"][:, 0].astype(int)] = 1.0
    return CallResult({"y": scores}, elapsed_s=0.001)


def count(rows, *, asks=None, portion=1000, tolerance=1e-4, signature=SIGNATURE, **section):
    policy = MetricsPolicy.from_dict({"label": "label", "task": "classification", **section})
    output = "y" if policy.label else ""
    plan = ExamplesPlan(
        Path("m"), signature, output, policy, {"y": Tolerance(tolerance, 0)}, Limits(memory_bytes=1 << 30)
    )
    plan = pickle.loads(pickle.dumps(plan))  # as workers get it
    counter = BatchCounter(plan, asks or {"candidate": answer})
    for first in range(0, len(rows), portion):
        part = rows[first : first + portion]
        counter.count(parse_examples(part, plan.features, origin="f", first=first))
    return judge_tally(counter.take(), plan)


def find(report, severity=Severity.ERROR):
    return [finding.message for finding in report.findings if finding.severity is severity]


ROWS = [
    make_row(x=[float(i % 3), 0.0], label=[(i % 3 + (i % 10 == 0)) % 3]) for i in range(100)
]  # 10 are wrong


@pytest.mark.parametrize("portion", [1, 7, 100])
def test_accuracy_is_the_share_of_right_rows(portion):
    report = count(ROWS, portion=portion)
    assert report.findings == ()
    assert report.facts["metrics"]["candidate"] == {"accuracy": 0.9}
    assert (report.facts["metrics"]["rows"], report.facts["metrics"]["unusable_rows"]) == (100, 0)


@pytest.mark.parametrize(("least", "passes"), [(0.9, True), (0.91, False)])
def test_budget_decides(least, passes):
    report = count(ROWS, budget={"accuracy": least})
    assert report.passed is passes
    if not passes:
        assert find(report) == ["accuracy is 0.9 over 100 rows, expected at least 0.91"]


def test_rows_that_cannot_be_used_are_counted_and_shown_in_part():
    rows = [*ROWS, *[make_row(x=[0.0, 0.0])] * 30, *[make_row(x=[1.0], label=[1])] * 5, b"\xff"]
    report = count(rows, max_samples=4)
    unusable = report.facts["metrics"]["unusable"]
    assert {reason: item["rows"] for reason, item in unusable.items()} == {
        "label label is missing": 30,
        "feature x has not as many values as input x takes: float32 [?, 2]": 5,
        "this is no tf.Example": 1,
    }
    assert unusable["label label is missing"]["samples"] == ["f#100", "f#101", "f#102", "f#103"]
    assert unusable["this is no tf.Example"]["samples"] == ["f#135"]
    assert report.facts["metrics"]["candidate"] == {"accuracy": 0.9}
    assert len(find(report)) == 3
    assert "30 of 136 rows cannot be used: label label is missing, such as f#100; f#101; f#102" in find(
        report
    )
    tolerant = count(rows, budget={"unusable_share": 0.3})
    assert tolerant.passed
    assert len(find(tolerant, Severity.INFO)) == 3


@pytest.mark.parametrize("portion", [3, 50, 150])
def test_samples_stay_few_and_the_same_however_rows_are_cut(portion):
    report = count([make_row(x=[0.0, 0.0])] * 150, portion=portion)
    (item,) = report.facts["metrics"]["unusable"].values()
    assert item == {"rows": 150, "samples": [f"f#{i}" for i in range(20)]}


def test_answers_that_are_no_numbers_are_told():
    def answer_nan(inputs):
        result = answer(inputs)
        result.outputs["y"][inputs["x"][:, 0] == 2] = np.nan
        return result

    report = count(ROWS, asks={"candidate": answer_nan})
    assert find(report) == [
        "33 of 100 rows cannot be used: the model answers NaN or infinity, such as f#2; f#5; f#8"
    ]


def test_rows_that_the_model_refuses_are_found_by_halving():
    def refuse(inputs):
        if (inputs["x"][:, 1] < 0).any():
            return CallResult(fault=Fault(FaultKind.STATUS, "negative", 3))
        return answer(inputs)

    rows = list(ROWS)
    for bad in (17, 64):
        rows[bad] = make_row(x=[0.0, -1.0], label=[0])
    report = count(rows, asks={"candidate": refuse})
    assert report.facts["metrics"]["unusable"] == {
        "the model does not answer: status": {
            "rows": 2,
            "samples": ["f#17: received negative", "f#64: received negative"],
        }
    }


def test_model_that_is_gone_is_not_asked_row_by_row():
    calls = []

    def crash(inputs):
        calls.append(len(inputs["x"]))
        return CallResult(fault=Fault(FaultKind.CRASH, "gone"))

    report = count(ROWS, asks={"candidate": crash}, portion=50)
    assert calls == [50, 50]
    assert "100 of 100 rows cannot be used: the model does not answer: crash" in find(report)[0]


def test_sources_own_answers_are_compared_row_by_row():
    rows = []
    for i in range(100):
        scores = [0.0, 0.0, 0.0]
        scores[i % 3] = 1.0 if i != 42 else 1.0 + 0.5
        if i == 60:
            scores[2] += 0.25
        rows.append(make_row(x=[float(i % 3), 0.0], label=[i % 3], trained=scores))
    report = count(rows, source_outputs={"y": "trained"})
    assert report.facts["metrics"]["differences"] == {
        "y": {
            "rows": 100,
            "differing_rows": 2,
            "worst": 0.5,
            "samples": ["f#42: off by 0.5", "f#60: off by 0.25"],
        }
    }
    (message,) = find(report)
    assert message.startswith("the answer differs from the source's own in 2 of 100 rows")
    assert report.facts["metrics"]["source"] == {"accuracy": 1.0}
    assert count(rows, source_outputs={"y": "trained"}, budget={"differing_share": 0.02}).passed
    assert count(rows, source_outputs={"y": "trained"}, tolerance=0.6).findings == ()


@pytest.mark.parametrize(("most", "passes"), [(0.1, True), (0.09, False)])
def test_drop_beside_the_source_and_a_previous_model(most, passes):
    rows = []
    for i in range(100):
        scores = [0.0, 0.0, 0.0]
        scores[(i % 3 + (i % 10 == 0)) % 3] = 1.0  # the source is always right
        rows.append(make_row(x=[float(i % 3), 0.0], label=[(i % 3 + (i % 10 == 0)) % 3], trained=scores))
    section = {"source_outputs": {"y": "trained"}, "budget": {"accuracy_drop": most, "differing_share": 1}}
    report = count(rows, asks={"candidate": answer, "previous": answer}, **section)
    assert report.facts["metrics"]["previous"] == {"accuracy": 0.9}
    assert report.passed is passes
    if not passes:
        assert find(report) == [
            "accuracy is 0.9, and 1 with the source's own answers: worse by 0.1, expected at most 0.09"
        ]


def test_drop_without_anything_to_compare_with_is_a_warning():
    (message,) = find(count(ROWS, budget={"accuracy_drop": 0.01}), Severity.WARNING)
    assert "neither a previous model nor the source's output" in message


def test_names_of_classes_are_labels():
    rows = [make_row(x=[0.0, 0.0], label=[b"cat"]), make_row(x=[1.0, 0.0], label=[b"cat"])]
    rows.append(make_row(x=[1.0, 0.0], label=[b"cow"]))
    report = count(rows, classes=["cat", "dog", "eel"])
    assert report.facts["metrics"]["candidate"] == {"accuracy": 0.5}
    assert find(report) == [
        "1 of 3 rows cannot be used: label label is not among `classes`, such as f#2: received b'cow'"
    ]
    assert "name `classes`" in find(count(rows))[0]


def make_binary(width):
    return Signature("s", SIGNATURE.inputs, {"y": TensorSpec("float32", (None, width), "y:0")})


def test_binary_scores():
    def score(inputs):
        return CallResult({"y": inputs["x"][:, :1]})

    rows = [
        make_row(x=[x, 0.0], label=[y])
        for x, y in [(0.9, 1), (0.5, 1), (0.1, 0), (0.5, 0), (1.5, 1), (0.2, 2)]
    ]
    report = count(rows, asks={"candidate": score}, task="binary", signature=make_binary(1))
    figures = report.facts["metrics"]["candidate"]
    assert (figures["accuracy"], figures["auc"], figures["auc_error"]) == (0.75, 0.875, 0.125)
    assert len(find(report)) == 2  # 1.5 is no probability, 2 is no label
    logits = count(rows[:4], asks={"candidate": score}, task="binary", logits=True, signature=make_binary(1))
    assert logits.facts["metrics"]["candidate"]["auc"] == 0.875  # a sigmoid keeps the order


def test_regression_errors():
    rows = [make_row(x=[1.0, 2.0], label=[1.0, 4.0]), make_row(x=[0.0, 0.0], label=[3.0, 0.0])]
    rows.append(make_row(x=[0.0, 0.0], label=[3.0]))
    report = count(
        rows,
        asks={"candidate": lambda inputs: CallResult({"y": inputs["x"]})},
        task="regression",
        signature=make_binary(2),
        budget={"mse": 3.0, "mae": 1.25},
    )
    # Errors 0, -2, -3, 0.
    assert report.facts["metrics"]["candidate"] == {"mse": 13 / 4, "mae": 5 / 4}
    assert "mse is 3.25 over 3 rows, expected at most 3" in find(report)
    assert not any(message.startswith("mae") for message in find(report))


def test_output_of_another_kind_is_one_fault():
    report = count(ROWS, task="binary", portion=50)
    (message,) = find(report)
    assert message.startswith("output y: binary needs one probability a row")
    assert message.endswith("received float32 [?, 3] (2 requests)")


def test_no_example_at_all_is_an_error():
    assert find(count([])) == ["there is not one example"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, "neither a label nor source_outputs"),
        ({"label": "l", "lable": "x"}, "lable: not known"),
        ({"label": "l", "task": "ranking"}, "task:"),
        ({"label": "l", "budget": {"auc": 0.5}}, "'auc' does not go with classification"),
        ({"label": "l", "budget": {"accuracy": -1}}, "must be 0 or more"),
        ({"label": "l", "batch_rows": 0}, "batch_rows: must be 1 or more"),
        ({"label": "l", "logits": True}, "go with binary"),
        ([], "must be a section"),
    ],
)
def test_faults_of_the_section_are_told_with_the_policys(section, words):
    with pytest.raises(SettingsError) as caught:
        CheckPolicy.from_dict({"metrics": section})
    assert words in caught.value.received


@pytest.mark.tensorflow
def test_real_model_is_asked_from_files(exported_models, tmp_path):
    # y = x @ W with W[i, j] = (3 i + j + 1) / 4: the largest of three is the last one, so class 2.
    rows = [make_row(x=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], label=[2 if i % 4 else 0]) for i in range(40)]
    paths = (write_rows(tmp_path / "a.gz", rows[:25]), write_rows(tmp_path / "b.gz", rows[25:]))
    section = {"label": "label", "task": "classification", "batch_rows": 10, "budget": {"accuracy": 0.76}}
    policy = CheckPolicy.from_dict({"metrics": section})
    report = check_servable(
        exported_models["linear"],
        previous=exported_models["right"],
        examples=ExampleFiles(paths),
        policy=policy,
    )
    assert report.facts["metrics"]["candidate"] == {"accuracy": 0.75}
    assert report.facts["metrics"]["previous"] == {"accuracy": 0.75}
    assert report.facts["metrics"]["times"]["candidate"]["requests"] == 5
    assert not report.passed
    assert [f.check for f in report.errors] == ["metrics"]
    json.loads(report.to_json())

    without = check_servable(exported_models["linear"], policy=policy)
    assert [skip.check for skip in without.skipped if skip.check == "metrics"] == ["metrics"]
    (tmp_path / "c.gz").write_bytes(b"no records")
    with pytest.raises(CheckError, match="damaged"):
        check_servable(exported_models["linear"], examples=ExampleFiles((tmp_path / "c.gz",)), policy=policy)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"label": "l", "signature": "other"}, "expected signature other, found serving_default"),
        ({"label": "l", "output": "z"}, "expected z, found y"),
        ({"label": "l", "source_outputs": {"z": "f"}}, "there is no output z"),
    ],
)
def test_section_that_does_not_fit_the_model_is_a_finding(exported_models, section, words):
    policy = CheckPolicy.from_dict({"metrics": section})
    report = check_servable(exported_models["linear"], examples=ExampleFiles(()), policy=policy)
    assert any(words in finding.message for finding in report.errors)
