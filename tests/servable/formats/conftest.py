"""Bundles made byte by byte from the format's description: the reader is not tested by its own writer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from servable.formats.checkpoints.table import write_table
from servable.formats.protos import BundleEntryProto, BundleHeaderProto

ZOO = Path(__file__).parents[2] / "data" / "zoo"

# Numbers of tensorflow/core/framework/types.proto.
NUMBERS = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "object": 7, "complex64": 8,
    "int64": 9, "bool": 10, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip


def mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def lay_out(value: np.ndarray, byte_order: str) -> tuple[bytes, int]:
    """Gives the bytes of a tensor in a data file, and the masked checksum that its entry stores."""
    if value.dtype != object:
        data = value.astype(value.dtype.newbyteorder(byte_order)).tobytes()
        return data, mask(google_crc32c.value(data))
    strings = value.ravel().tolist()
    lengths = b"".join(struct.pack(f"{byte_order}I", len(item)) for item in strings)
    checksum = struct.pack(f"{byte_order}I", mask(google_crc32c.value(lengths)))
    data = b"".join(varint(len(item)) for item in strings) + checksum + b"".join(strings)
    return data, mask(google_crc32c.value(lengths + checksum + b"".join(strings)))


def write_bundle_by_hand(
    prefix: Path, tensors: Mapping[str, np.ndarray], *, byte_order: str = "<", shards: int = 1
) -> Path:
    """Writes a V2 checkpoint; the tensors go round the data files."""
    header = BundleHeaderProto(num_shards=shards, endianness=int(byte_order == ">"))
    header.version.producer = 1
    items = {b"": header.SerializeToString()}
    bodies = [bytearray() for _ in range(shards)]
    for number, (key, value) in enumerate(tensors.items()):
        data, crc = lay_out(value, byte_order)
        body = bodies[number % shards]
        entry = BundleEntryProto(dtype=NUMBERS[value.dtype.name], shard_id=number % shards, offset=len(body))
        entry.size, entry.crc32c = len(data), crc
        entry.shape.SetInParent()
        for size in value.shape:
            entry.shape.dim.add(size=size)
        items[key.encode()] = entry.SerializeToString()
        body += data
    for number, body in enumerate(bodies):
        prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{shards:05d}").write_bytes(body)
    write_table(prefix.with_name(f"{prefix.name}.index"), sorted(items.items()))
    return prefix


@pytest.fixture(scope="session")
def zoo() -> Path:
    return ZOO


@pytest.fixture(scope="session")
def write_bundle() -> Callable[..., Path]:
    return write_bundle_by_hand


@pytest.fixture(scope="session")
def sample_tensors() -> dict[str, np.ndarray]:
    """Every kind of layout: all plain types, a scalar, an empty tensor, strings short, long and empty."""
    random = np.random.default_rng(7)
    words = [b"", b"a", "ü".encode(), b"\x00\xff", b"x" * 300, b"y" * 20_000]
    tensors = {
        f"plain/{name}": random.integers(0, 2, (3, 5)).astype(name) for name in NUMBERS if name != "object"
    }
    return tensors | {
        "dense/kernel": random.standard_normal((31, 17)).astype(np.float32),
        "scalar": np.array(3.5, np.float64),
        "empty": np.empty((0, 4), np.int64),
        "strings": np.array(words, object).reshape(2, 3),
        "string": np.array(b"object graph", object),
        "no_strings": np.empty((0,), object),
    }


def make_table(blocks: list[tuple[bytes, int]], *, separators: dict[bytes, int]) -> bytes:
    """Builds a table of any blocks, well formed or not, with right checksums.

    Args:
        blocks: Body and compression type of each data block.
        separators: The keys of the index, and the number of the block that each points at.
    """
    out = bytearray()

    def add(body: bytes, kind: int) -> bytes:
        handle = varint(len(out)) + varint(len(body))
        sealed = body + bytes([kind])
        out.extend(sealed + struct.pack("<I", mask(google_crc32c.value(sealed))))
        return handle

    handles = [add(body, kind) for body, kind in blocks]
    index = b"".join(
        b"\0" + varint(len(key)) + varint(len(handles[number])) + key + handles[number]
        for key, number in separators.items()
    )
    empty = struct.pack("<II", 0, 1)
    footer = add(empty, 0) + add(index + empty, 0)
    return bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


@pytest.fixture(scope="session")
def build_table() -> Callable[..., bytes]:
    return make_table
