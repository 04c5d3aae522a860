from __future__ import annotations

import contextlib
import errno
import resource
import signal
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.errors import BrokenSourceError, ExportError
from servable.formats.checkpoints.bundle import copy_tensors, open_bundle, read_tensor

WriteBundle = Callable[..., Path]
Tensors = dict[str, np.ndarray]


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("shards", [1, 3])
def test_copies_every_layout_under_new_names(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, byte_order: str, shards: int
) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", sample_tensors, byte_order=byte_order, shards=shards))
    out = tmp_path / "out"
    out.mkdir()
    count = copy_tensors(source, {f"new/{key}": key for key in sample_tensors}, out / "variables")
    assert sorted(path.name for path in out.iterdir()) == ["variables.data-00000-of-00001", "variables.index"]
    assert count == (out / "variables.data-00000-of-00001").stat().st_size
    copied = open_bundle(out / "variables")
    assert set(copied.entries) == {f"new/{key}" for key in sample_tensors}
    for key, value in sample_tensors.items():
        found = read_tensor(copied, f"new/{key}")
        assert found.dtype == value.dtype
        assert found.shape == value.shape
        assert found.tolist() == value.tolist()


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_choice_of_tensors(
    tmp_path_factory: pytest.TempPathFactory, write_bundle: WriteBundle, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("choice")
    names = st.text("abc/_é", min_size=1, max_size=12)
    arrays = st.lists(st.integers(0, 255), max_size=30).map(lambda values: np.array(values, np.uint8))
    tensors = data.draw(st.dictionaries(names, arrays, min_size=1, max_size=8))
    keys = data.draw(st.dictionaries(names, st.sampled_from(sorted(tensors)), max_size=8))
    source = open_bundle(write_bundle(folder / "m", tensors, shards=data.draw(st.integers(1, 3))))
    count = copy_tensors(source, keys, folder / "out")
    assert count == sum(tensors[old].nbytes for old in keys.values())
    copied = open_bundle(folder / "out")
    found = {new: read_tensor(copied, new).tolist() for new in copied.entries}
    assert found == {new: tensors[old].tolist() for new, old in keys.items()}


def test_a_flipped_byte_leaves_nothing(tmp_path: Path, zoo: Path) -> None:
    source = open_bundle(zoo / "bad-ckpt_flipped_byte-a" / "artifact" / "model.ckpt")
    with pytest.raises(BrokenSourceError, match="'W'") as caught:
        copy_tensors(source, {"b": "b", "w": "W"}, tmp_path / "variables")
    assert "model.ckpt.data-00000-of-00001" in caught.value.where
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "case", ["bad-ckpt_missing_shard-a/artifact/lr_model", "bad-ckpt_truncated_data-a/artifact"]
)
def test_a_source_that_is_not_whole_is_refused_before_writing(tmp_path: Path, zoo: Path, case: str) -> None:
    source = open_bundle(zoo / case / "model.ckpt")
    with pytest.raises(BrokenSourceError, match="not whole"):
        copy_tensors(source, {"b": "b"}, tmp_path / "variables")
    assert list(tmp_path.iterdir()) == []


def test_tells_how_far_it_is(tmp_path: Path, write_bundle: WriteBundle) -> None:
    tensors = {"a": np.zeros(5 * 2**20, np.float32), "b": np.zeros(10, np.float32)}
    source = open_bundle(write_bundle(tmp_path / "m", tensors))
    calls: list[tuple[str, int, int]] = []
    total = copy_tensors(
        source, {"b": "b", "a": "a"}, tmp_path / "out", progress=lambda *call: calls.append(call)
    )
    assert total == 20 * 2**20 + 40
    assert {(stage, in_all) for stage, _, in_all in calls} == {("variables", total)}
    done = [done for _, done, _ in calls]
    assert done == sorted(set(done))
    assert done[-1] == total
    assert len(done) >= 4


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path, write_bundle: WriteBundle) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones((16, 2**20), np.float32)}))
    tracemalloc.start()
    copy_tensors(source, {"w": "w"}, tmp_path / "out")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 12 * 2**20


