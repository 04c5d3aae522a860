"""The fault campaign: good SavedModels, each harmed in one way, and the check that has to say so.

Models are copied from the zoo or made of messages, and harmed as messages and bytes: nothing is exported
anew. Each test module has a table of faults; what found them is printed at the end.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.formats.checkpoints.bundle import copy_tensors, open_bundle
from servable.formats.checkpoints.bundle_encoding import encode_values
from servable.formats.protos import SavedModel
from servable.report import Report, Severity
from servable.signature import SignatureRequest

ZOO = Path(__file__).parents[1] / "data" / "zoo"
FLOAT, DOUBLE, INT32, STRING, INT64, BOOL, HALF = 1, 2, 3, 7, 9, 10, 19
_NUMBERS = {"float32": FLOAT, "int32": INT32, "int64": INT64, "bool": BOOL}

FOUND = pytest.StashKey[dict[str, tuple[str, str]]]()


@dataclasses.dataclass(frozen=True)
class Kind:
    """A value of an attribute that says what it is."""

    field: str
    value: Any


def dtype(number: int) -> Kind:
    return Kind("type", number)


def function(name: str) -> Kind:
    return Kind("func", name)


@dataclasses.dataclass
class Subject:
    """A model that is about to be harmed.

    Attributes:
        folder: A copy of the SavedModel, of its own.
        model: Its message, written back before the checks are made.
        baseline: The right answers.
        policy: Of the checks.
        requests: Signatures that were asked for.
        previous: The model that this one is to replace.
    """

    folder: Path
    model: Any
    baseline: Baseline | None
    policy: CheckPolicy = dataclasses.field(default_factory=CheckPolicy)
    requests: tuple[SignatureRequest, ...] = ()
    previous: Path | None = None

    # For modules that cannot import this one.
    type = staticmethod(dtype)
    call = staticmethod(function)
    scalar = Kind("shape", ())

    @property
    def graph(self) -> Any:
        return self.model.meta_graphs[0]

    @property
    def signature(self) -> Any:
        return next(s for n, s in self.graph.signature_def.items() if not n.startswith("__"))

    @property
    def pb(self) -> Path:
        return self.folder / "saved_model.pb"

    @property
    def index(self) -> Path:
        return self.folder / "variables" / "variables.index"

    @property
    def shard(self) -> Path:
        return self.folder / "variables" / "variables.data-00000-of-00001"

    def node(self, name: str) -> Any:
        return next(node for node in self.graph.graph_def.node if node.name == name)

    def add(self, name: str, op: str, *inputs: str, place: Any = None, **attrs: Any) -> str:
        """Adds a node to the graph, or to a function."""
        nodes = self.graph.graph_def.node if place is None else place.node_def
        node = nodes.add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            _set_attr(node.attr[key], value)
        return name

    def const(self, name: str, value: Any, *, place: Any = None) -> str:
        """Adds a constant."""
        nodes = self.graph.graph_def.node if place is None else place.node_def
        node = nodes.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        array = np.asarray(value)
        if isinstance(value, bytes | str):
            number = STRING
            tensor.string_val.append(value.encode() if isinstance(value, str) else value)
        else:
            number = _NUMBERS[array.dtype.name]
            tensor.tensor_content = array.tobytes()
        for size in np.shape(value):
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_shape.SetInParent()
        tensor.dtype = node.attr["dtype"].type = number
        return name

    def define(self, name: str, *, inputs: Mapping[str, int], outputs: Mapping[str, tuple[int, str]]) -> Any:
        """Adds a function: arguments with their types, results with their types and nodes' outputs."""
        made = self.graph.graph_def.library.function.add()
        made.signature.name = name
        for key, number in inputs.items():
            made.signature.input_arg.add(name=key, type=number)
        for key, (number, source) in outputs.items():
            made.signature.output_arg.add(name=key, type=number)
            made.ret[key] = source
        return made

    def answer(self, tensor: str, key: str = "") -> None:
        """Lets an output be another tensor."""
        outputs = self.signature.outputs
        outputs[key or next(iter(outputs))].name = tensor

    def edit_weights(self, key: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Writes a variable anew, with checksums that are right: only its values are wrong."""
        bundle = open_bundle(self.index.with_suffix(""))
        entry = bundle.entries[key]
        data = bytearray(self.shard.read_bytes())
        end = entry.offset + entry.size_bytes
        values = np.frombuffer(bytes(data[entry.offset : end]), entry.dtype).reshape(entry.shape)
        changed = np.ascontiguousarray(change(values.copy()), entry.dtype)
        data[entry.offset : end] = changed.tobytes()
        self.shard.write_bytes(data)
        sealed = dataclasses.replace(entry, crc32c=encode_values(changed.ravel()).crc32c)
        self._write_variables(dataclasses.replace(bundle, entries={**bundle.entries, key: sealed}), {})

    def add_variables(self, more: Mapping[str, str]) -> None:
        """Writes variables a second time under other names."""
        self._write_variables(open_bundle(self.index.with_suffix("")), more)

    def _write_variables(self, bundle: Any, more: Mapping[str, str]) -> None:
        fresh = self.folder.parent / "fresh"
        fresh.mkdir()
        keys = {key: key for key in bundle.entries} | dict(more)
        copy_tensors(bundle, keys, fresh / "variables")
        shutil.rmtree(self.index.parent)
        fresh.rename(self.index.parent)

    def expect(self, change: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]) -> None:
        """Changes the right answers, as if another model had given them."""
        assert self.baseline is not None
        samples = {
            name: Sample(sample.inputs, dict(change({k: v.copy() for k, v in sample.outputs.items()})))
            for name, sample in self.baseline.samples.items()
        }
        self.baseline = Baseline(samples)

    def check(self) -> Report:
        if self.model is not None:
            self.pb.write_bytes(self.model.SerializeToString())
        return check_servable(
            self.folder,
            signatures=self.requests,
            baseline=self.baseline,
            previous=self.previous,
            policy=self.policy,
        )


def _set_attr(attr: Any, value: Any) -> None:
    if isinstance(value, Kind) and value.field == "func":
        attr.func.name = value.value
    elif isinstance(value, Kind) and value.field == "shape":
        attr.shape.SetInParent()
    elif isinstance(value, Kind):
        attr.type = value.value
    elif isinstance(value, list):
        for item in value:
            (attr.list.type if isinstance(item, Kind) else attr.list.i).append(
                item.value if isinstance(item, Kind) else item
            )
        attr.list.SetInParent()
    elif isinstance(value, bool):
        attr.b = value
    elif isinstance(value, int):
        attr.i = value
    elif isinstance(value, float):
        attr.f = value
    else:
        attr.s = value


def _open_zoo(name: str) -> tuple[Path, Baseline]:
    facts = json.loads((ZOO / name / "case.json").read_text())
    (given,), (answer,) = facts["inputs"], facts["outputs"]
    with np.load(ZOO / name / "golden.npz") as golden:
        inputs, outputs = (_decode(golden[end["key"]], end) for end in (given, answer))
    samples = {
        signature: Sample(dict.fromkeys(keys["inputs"], inputs), dict.fromkeys(keys["outputs"], outputs))
        for signature, keys in facts["meta_graphs"][0]["signatures"].items()
        if not signature.startswith("__")
    }
    return ZOO / name / "artifact" / "saved" / "1", Baseline(samples)


def _decode(array: np.ndarray, end: Mapping[str, Any]) -> np.ndarray:
    return np.array([b64(t) for t in array.ravel()], object) if end.get("encoding") == "base64" else array


def b64(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


def _make_heads(folder: Path) -> Baseline:
    """A model of constants with outputs of every kind; the right answers are numpy's."""
    subject = Subject(folder, SavedModel(saved_model_schema_version=1), None)
    graph = subject.model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    weights = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]], np.float32)
    subject.add("x", "Placeholder", dtype=dtype(FLOAT))
    subject.const("w", weights)
    subject.add("scores", "MatMul", "x", "w", T=dtype(FLOAT), transpose_a=False, transpose_b=False)
    subject.const("axis", np.int32(1))
    kinds = {"T": dtype(FLOAT), "Tidx": dtype(INT32), "output_type": dtype(INT64)}
    subject.add("label", "ArgMax", "scores", "axis", **kinds)
    subject.add("text", "AsString", "label", T=dtype(INT64))
    subject.add("twice", "AddV2", "scores", "scores", T=dtype(FLOAT))
    signature = graph.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    ends = {"x": (FLOAT, 2), "scores": (FLOAT, 3), "twice": (FLOAT, 3), "label": (INT64,), "text": (STRING,)}
    for key, (number, *sizes) in ends.items():
        info = (signature.inputs if key == "x" else signature.outputs)[key]
        info.name, info.dtype = f"{key}:0", number
        for size in (-1, *sizes):
            info.tensor_shape.dim.add(size=size)
    folder.mkdir(parents=True)
    subject.pb.write_bytes(subject.model.SerializeToString())
    x = np.array([[1, 0], [0, 1], [2, -1], [0.5, 0.5]], np.float32)
    scores = x @ weights
    label = scores.argmax(axis=1)
    text = np.array([str(number).encode() for number in label], object)
    answers = {"scores": scores, "twice": scores * 2, "label": label, "text": text}
    return Baseline({"serving_default": Sample({"x": x}, answers)})


