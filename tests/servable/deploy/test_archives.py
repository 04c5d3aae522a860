"""Archives, unpacked by the tools that people have."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from servable.deploy.archives import write_tar_gz, write_zip

LONG = "assets/" + "very_long_name_" * 12 + ".txt"
NAMES = ("saved_model.pb", "variables/variables.index", LONG)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "model"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * (1 << 20 if number == 0 else 5))
    (root / "not_asked_for").write_bytes(b"x")
    return root


WRITERS = {"tar": write_tar_gz, "zip": write_zip}


def unpack(kind, path, into):
    into.mkdir()
    command = {"tar": ["tar", "-xzf", path, "-C", into], "zip": ["unzip", "-q", path, "-d", into]}[kind]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_systems_own_tool_unpacks_it(kind, folder, tmp_path):
    WRITERS[kind](tmp_path / "archive", folder, NAMES, root="digits/7")
    unpack(kind, tmp_path / "archive", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["digits"]
    there = tmp_path / "out" / "digits" / "7"
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == set(NAMES)
    for name in NAMES:
        assert (there / name).read_bytes() == (folder / name).read_bytes()
        assert (there / name).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", WRITERS)
def test_time_and_owner_and_order_make_no_difference(kind, folder, tmp_path):
    WRITERS[kind](tmp_path / "first", folder, NAMES, root="digits")
    for path in folder.rglob("*"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o700)
    WRITERS[kind](tmp_path / "second", folder, reversed(NAMES), root="digits")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("kind", WRITERS)
def test_progress_ends_with_all_bytes(kind, folder, tmp_path):
    told = []
    WRITERS[kind](
        tmp_path / "archive", folder, NAMES, root="digits", progress=lambda *step: told.append(step)
    )
    size_bytes = sum((folder / name).stat().st_size for name in NAMES)
    assert told[-1] == ("archiving", size_bytes, size_bytes)
    assert len(told) > 2