def test_an_interrupt_leaves_nothing(tmp_path: Path, write_bundle: WriteBundle) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(2**22)}))
    out = tmp_path / "out"
    out.mkdir()

    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_tensors(source, {"w": "w"}, out / "variables", progress=interrupt)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, write_bundle: WriteBundle, suffix: str) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(3)}))
    there = tmp_path / f"out{suffix}"
    there.write_bytes(b"precious")
    with pytest.raises(ExportError, match="already"):
        copy_tensors(source, {"w": "w"}, tmp_path / "out")
    assert there.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["", "\0slice"])
def test_names_that_the_format_keeps_for_itself_are_refused(
    tmp_path: Path, write_bundle: WriteBundle, name: str
) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(3)}))
    with pytest.raises(ExportError, match="name"):
        copy_tensors(source, {name: "w"}, tmp_path / "out")


def test_a_missing_folder_is_an_export_error(tmp_path: Path, write_bundle: WriteBundle) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(3)}))
    with pytest.raises(ExportError):
        copy_tensors(source, {"w": "w"}, tmp_path / "missing" / "variables")


def test_a_full_disk_is_told_before_writing(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(1000)}))
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 7999}))
    with pytest.raises(ExportError) as caught:
        copy_tensors(source, {"w": "w"}, out / "variables")
    assert "7999 bytes free" in caught.value.received
    assert int(caught.value.expected.split()[0]) >= 8000
    assert list(out.iterdir()) == []


@contextlib.contextmanager
def keep_files_small() -> Iterator[None]:
    """Files of this process can't grow over 20 kB: the nearest that a test gets to a disk that fills up.

    Around the copy alone: pytest's own output may go to a file too, and may be longer.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("count", [10_000, 2**21])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, write_bundle: WriteBundle, count: int) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(count)}))
    out = tmp_path / "out"
    out.mkdir()
    with keep_files_small(), pytest.raises(ExportError, match="no room") as caught:
        copy_tensors(source, {"w": "w"}, out / "variables")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert int(caught.value.expected.split()[0]) >= 8 * count
    assert list(out.iterdir()) == []


def test_an_index_that_cannot_be_written_takes_the_data_along(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_bundle(write_bundle(tmp_path / "m", {"w": np.ones(3)}))
    out = tmp_path / "out"
    out.mkdir()

    def fail(*_: object) -> None:
        assert (out / "variables.data-00000-of-00001").exists()
        raise ExportError("The disk is full.")

    monkeypatch.setattr("servable.formats.checkpoints.bundle_copying.write_table", fail)
    with pytest.raises(ExportError):
        copy_tensors(source, {"w": "w"}, out / "variables")
    assert list(out.iterdir()) == []


def test_an_error_that_the_disk_tells_only_once_is_not_lost(
    tmp_path: Path, write_bundle: WriteBundle, sample_tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is flushed while it is written: the kernel tells the first who asks, and nobody after."""
    told = []

    def refuse(descriptor: int) -> None:
        if not told:
            told.append(descriptor)
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("servable.formats.checkpoints.bundle_copying._LARGE_BYTES", 0)
    monkeypatch.setattr("os.fdatasync", refuse)
    source = open_bundle(write_bundle(tmp_path / "m", sample_tensors))
    out = tmp_path / "out"
    out.mkdir()

    def wait_for_flush(*_: object) -> None:
        deadline_s = time.monotonic() + 10
        while not told and time.monotonic() < deadline_s:
            time.sleep(0.001)

    with pytest.raises(ExportError, match="cannot be written") as caught:
        copy_tensors(source, {key: key for key in sample_tensors}, out / "v", progress=wait_for_flush)
    assert caught.value.received == "Input/output error"
    assert list(out.iterdir()) == []
