"""A digest that is read beside other work: that of `digest_files`, and its errors come when asked for."""

from __future__ import annotations

import threading

import pytest

from servable.errors import BrokenSourceError
from servable.formats import digest_beside
from servable.formats.digest import digest_files
from servable.formats.digest_beside import PendingDigest


def test_digest_is_that_of_digest_files(tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second" * 100_000)
    files = [tmp_path / "a", tmp_path / "b"]
    assert PendingDigest(files, root=tmp_path).read() == digest_files(files, root=tmp_path)


def test_missing_file_is_told_when_the_digest_is_asked_for(tmp_path):
    pending = PendingDigest([tmp_path / "gone"], root=tmp_path)
    for _ in range(2):
        with pytest.raises(BrokenSourceError):
            pending.read()


def test_progress_comes_from_the_thread_that_asks(tmp_path, monkeypatch):
    go_on = threading.Event()

    def digest_slowly(files, *, root, progress):
        progress("digest", 3, 7)
        go_on.wait(10)
        return "0" * 64

    monkeypatch.setattr(digest_beside, "digest_files", digest_slowly)
    pending = PendingDigest([], root=tmp_path)
    told = []

    def tell(*news):
        told.append((threading.current_thread(), news))
        go_on.set()

    assert pending.read(tell) == "0" * 64
    assert told[0] == (threading.main_thread(), ("digest", 3, 7))


def test_reading_that_nobody_waits_for_ends(tmp_path, monkeypatch):
    begun, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    def digest_until_stopped(files, *, root, progress):
        begun.set()
        stopped.wait(10)
        try:
            progress("digest", 1, 2)
        finally:
            ended.set()

    monkeypatch.setattr(digest_beside, "digest_files", digest_until_stopped)
    pending = PendingDigest([], root=tmp_path)
    assert begun.wait(10)
    pending.stop()
    stopped.set()
    assert ended.wait(10)
