"""Small wheels and models that the runtime's tests make for themselves."""

from __future__ import annotations

import base64
import hashlib
import zipfile

import pytest

from servable.formats.protos import SavedModel

STRING = 7  # enum DataType


@pytest.fixture
def make_wheel(tmp_path):
    """Writes a wheel of some version with the given files; RECORD is right unless other lines are given."""

    def make(files, *, version="2.7.4", record=None, folder=None):
        path = (folder or tmp_path) / f"tensorflow-{version}-cp39-cp39-manylinux2010_x86_64.whl"
        lines = [f"{name},sha256={digest(data)},{len(data)}" for name, data in files.items()]
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
            archive.writestr(
                f"tensorflow-{version}.dist-info/RECORD", "\n".join(lines if record is None else record)
            )
        return path

    return make


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def string_model(tmp_path):
    """A SavedModel that every version loads: y is x itself, joined is x twice with a dash between."""
    model = SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    node = graph.graph_def.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = STRING
    node.attr["shape"].shape.unknown_rank = True
    node = graph.graph_def.node.add(name="y", op="Identity", input=["x"])
    node.attr["T"].type = STRING
    node = graph.graph_def.node.add(name="joined", op="StringJoin", input=["x", "x"])
    node.attr["N"].i = 2
    node.attr["separator"].s = b"-"
    folder = tmp_path / "string_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder
