"""Writes files that are too large in one way or another: nodes, tensors, promised bytes. No TensorFlow here.

What passes through: a path and a size come in; a file comes to lie there.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from servable.formats.checkpoints.checksums import extend_crc32c, mask_crc32c
from servable.formats.checkpoints.table import write_table
from servable.formats.protos import BundleEntryProto, BundleHeaderProto, GraphDef, MetaGraphDef

_FLOAT: Final = 1  # DT_FLOAT
_WIDTH: Final = 4  # numbers in each tensor
_BRANCHES: Final = 500
_PRODUCER: Final = 1395  # a version of GraphDefs that every later TensorFlow takes


def write_large_graph(path: Path, nodes: int) -> None:
    """Writes a frozen graph: x [batch, 4] through branches of Mul and AddV2, joined by AddN to y.

    Args:
        path: The file.
        nodes: About how many.
    """
    graph = GraphDef()
    graph.versions.producer = _PRODUCER
    placeholder = _add(graph, "x", "Placeholder", dtype=_FLOAT)
    for size in (-1, _WIDTH):
        placeholder.attr["shape"].shape.dim.add(size=size)
    ends = []
    for branch in range(_BRANCHES):
        last = "x"
        for step in range(nodes // (4 * _BRANCHES)):
            scope = f"branch_{branch}/step_{step}"
            _add_const(graph, f"{scope}/scale", 1.0)
            _add_const(graph, f"{scope}/shift", 1.0)
            _add(graph, f"{scope}/mul", "Mul", last, f"{scope}/scale", T=_FLOAT)
            last = f"{scope}/add"
            _add(graph, last, "AddV2", f"{scope}/mul", f"{scope}/shift", T=_FLOAT)
        ends.append(last)
    _add(graph, "y", "AddN", *ends, T=_FLOAT).attr["N"].i = len(ends)
    path.write_bytes(graph.SerializeToString())


def write_many_tensors(prefix: Path, count: int, *, value: float = 1.0) -> None:
    """Writes a checkpoint of many variables of 4 numbers, and its graph.

    x [4] goes through branches that add one variable after the other, and that are joined to y.

    Args:
        prefix: Of the checkpoint.
        count: Of variables.
        value: Of every number in them.
    """
    meta = MetaGraphDef()
    meta.meta_info_def.tensorflow_version = "1.15.5"
    graph = meta.graph_def
    graph.versions.producer = 134
    placeholder = _add(graph, "x", "Placeholder", dtype=_FLOAT)
    placeholder.attr["shape"].shape.dim.add(size=_WIDTH)
    names = [f"layer_{number:06d}/weights" for number in range(count)]
    for name in names:
        variable = _add(graph, name, "VariableV2", dtype=_FLOAT)
        variable.attr["shape"].shape.dim.add(size=_WIDTH)
        for text in ("container", "shared_name"):
            variable.attr[text].s = b""
        _add(graph, f"{name}/read", "Identity", name, T=_FLOAT)
    ends = []
    for branch in range(min(_BRANCHES, count)):
        last = "x"
        for name in names[branch::_BRANCHES]:
            last = _add(graph, f"{name}/add", "AddV2", last, f"{name}/read", T=_FLOAT).name
        ends.append(last)
    _add(graph, "y", "AddN", *ends, T=_FLOAT).attr["N"].i = len(ends)
    Path(f"{prefix}.meta").write_bytes(meta.SerializeToString())

    header = BundleHeaderProto(num_shards=1)
    header.version.producer = 1
    items = [(b"", header.SerializeToString())]
    values = np.full(_WIDTH, value, np.float32)
    crc32c = mask_crc32c(extend_crc32c(0, values.view(np.uint8)))
    for number, name in enumerate(names):
        entry = BundleEntryProto(
            dtype=_FLOAT, offset=number * values.nbytes, size=values.nbytes, crc32c=crc32c
        )
        entry.shape.dim.add(size=_WIDTH)
        items.append((name.encode(), entry.SerializeToString()))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(values.tobytes() * count)
    write_table(Path(f"{prefix}.index"), items)


def write_bomb(path: Path, size_bytes: int, *, member: str) -> None:
    """Writes a Keras archive with one member of zeros that deflate to almost nothing.

    Args:
        path: The archive.
        size_bytes: Of the member, unpacked.
        member: Its name.
    """
    zeros = bytes(1 << 24)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            if name != member:
                archive.writestr(name, b"{}")
        with archive.open(member, "w", force_zip64=True) as file:
            for _ in range(size_bytes // len(zeros)):
                file.write(zeros)


def _add(graph: Any, name: str, op: str, *inputs: str, **types: int) -> Any:
    node = graph.node.add(name=name, op=op, input=inputs)
    for attr, value in types.items():
        node.attr[attr].type = value
    return node


def _add_const(graph: Any, name: str, value: float) -> None:
    tensor = _add(graph, name, "Const", dtype=_FLOAT).attr["value"].tensor
    tensor.dtype = _FLOAT
    tensor.tensor_shape.SetInParent()
    tensor.tensor_content = struct.pack("<f", value)
