"""The command line with addresses of other machines in the place of paths."""

import json

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from servable.cli import EXIT_COULD_NOT, EXIT_DONE, EXIT_NOT_A_MODEL, EXIT_USAGE, main

SOURCE, OUT = "memory://bucket/train", "memory://models/digits/1"


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return fsspec.filesystem("memory")


@pytest.mark.tensorflow
def test_from_one_store_to_another(zoo, store, capsys):
    case = zoo("tf1.15-lookup-a")
    words = ["convert", SOURCE, OUT, "--json"]
    for path in case.source.parent.iterdir():
        folder = "memory://bucket/words" if path.suffix == ".txt" else SOURCE
        store.pipe_file(f"{folder}/{path.name}", path.read_bytes())
        words += [f"--asset={path.name}={folder}/{path.name}"] if path.suffix == ".txt" else []
    words += [f"--input={key}={tensor}" for key, tensor in case.name_ends("inputs").items()]
    words += [f"--output={key}={tensor}" for key, tensor in case.name_ends("outputs").items()]
    assert main(words) == EXIT_DONE
    told = capsys.readouterr().out
    facts = json.loads(told)
    assert facts["saved_model"] == OUT
    assert facts["source"]["path"] == f"{SOURCE}/{case.source.name}"
    assert facts["report"]["subject"] == OUT
    assert facts["report"]["passed"]
    assert {path.rpartition("/")[2] for path in store.find(f"{OUT}/assets")} == {"vocab.txt", "labels.txt"}

    assert main(["check", OUT, "--json"]) == EXIT_DONE
    assert json.loads(capsys.readouterr().out)["subject"] == OUT

    assert main([*words, "--no-check"]) == EXIT_COULD_NOT
    assert json.loads(capsys.readouterr().out)["problem"].startswith("The destination is not empty")


def test_what_to_type_next_has_the_address(zoo, store, capsys):
    case = zoo("tf1.15-lr-a")
    for path in case.source.parent.iterdir():
        store.pipe_file(f"{SOURCE}/{path.name}", path.read_bytes())
    assert main(["inspect", SOURCE, "--json"]) == EXIT_DONE
    facts = json.loads(capsys.readouterr().out)
    assert facts["path"] == f"{SOURCE}/{case.source.name}"
    assert f"{SOURCE}/{case.source.name}" in facts["next_command"]


def test_an_error_has_the_address_and_not_the_copy(store, capsys):
    store.pipe_file(f"{SOURCE}/notes.txt", b"nothing")
    assert main(["inspect", SOURCE, "--json"]) == EXIT_NOT_A_MODEL
    error = json.loads(capsys.readouterr().out)
    assert error["where"] == SOURCE


def test_a_report_is_written_to_this_machine_only(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["convert", SOURCE, OUT, "--report", "memory://reports/1.html"])
    assert caught.value.code == EXIT_USAGE
    assert "another machine" in capsys.readouterr().err
