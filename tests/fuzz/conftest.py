"""Seeded damage to model files: what a bad disk, a broken copy or a mix-up does to them."""

from __future__ import annotations

import random
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from servable.formats.protos import GraphDef

# Formats where every byte that the model needs lies under a checksum (crc32c of table blocks and tensors, or
# the zip archive's own): whatever was damaged there must be noticed. Elsewhere (HDF5, graphs, JSON, lists of
# words) nothing in the file tells damage from another model.
CHECKSUMMED = ("index", "data", "keras", "v1")

_FLOAT = 1  # DT_FLOAT


@dataclass(frozen=True)
class Damage:
    """What was done to a copy of a model.

    Attributes:
        words: For the message of a failed test; with the seed it can be done again.
        checksummed: Whether the format has the means to notice.
        name: The damaged file, relative to the folder.
        ranges: Bytes of it that are others now; empty where it is another file as a whole.
    """

    words: str
    checksummed: bool
    name: Path
    ranges: list[tuple[int, int]] = field(default_factory=list)


def pytest_report_header(config):
    return f"fuzz: {config.getoption('--fuzz-files')} damaged files"


@dataclass(frozen=True)
class FrozenGraph:
    """A GraphDef with its weights inside, in the shape of a case of the zoo."""

    name: str
    folder: Path
    facts = {"kind": "frozen_graph"}  # noqa: RUF012 - never written to
    frozen = {}  # noqa: RUF012

    @property
    def source(self) -> Path:
        return self.folder / "artifact" / "graph.pb"

    def read_arrays(self, side: str) -> dict[str, np.ndarray]:
        assert side == "inputs"
        return {"x": np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)}

    def name_ends(self, side: str) -> dict[str, str]:
        return {"x": "x:0"} if side == "inputs" else {"y": "y:0"}


@pytest.fixture
def write_frozen_graph():
    """Writes softmax(x w + b); another name makes other weights."""

    def write(folder, name):
        weights = np.random.default_rng(ord(name)).normal(size=(3, 2)).astype(np.float32)
        graph = GraphDef()
        _add_node(graph, "x", "Placeholder", dtype=_FLOAT)
        _add_node(graph, "w", "Const", dtype=_FLOAT, value=weights)
        _add_node(graph, "b", "Const", dtype=_FLOAT, value=np.array([0.5, -0.5], np.float32))
        _add_node(graph, "xw", "MatMul", "x", "w", T=_FLOAT)
        _add_node(graph, "logits", "BiasAdd", "xw", "b", T=_FLOAT)
        _add_node(graph, "y", "Softmax", "logits", T=_FLOAT)
        model = FrozenGraph(name, folder)
        model.source.parent.mkdir(parents=True)
        model.source.write_bytes(graph.SerializeToString(deterministic=True))
        return model

    return write


def _add_node(graph, name, op, *inputs, value=None, **types):
    node = graph.node.add(name=name, op=op, input=inputs)
    for key, number in types.items():
        node.attr[key].type = number
    if value is not None:
        tensor = node.attr["value"].tensor
        tensor.dtype, tensor.tensor_content = _FLOAT, value.tobytes()
        for size in value.shape:
            tensor.tensor_shape.dim.add(size=size)


@pytest.fixture
def damage_copy():
    """Copies a model's folder and damages one file of the copy."""
    return _damage_copy


def _damage_copy(source_dir: Path, copy_dir: Path, other_dir: Path, seed: str) -> Damage:
    """Copies a folder and damages one file of the copy.

    Args:
        source_dir: A good model.
        copy_dir: Folder to make.
        other_dir: Another model of the kind, to take bytes and files from.
        seed: The same seed does the same damage.
    """
    rng = random.Random(seed)
    shutil.copytree(source_dir, copy_dir)
    paths = sorted(path for path in copy_dir.rglob("*") if _counts(path))
    path = rng.choice(paths)
    role = _find_role(path)
    ways = [_flip, _flip, _flip, _truncate, _zero, _splice, _cut_out, _repeat, _swap]
    if role == "keras":
        ways += [_swap_members, _damage_member, _damage_member]
    way = rng.choice(ways)
    others = sorted(p for p in other_dir.rglob("*") if _counts(p) and _find_role(p) == role)
    other = rng.choice(others) if others else path
    before = path.read_bytes()
    # Another whole file, or a member under a new checksum, is a model of its own.
    checksummed = role in CHECKSUMMED and way not in (_swap, _swap_members, _damage_member)
    if role in ("index", "data"):
        checksummed = True  # each of the two vouches for the other
    words = way(path, other, rng)
    ranges = _find_ranges(before, path.read_bytes())
    name = path.relative_to(copy_dir)
    return Damage(f"{way.__name__[1:]} {name} {words}", checksummed, name, ranges)


