from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from blake3 import blake3

from servable.errors import BrokenSourceError, UnsafeSourceError
from servable.formats.digest import MakeHasher, digest_files, digest_tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "variables").mkdir(parents=True)
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "variables" / "variables.index").write_bytes(b"index")
    return root


@pytest.mark.parametrize("make_hasher", [blake3, hashlib.sha256])
def test_is_a_hash_over_framed_names_and_contents(folder: Path, make_hasher: MakeHasher) -> None:
    framed = make_hasher()
    for name, content in ((b"saved_model.pb", b"graph"), (b"variables/variables.index", b"index")):
        framed.update(len(name).to_bytes(8, "big") + name + len(content).to_bytes(8, "big") + content)
    assert digest_tree(folder, make_hasher=make_hasher) == framed.hexdigest()
    assert (digest_tree(folder) == framed.hexdigest()) == (make_hasher is blake3)


def test_no_file_has_the_digest_of_no_bytes(tmp_path: Path) -> None:
    # The first of the test vectors that BLAKE3's authors publish, for an input of length 0.
    assert digest_tree(tmp_path) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_neither_order_nor_place_nor_repetition_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    expected = digest_tree(folder)
    assert digest_files(files[::-1] + files, root=folder) == expected
    moved = folder.rename(folder.with_name("other"))
    assert digest_tree(moved) == expected
    monkeypatch.chdir(moved)
    assert digest_tree(Path()) == expected
    assert digest_files([Path("saved_model.pb"), Path("variables/variables.index")], root=Path()) == expected


def test_every_change_counts(folder: Path) -> None:
    seen = {digest_tree(folder)}
    (folder / "saved_model.pb").write_bytes(b"grapH")
    seen.add(digest_tree(folder))
    (folder / "saved_model.pb").rename(folder / "saved_model.pbtxt")
    seen.add(digest_tree(folder))
    (folder / "empty").touch()
    seen.add(digest_tree(folder))
    # The same bytes in a row, cut into names and contents elsewhere.
    (folder / "empty").unlink()
    (folder / "saved_model.pbtxt").write_bytes(b"grap")
    (folder / "H").write_bytes(b"")
    seen.add(digest_tree(folder))
    assert len(seen) == 5


def test_a_link_inside_counts_as_what_it_points_to(folder: Path) -> None:
    (folder / "copy").write_bytes(b"graph")
    expected = digest_tree(folder)
    (folder / "copy").unlink()
    (folder / "copy").symlink_to("saved_model.pb")
    assert digest_tree(folder) == expected


def test_links_out_of_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeSourceError, match="outside"):
        digest_tree(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(UnsafeSourceError, match="folder"):
        digest_tree(folder)
    with pytest.raises(UnsafeSourceError):
        digest_files([tmp_path / "secret"], root=folder)
    with pytest.raises(UnsafeSourceError):
        digest_files([folder / ".." / "secret"], root=folder)


def test_what_cannot_be_read_is_broken(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokenSourceError):
        digest_tree(tmp_path / "missing")
    with pytest.raises(BrokenSourceError):
        digest_files([folder / "missing"], root=folder)
    with pytest.raises(BrokenSourceError):
        digest_files([folder / "variables"], root=folder)


def test_tells_how_far_it_is(folder: Path) -> None:
    (folder / "big").write_bytes(b"x" * 12 * 2**20)
    calls: list[tuple[str, int, int]] = []
    files = [path for path in folder.rglob("*") if path.is_file()]
    digest_files(files, root=folder, progress=lambda *call: calls.append(call))
    total = 12 * 2**20 + 10
    assert calls[-1] == ("digest", total, total)
    assert len(calls) >= 5
