"""Hashes of files, against what coreutils make of the same folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from servable.errors import BrokenSourceError, UnsafeSourceError
from servable.formats.file_hashes import Change, digest_hashes, find_changes, hash_tree


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "model"
    (root / "variables").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "variables" / "variables.index").write_bytes(b"")
    for name in ("é", "a b", "back\\slash", "line\nbreak"):
        (root / name).write_text(name, encoding="utf-8")
    return root


def test_each_file_has_its_hash(folder):
    hashes = hash_tree(folder)
    assert hashes["saved_model.pb"] == hashlib.sha256(b"graph").hexdigest()
    assert hashes["variables/variables.index"] == hashlib.sha256(b"").hexdigest()
    assert len(hashes) == 6


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
def test_coreutils_make_the_same_root_digest(folder):
    script = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    theirs = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=True, text=True)
    assert digest_hashes(hash_tree(folder)) == theirs.stdout.split()[0]


def test_progress_ends_with_all_bytes(folder):
    told = []
    hash_tree(folder, progress=lambda *step: told.append(step))
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert told[-1] == ("hashing", size_bytes, size_bytes)


def test_changes_are_named(folder):
    before = hash_tree(folder)
    (folder / "saved_model.pb").write_bytes(b"grapi")
    (folder / "é").unlink()
    (folder / "variables" / "new").write_bytes(b"")
    assert find_changes(before, hash_tree(folder)) == {
        "saved_model.pb": Change.CHANGED,
        "variables/new": Change.EXTRA,
        "é": Change.MISSING,
    }
    assert find_changes(before, before) == {}


def test_a_link_inside_counts_and_one_that_leads_out_is_refused(folder, tmp_path):
    (folder / "inside").symlink_to("saved_model.pb")
    assert hash_tree(folder)["inside"] == hashlib.sha256(b"graph").hexdigest()
    (tmp_path / "secret").write_bytes(b"s")
    (folder / "outside").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeSourceError, match="outside"):
        hash_tree(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BrokenSourceError):
        hash_tree(tmp_path / "none")