def _counts(path: Path) -> bool:
    # The state file only says which checkpoint is the latest; here the path does.
    return path.is_file() and path.name != "checkpoint" and path.suffix not in (".yaml", ".npz")


def _find_role(path: Path) -> str:
    suffix = path.suffix.lstrip(".")
    for role in ("data", "index", "meta", "keras", "h5", "json", "pb", "txt"):
        if suffix.startswith(role):
            return role
    return "v1"


def _find_ranges(before: bytes, after: bytes) -> list[tuple[int, int]]:
    if len(before) != len(after):
        return []
    places = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    ranges: list[tuple[int, int]] = []
    for place in places:
        if ranges and ranges[-1][1] == place:
            ranges[-1] = (ranges[-1][0], place + 1)
        else:
            ranges.append((place, place + 1))
    return ranges


def _flip(path: Path, _: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    bits = [(rng.randrange(len(data)), rng.randrange(8)) for _ in range(rng.choice((1, 1, 1, 2, 8)))]
    for place, bit in bits:
        data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bits {bits}"


def _truncate(path: Path, _: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    size = rng.choice((0, 1, len(data) - 1, rng.randrange(len(data)), rng.randrange(len(data))))
    path.write_bytes(data[:size])
    return f"to {size} of {len(data)} bytes"


def _zero(path: Path, _: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    start, size = _choose_range(data, rng)
    data[start : start + size] = bytes(len(data[start : start + size]))
    path.write_bytes(data)
    return f"{size} bytes from {start}"


def _splice(path: Path, other: Path, rng: random.Random) -> str:
    data, foreign = path.read_bytes(), other.read_bytes()
    start, size = _choose_range(data, rng)
    piece = foreign[start : start + size]
    path.write_bytes(data[:start] + piece + data[start + len(piece) :])
    return f"{len(piece)} bytes from {start} of {other.parent.parent.name}/{other.name}"


def _cut_out(path: Path, _: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    start, size = _choose_range(data, rng)
    path.write_bytes(data[:start] + data[start + size :])
    return f"{size} bytes from {start}"


def _repeat(path: Path, _: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    start, size = _choose_range(data, rng)
    path.write_bytes(data[: start + size] + data[start:])
    return f"{size} bytes from {start}"


def _swap(path: Path, other: Path, rng: random.Random) -> str:
    siblings = [p for p in path.parent.rglob("*") if _counts(p) and p != path]
    if siblings and rng.random() < 0.5:
        other = rng.choice(sorted(siblings))
    path.write_bytes(other.read_bytes())
    return f"for {other}"


def _swap_members(path: Path, other: Path, rng: random.Random) -> str:
    members, foreign = _read_members(path), _read_members(other)
    name = rng.choice(sorted(members))
    taken = rng.choice(sorted(foreign))
    _write_members(path, members | {name: foreign[taken]})
    return f"{name} for {taken} of {other.parent.parent.name}"


def _damage_member(path: Path, _: Path, rng: random.Random) -> str:
    members = _read_members(path)
    name = rng.choice(sorted(members))
    data = bytearray(members[name])
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    _write_members(path, members | {name: bytes(data)})
    return f"{name} bit {bit} of byte {place}"


def _read_members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if info.file_size}


def _write_members(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _choose_range(data: bytes | bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, rng.choice((1, 4, 16, 256, max(1, len(data) // 4)))
