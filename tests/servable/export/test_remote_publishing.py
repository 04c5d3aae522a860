"""SavedModels on other machines: complete or not at all, and never over another."""

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from servable.errors import ExportError
from servable.export.remote_publishing import publish_remotely
from servable.formats.remote import open_remote

ADDRESS = "memory://models/digits/1"


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return fsspec.filesystem("memory")


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "1"
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    for name in ("saved_model.pb", "variables/variables.index", "assets/vocab.txt", "zz"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_file_that_means_finished_arrives_last(store, finished, monkeypatch):
    sent = []
    put_file = MemoryFileSystem.put_file

    def note(self, local, remote, **options):
        sent.append(remote.removeprefix("/models/digits/1/"))
        return put_file(self, local, remote, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", note)
    told = []
    publish_remotely(finished, open_remote(ADDRESS), progress=lambda *news: told.append(news))
    assert sent == ["assets/vocab.txt", "variables/variables.index", "zz", "saved_model.pb"]
    assert store.cat_file(f"{ADDRESS}/variables/variables.index") == b"variables/variables.index"
    total = sum(len(name) for name in sent)
    assert told[-1] == ("publishing", total, total)


@pytest.mark.parametrize("name", ["saved_model.pb", "other/file"])
def test_nothing_is_overwritten(store, finished, name):
    store.pipe_file(f"{ADDRESS}/{name}", b"theirs")
    with pytest.raises(ExportError, match="nothing is ever overwritten") as caught:
        publish_remotely(finished, open_remote(ADDRESS))
    assert caught.value.where == ADDRESS
    assert store.find(ADDRESS) == [f"/models/digits/1/{name}"]


def test_a_file_in_the_place_of_the_folder_stays(store, finished):
    store.pipe_file(ADDRESS, b"theirs")
    with pytest.raises(ExportError, match="nothing is ever overwritten"):
        publish_remotely(finished, open_remote(ADDRESS))
    assert store.cat_file(ADDRESS) == b"theirs"


def test_a_broken_connection_leaves_nothing(store, finished, monkeypatch):
    put_file = MemoryFileSystem.put_file

    def break_off(self, local, remote, **options):
        put_file(self, local, remote, **options)
        if remote.endswith("variables.index"):
            raise ConnectionError("reset by peer")

    monkeypatch.setattr(MemoryFileSystem, "put_file", break_off)
    with pytest.raises(ExportError, match="removed again") as caught:
        publish_remotely(finished, open_remote(ADDRESS))
    assert "reset by peer" in caught.value.received
    assert not store.find("memory://models")


def test_a_file_that_arrives_short_is_noticed(store, finished, monkeypatch):
    put_file = MemoryFileSystem.put_file

    def cut(self, local, remote, **options):
        put_file(self, local, remote, **options)
        self.pipe_file(remote, b"")

    monkeypatch.setattr(MemoryFileSystem, "put_file", cut)
    with pytest.raises(ExportError, match="removed again"):
        publish_remotely(finished, open_remote(ADDRESS))
    assert not store.find("memory://models")