@pytest.fixture(scope="session")
def good_models(tmp_path_factory):
    """Name to the folder of a good model and its right answers."""
    heads = tmp_path_factory.mktemp("heads") / "1"
    return {
        "dense": _open_zoo("tf1.12-sm_simple-a"),
        "words": _open_zoo("tf1.15-sm_assets-a"),
        "module": _open_zoo("tf2.16-sm_module-a"),
        "keras": _open_zoo("tf2.16-sm_keras_export-a"),
        "heads": (heads, _make_heads(heads)),
    }


@pytest.fixture
def open_subject(good_models, tmp_path):
    """Gives a copy of a good model."""

    def copy(name: str) -> Subject:
        source, baseline = good_models[name]
        folder = shutil.copytree(source, tmp_path / "model" / "1")
        return Subject(folder, SavedModel.FromString((folder / "saved_model.pb").read_bytes()), baseline)

    return copy


@pytest.fixture
def convict(open_subject, request):
    """Harms a model and demands that the right check says so, and no check that has no business with it."""

    def run(name: str, fault: tuple[Any, ...]) -> None:
        model, harm, check, *more = fault
        severity = next((m for m in more if isinstance(m, Severity)), Severity.ERROR)
        others = {m for m in more if not isinstance(m, Severity)}
        subject = open_subject(model)
        harm(subject)
        report = subject.check()
        told = [f for f in report.findings if f.severity is severity and f.check == check]
        assert told, [f"{f.severity}: {f.check}: {f.message}" for f in report.findings]
        wrong = {f.check for f in report.errors} - others - ({check} if severity is Severity.ERROR else set())
        assert not wrong, [f"{f.check}: {f.message}" for f in report.errors]
        assert all(finding.where or finding.advice for finding in told)
        stash = request.config.stash.setdefault(FOUND, {})
        stash[name] = (f"{check} ({severity})", " ".join(told[0].message.split())[:70])

    return run


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash.get(FOUND, {})
    if found:
        terminalreporter.section(f"{len(found)} kinds of fault, and the check that found each")
        for name, (check, message) in sorted(found.items(), key=lambda item: (item[1][0], item[0])):
            terminalreporter.write_line(f"{name:48} {check:26} {message}")
