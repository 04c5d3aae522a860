"""Fixtures that every floor uses: the zoo of real model files, and the words a user would type for each."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA_DIR = Path(__file__).parent / "data"
ZOO_DIR = DATA_DIR / "zoo"
MODULES_DIR = DATA_DIR / "modules"


@dataclass(frozen=True)
class ZooCase:
    """One model file with its writer's own inputs and outputs."""

    name: str
    folder: Path
    facts: dict[str, Any]

    @property
    def source(self) -> Path:
        keys = ("checkpoint", "h5", "model_file", "saved_model", "path")
        return self.folder / next(self.facts[key] for key in keys if key in self.facts)

    @property
    def frozen(self) -> dict[str, Any]:
        return {**self.facts.get("fixed_feeds", {}), **self.facts.get("constants", {})}

    def read_arrays(self, side: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / "golden.npz") as golden:
            return {end["name"]: _decode(golden[end["key"]], end) for end in self.facts[side]}

    def name_ends(self, side: str) -> dict[str, str]:
        """Serving key to tensor (TF1) or position (Keras)."""
        return {end["name"]: end.get("tensor") or str(end["position"]) for end in self.facts[side]}


def _decode(array: np.ndarray, end: dict[str, Any]) -> np.ndarray:
    if end.get("encoding") != "base64":
        return array
    texts = [base64.b64decode(item) for item in array.ravel().tolist()]
    return np.array(texts, dtype=object).reshape(array.shape)


def find_cases(*patterns: str) -> list[str]:
    return sorted({path.name for pattern in patterns for path in ZOO_DIR.glob(pattern) if path.is_dir()})


def open_case(name: str) -> ZooCase:
    folder = ZOO_DIR / name
    return ZooCase(name, folder, json.loads((folder / "case.json").read_text()))


@pytest.fixture(scope="session")
def zoo():
    """Opens a case by its name."""
    return open_case


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-files", type=int, default=150, help="damaged model files that tests/fuzz makes")
    parser.addoption("--every-case", action="store_true", help="tests/targets proves the whole zoo")
    parser.addoption("--stock", action="store_true", help="runs the whole example between TFX's components")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`@pytest.mark.zoo("tf1.*-lr-?")` runs a test once for each case that fits, as `case_name`."""
    mark = metafunc.definition.get_closest_marker("zoo")
    if mark is not None and mark.args and "case_name" in metafunc.fixturenames:
        names = find_cases(*mark.args)
        assert names, f"no case fits {mark.args}"
        metafunc.parametrize("case_name", names)


# All raised inside TFX 1.21, Beam 2.77 and Keras 3 on import or while they run, none by this project.
WARNINGS_OF_TFX = (
    "ignore:label\\(\\) is deprecated:DeprecationWarning",
    "ignore:DEFAULT_FILE_NAME will be deprecated soon",
    "ignore:invalid escape sequence:DeprecationWarning",
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("tfx") is not None:
            item.add_marker(pytest.mark.filterwarnings(*WARNINGS_OF_TFX))


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
