"""Models to serve, and a server for each test that wants one of its own."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from servable.formats.protos import SavedModel
from servable.runtime.outcome import Limits
from servable.serving.folders import find_place
from servable.serving.loaded import RuntimeChoice
from servable.serving.server import RunningServer, ServingOptions, open_server
from servable.signature import DTYPE_NUMBERS, METHOD_NAMES

POLL_S = 0.05


@dataclass
class Served:
    """A running server, what it has told, and a client for its HTTP."""

    server: RunningServer
    told: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, sentence):
        with self.changed:
            self.told.append(sentence)
            self.changed.notify_all()

    def wait_for(self, words, *, time_limit_s=60.0):
        with self.changed:
            met = self.changed.wait_for(lambda: any(words in told for told in self.told), time_limit_s)
        assert met, f"{words!r} was not told: {self.told}"

    def ask(self, path, body=None):
        """GET, or POST with a body; gives status and bytes."""
        data = json.dumps(body).encode() if isinstance(body, dict | list) else body
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port}{path}", data)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def ask_json(self, path, body=None):
        status, data = self.ask(path, body)
        return status, json.loads(data)


@contextmanager
def serve(folder, *, name="m", library=None, processes=1, limits=None, **options):
    served = Served(server=None)
    options = {"port": 0, "grpc_port": 0, "poll_s": POLL_S, **options}
    runtime = RuntimeChoice(library, processes, limits or Limits())
    with open_server(
        find_place(folder), ServingOptions(name, **options), runtime=runtime, tell=served.tell
    ) as server:
        served.server = server
        yield served


@pytest.fixture(scope="session", name="serve")
def serve_fixture():
    return serve


@pytest.fixture(scope="session")
def simple(zoo):
    """A logistic regression of TensorFlow 1.12: x float32 [batch, 784] to y float32 [batch, 10]."""
    return zoo("tf1.12-sm_simple-a")


@pytest.fixture(scope="session")
def golden(simple):
    """Its writer's own inputs and outputs."""
    return simple.read_arrays("inputs")["x"], simple.read_arrays("outputs")["y"]


def copy_reversed(source, target):
    """Copies the logistic regression, and turns the order of its outputs round."""
    shutil.copytree(source, target)
    path = target / "saved_model.pb"
    model = SavedModel.FromString(path.read_bytes())
    (graph,) = model.meta_graphs
    axis = graph.graph_def.node.add(name="last_axis", op="Const")
    axis.attr["dtype"].type = DTYPE_NUMBERS["int32"]
    axis.attr["value"].tensor.dtype = DTYPE_NUMBERS["int32"]
    axis.attr["value"].tensor.tensor_shape.dim.add(size=1)
    axis.attr["value"].tensor.int_val.append(1)
    node = graph.graph_def.node.add(name="reversed", op="ReverseV2", input=["y", "last_axis"])
    node.attr["T"].type = DTYPE_NUMBERS["float32"]
    node.attr["Tidx"].type = DTYPE_NUMBERS["int32"]
    graph.signature_def["serving_default"].outputs["y"].name = "reversed:0"
    path.write_bytes(model.SerializeToString())
    return target


@pytest.fixture(scope="session", name="copy_reversed")
def copy_reversed_fixture():
    return copy_reversed


def push_version(source, target):
    """Copies a version as TFX's Pusher does: `saved_model.pb` comes last."""
    target.mkdir(parents=True)
    for path in sorted(Path(source).rglob("*")):
        if path.is_file() and path.name != "saved_model.pb":
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    shutil.copy(source / "saved_model.pb", target / "saved_model.pb")


@pytest.fixture(scope="session", name="push_version")
def push_version_fixture():
    return push_version


@pytest.fixture(scope="session")
def texts_dir(tmp_path_factory):
    """A model of texts: each text is its own class, its score is its number of bytes.

    Signatures: one for each method, and `raw`, whose outputs JSON has or has no form for.
    """
    model = SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    nodes = graph.graph_def.node
    string, int32, int64 = (DTYPE_NUMBERS[name] for name in ("string", "int32", "int64"))
    float32, half = DTYPE_NUMBERS["float32"], DTYPE_NUMBERS["float16"]

    text = nodes.add(name="text", op="Placeholder")
    text.attr["dtype"].type = string
    text.attr["shape"].shape.dim.add(size=-1)
    same = nodes.add(name="same", op="Identity", input=["text"])  # what is fed cannot be fetched
    same.attr["T"].type = string
    node = nodes.add(name="length", op="StringLength", input=["text"])
    for name, kind in (("score", float32), ("half", half), ("long", int64)):
        node = nodes.add(name=name, op="Cast", input=["length"])
        node.attr["SrcT"].type, node.attr["DstT"].type = int32, kind
    axis = nodes.add(name="one", op="Const")
    axis.attr["dtype"].type = int32
    axis.attr["value"].tensor.dtype = int32
    axis.attr["value"].tensor.tensor_shape.SetInParent()
    axis.attr["value"].tensor.int_val.append(1)
    for name, source, kind in (("classes", "text", string), ("scores", "score", float32)):
        node = nodes.add(name=name, op="ExpandDims", input=[source, "one"])
        node.attr["T"].type, node.attr["Tdim"].type = kind, int32

    def add_signature(name, inputs, outputs, *, method="predict"):
        signature = graph.signature_def[name]
        signature.method_name = METHOD_NAMES[method]
        for side, ends in ((signature.inputs, inputs), (signature.outputs, outputs)):
            for key, (tensor, kind) in ends.items():
                side[key].name, side[key].dtype = tensor, kind
                side[key].tensor_shape.dim.add(size=-1)

    texts = {"inputs": ("text:0", string)}
    both = {"classes": ("classes:0", string), "scores": ("scores:0", float32)}
    add_signature("serving_default", texts, both, method="classify")
    add_signature("lengths", texts, {"outputs": ("score:0", float32)}, method="regress")
    raw = {"text": ("same:0", string), "text_bytes": ("same:0", string), "long": ("long:0", int64)}
    add_signature("raw", {"text": texts["inputs"]}, raw)
    add_signature("half", {"text": texts["inputs"]}, {"half": ("half:0", half)})
    end = nodes.add(name="end", op="Placeholder")
    end.attr["dtype"].type = string
    end.attr["shape"].shape.dim.add(size=-1)
    joined = nodes.add(name="joined", op="StringJoin", input=["text", "end"])
    joined.attr["N"].i = 2
    both = {"text": texts["inputs"], "end": ("end:0", string)}
    add_signature("joined", both, {"joined": ("joined:0", string)})
    default = graph.signature_def["joined"].defaults["end"]
    default.dtype = string
    default.tensor_shape.dim.add(size=1)
    default.string_val.append(b"!")
    folder = tmp_path_factory.mktemp("texts") / "7"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def check_close(found, wanted):
    """The zoo's bar for numbers of another runtime."""
    np.testing.assert_allclose(np.asarray(found, np.float32), wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="session", name="check_close")
def check_close_fixture():
    return check_close
