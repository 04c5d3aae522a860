"""TFRecord files: what TensorFlow wrote, plain and gzipped, and damage of every kind."""

from __future__ import annotations

import gzip
import io
import struct

import pytest

from servable.errors import CheckError
from servable.formats.tfrecords import mask_checksum, read_record_file, read_records


def frame(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", mask_checksum(head)) + data + struct.pack("<I", mask_checksum(data))


@pytest.mark.tensorflow
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_tensorflows_own_files_are_read(tmp_path, compression):
    import tensorflow as tf

    records = [b"", b"abc", bytes(range(256)) * 40]
    path = tmp_path / "rows"
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    assert list(read_record_file(path)) == records
    if not compression:
        assert path.read_bytes() == b"".join(map(frame, records))


def test_length_that_looks_like_gzip_is_one():
    # 0x8b1f: the first two bytes of the file are gzip's magic.
    record = b"x" * 0x8B1F
    data = frame(record)
    assert data[:2] == b"\x1f\x8b"
    assert list(read_records(io.BytesIO(data), where="rows")) == [record]


def test_empty_file_has_no_record():
    assert list(read_records(io.BytesIO(b""), where="rows")) == []
    assert list(read_records(io.BytesIO(gzip.compress(b"")), where="rows")) == []


def test_stream_is_left_open():
    stream = io.BytesIO(frame(b"a"))
    assert list(read_records(stream, where="rows")) == [b"a"]
    assert not stream.closed


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "ends within a record"),
        (lambda data: data[:5], "half of one"),
        (lambda data: b"\x04" + data[1:], "checksum is wrong"),
        (lambda data: data[:13] + b"X" + data[14:], "checksum is wrong"),
        (lambda data: b"not a record file at all", "half of one"),
        (lambda data: gzip.compress(data)[:-9], "gzip"),
        (lambda data: b"\x1f\x8b\x08" + b"\xff" * 30, "gzip"),
    ],
)
def test_damage_is_told_with_its_place(damage, words):
    data = damage(frame(b"one"))
    with pytest.raises(CheckError, match="damaged") as caught:
        list(read_records(io.BytesIO(data), where="file-7"))
    assert words in caught.value.received
    assert "file-7" in caught.value.where


def test_second_record_is_named():
    data = frame(b"one") + frame(b"two")[:-1]
    with pytest.raises(CheckError) as caught:
        list(read_records(io.BytesIO(data), where="f"))
    assert caught.value.where == "f, record 1"


def test_missing_file_could_not_be_read(tmp_path):
    with pytest.raises(CheckError, match="cannot be read"):
        list(read_record_file(tmp_path / "none"))
