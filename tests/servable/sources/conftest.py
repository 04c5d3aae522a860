"""What tests of SavedModels share: a SavedModel with its maker's own answers, and the comparison."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servable.export.exporting import export_servable, read_signatures
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions


@dataclass(frozen=True)
class Made:
    """A SavedModel and what its maker answers: signature to inputs and outputs by key."""

    folder: Path
    answers: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]]


class SavedModelMaker:
    """Makes SavedModels and asks those who made them."""

    rows = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(3, 4)
    words = (b"cat", b"dog", b"nothing")
    made = Made

    def save(self, tf: Any, module: Any, root: Path, signatures: Any, requests: Mapping[str, Any]) -> Made:
        folder = root / "saved"
        tf.saved_model.save(module, str(folder), signatures=signatures)
        return self.ask(tf, tf.saved_model.load(str(folder)), folder, requests)

    def ask(self, tf: Any, loaded: Any, folder: Path, requests: Mapping[str, Mapping[str, Any]]) -> Made:
        """Lets TensorFlow's own loader answer."""
        answers = {}
        for name, inputs in requests.items():
            arrays = {key: self.to_array(value) for key, value in inputs.items()}
            got = loaded.signatures[name](**{key: tf.constant(value) for key, value in arrays.items()})
            answers[name] = arrays, {key: value.numpy() for key, value in got.items()}
        return Made(folder, answers)

    def ask_v1(self, tf: Any, folder: Path, tags: list[str], requests: Mapping[str, Any]) -> Made:
        """Lets the loader of TensorFlow 1 answer."""
        answers = {}
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            meta_graph = tf.compat.v1.saved_model.load(session, tags, str(folder))
            for name, inputs in requests.items():
                definition = meta_graph.signature_def[name]
                arrays = {key: self.to_array(value) for key, value in inputs.items()}
                feeds = {definition.inputs[key].name: value for key, value in arrays.items()}
                fetches = {key: info.name for key, info in definition.outputs.items()}
                answers[name] = arrays, session.run(fetches, feeds)
        return Made(folder, answers)

    def read_table(self, tf: Any, path: Any, default: int) -> Any:
        """A table from word to line number."""
        lines = tf.lookup.TextFileIndex
        initializer = tf.lookup.TextFileInitializer(
            path, tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER
        )
        return tf.lookup.StaticHashTable(initializer, default)

    def write_words(self, path: Path, words: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(words.split()) + "\n")
        return str(path)

    def to_array(self, value: Any) -> np.ndarray:
        array = np.asarray(value)
        return array.astype(object) if array.dtype.kind == "S" else array

    def require_same_answers(self, made: Made, scratch: Path, *, tags: tuple[str, ...] | None = None) -> Path:
        """Converts, moves, asks the C++ runtime and the baseline; returns the moved SavedModel."""
        model = open_source(made.folder, SourceOptions(tags=tags))
        assert [request.name for request in model.signatures] == sorted(
            made.answers, key=lambda name: (name != "serving_default", name)
        )
        moved, gone = scratch / "moved", scratch / "gone"
        shutil.move(export_servable(model, (), scratch / "out").path, moved)
        shutil.move(made.folder, gone)  # nothing may point back to the original
        self.require_same_runtime_answers(Made(moved, made.answers))
        shutil.move(gone, made.folder)
        for request in model.signatures:
            inputs, wanted = made.answers[request.name]
            compare(model.predict(request, inputs, frozen={}), wanted)
        return moved

    def require_same_runtime_answers(self, made: Made) -> None:
        """Asks the C++ runtime; nothing of Python TensorFlow takes part."""
        for wanted, answers in ask_cpp_runtime(made.folder, made.answers):
            compare(answers, wanted)


def ask_cpp_runtime(folder, answers):
    signatures = read_signatures(folder)
    calls = [
        Call(
            {signatures[name].inputs[key].tensor: value for key, value in inputs.items()},
            tuple(signatures[name].outputs[key].tensor for key in outputs),
        )
        for name, (inputs, outputs) in answers.items()
    ]
    outcome = run_calls(folder, calls)
    assert outcome.load_fault is None, outcome.load_fault
    for (name, (_, wanted)), call, result in zip(answers.items(), calls, outcome.results, strict=True):
        assert result.fault is None, (name, result.fault)
        yield wanted, dict(zip(wanted, (result.outputs[t] for t in call.fetches), strict=True))


def compare(answers, wanted):
    assert set(answers) == set(wanted)
    for key, value in wanted.items():
        assert answers[key].shape == value.shape
        if value.dtype.kind == "f":
            np.testing.assert_allclose(answers[key], value, rtol=1e-5, atol=1e-5)
        else:
            assert answers[key].tolist() == value.tolist()


@pytest.fixture(scope="session")
def making() -> SavedModelMaker:
    return SavedModelMaker()


@pytest.fixture(scope="session")
def net():
    """Builds small training graphs; imports TensorFlow."""
    path = Path(__file__).parents[2] / "data" / "net_building.py"
    spec = importlib.util.spec_from_file_location("net_building", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["switch and merge", "functions"])
def control_flow(request, net):
    """Old code made Switch and Merge; later releases make If and While with functions."""
    tf = net.tf
    before = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if request.param == "functions" else tf.disable_control_flow_v2)()
    yield
    (tf.enable_control_flow_v2 if before else tf.disable_control_flow_v2)()
