"""What the walk over the whole zoo shares: the words a user would type, and the table at the end."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

DATA_DIR = Path(__file__).parents[1] / "data"
MODULES_DIR = DATA_DIR / "modules"

# What the heads of `DNNClassifier` are called in a training graph; 1.15 expands other tensors before.
ESTIMATOR_ENDS = {
    "probabilities": "dnn/head/predictions/probabilities:0",
    "logits": "dnn/logits/BiasAdd:0",
    "class_ids": "dnn/head/predictions/ExpandDims:0",
}
ESTIMATOR_ENDS_OF_1_15 = ESTIMATOR_ENDS | {"class_ids": "dnn/head/predictions/ExpandDims_2:0"}


@pytest.fixture
def type_command():
    """Writes the words after `servable` with which a user would convert a case."""
    return _type_command


@pytest.fixture
def name_ends():
    """Gives the tensors of a TensorFlow 1 case, by name."""

    def name(case, side):
        return _name_inputs(case.facts) if side == "inputs" else _name_outputs(case.facts, ema=False)

    return name


def _type_command(case, out_dir, *, ema=False, named=True):
    facts = case.facts
    source = case.folder / facts["weights"] if "weights" in facts else case.source
    words = ["convert", str(source), str(out_dir)]
    if facts["kind"] == "saved_model":
        return words
    if named:
        words += ["--signature=predict_images"]
    # A module says itself what goes in and out.
    if named and facts.get("has_meta") is not False:
        words += [f"--input={key}={tensor}" for key, tensor in _name_inputs(facts).items()]
        words += [f"--output={key}={tensor}" for key, tensor in _name_outputs(facts, ema=ema).items()]
        words += [f"--set={tensor}={value}" for tensor, value in case.frozen.items()]
    if ema:
        words.append("--ema")
    return words + _bring_along(case)


def _name_inputs(facts):
    if facts["kind"] == "tf1_estimator":
        return {end["name"]: f"IteratorGetNext:{position}" for position, end in enumerate(facts["inputs"])}
    return {end["name"]: _name_tensor(end, position) for position, end in enumerate(facts["inputs"])}


def _name_outputs(facts, *, ema):
    if facts["kind"] == "tf1_estimator":
        ends = ESTIMATOR_ENDS_OF_1_15 if facts["version"].startswith("1.15") else ESTIMATOR_ENDS
        return {end["name"]: ends[end["name"]] for end in facts["outputs"]}
    wanted = [end for end in facts["outputs"] if (end.get("needs") == "ema") == ema]
    return {end["name"]: _name_tensor(end, position) for position, end in enumerate(wanted)}


def _name_tensor(end, position):
    return end.get("tensor") or str(end.get("position", position))


def _bring_along(case):
    """What such a file cannot do without: its architecture, its code, a stand-in for stored bytecode."""
    facts, words = case.facts, []
    if facts.get("architecture"):
        words.append(f"--architecture={case.folder / facts['architecture']}")
    if facts.get("has_meta") is False:
        is_named = facts["outputs"][0]["tensor"] == "y:0"  # the others are as TensorFlow names them itself
        module = "logistic_regression.py" if is_named else "logistic_regression_of_2016.py"
        words.append(f"--module={MODULES_DIR / module}")
    if facts["kind"] == "tf2_object_ckpt" and "architecture" not in facts:
        words.append(f"--module={MODULES_DIR / 'dense_module.py'}")
    if facts["special"].startswith("Lambda"):
        layer, function = _name_stand_in(case)
        words.append(f"--replace-layer={layer}={MODULES_DIR / 'lambda_layers.py'}:{function}")
    elif facts.get("custom_objects"):
        words.append(f"--custom-objects={DATA_DIR / 'zoo' / 'objects_keras.py'}")
    return words


def _name_stand_in(case):
    """The Lambda layer's name, which the refusal tells a user, and what its code computed."""
    if case.facts.get("custom_objects"):
        return "swishish", "swishish"
    layer = "lambda_1" if case.name.startswith("k2") else "lambda"
    return layer, "triple_plus_one" if case.name.startswith("keras3") else "double_plus_one"


# Kind to outcome of each of its tests.
_outcomes: dict[str, dict[str, bool]] = defaultdict(dict)


def pytest_runtest_logreport(report):
    kind = dict(report.user_properties).get("kind")
    if kind is not None and (report.when == "call" or report.failed):
        _outcomes[kind][report.nodeid] = _outcomes[kind].get(report.nodeid, True) and report.passed


def pytest_terminal_summary(terminalreporter):
    """Prints the table, kind by kind."""
    if not _outcomes:
        return
    terminalreporter.section("model files by kind")
    width = max(map(len, _outcomes))
    for kind, cases in sorted(_outcomes.items()):
        terminalreporter.line(f"{kind:<{width}}  {sum(cases.values()):>4} of {len(cases):>4}")
    passed = sum(sum(cases.values()) for cases in _outcomes.values())
    terminalreporter.line(f"{'all':<{width}}  {passed:>4} of {sum(map(len, _outcomes.values())):>4}")
