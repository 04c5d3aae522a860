"""TFX's Pusher by way of a hidden folder: what a server that watches the destination sees at every moment."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from servable.formats.publishing import move_dir

pytestmark = pytest.mark.tfx

NOW_S = 1_700_000_000


@pytest.fixture(autouse=True)
def still_clock(monkeypatch):
    clock = SimpleNamespace(time=lambda: NOW_S + 0.5)
    monkeypatch.setattr("tfx.components.pusher.executor.time", clock)


@pytest.fixture
def model(tmp_path):
    from tfx.types import standard_artifacts

    serving = tmp_path / "model" / "Format-Serving"
    (serving / "variables").mkdir(parents=True)
    (serving / "saved_model.pb").write_bytes(b"graph")
    (serving / "variables" / "variables.index").write_bytes(b"index")
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path / "model")
    return artifact


def push(model, base_dir, *, is_blessed=1):
    from tfx.types import standard_artifacts

    from components.atomic_pushing import AtomicPushExecutor

    blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    blessing.set_int_custom_property("blessed", is_blessed)
    pushed.uri = f"{model.uri}-pushed"
    AtomicPushExecutor().Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": json.dumps({"filesystem": {"base_directory": str(base_dir)}})},
    )
    return pushed


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def read_tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_version_is_a_copy_and_is_recorded_where_it_lies(model, tmp_path):
    pushed = push(model, tmp_path / "served")
    version_dir = tmp_path / "served" / str(NOW_S)
    assert read_tree(version_dir) == read_tree(Path(model.uri, "Format-Serving"))
    assert read_tree(Path(pushed.uri)) == read_tree(version_dir)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(version_dir)
    assert pushed.get_string_custom_property("pushed_version") == str(NOW_S)
    assert list_names(tmp_path / "served") == [str(NOW_S)]


def test_no_version_is_seen_while_files_are_copied(model, tmp_path, monkeypatch):
    from tfx.utils import io_utils

    served, seen = tmp_path / "served", []
    copy_file = io_utils.copy_file

    def look_and_copy(source, target, *args, **kwargs):
        copy_file(source, target, *args, **kwargs)
        seen.append([name for name in list_names(served) if name.isdecimal()])

    monkeypatch.setattr(io_utils, "copy_file", look_and_copy)
    push(model, served)
    assert seen
    assert not any(seen)


def test_copy_that_fails_leaves_no_version(model, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("the disk is gone")

    monkeypatch.setattr("tfx.utils.io_utils.copy_file", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        push(model, tmp_path / "served")
    assert list_names(tmp_path / "served") == []


def test_second_push_within_one_second_takes_the_next_number(model, tmp_path):
    push(model, tmp_path / "served")
    pushed = push(model, tmp_path / "served")
    assert pushed.get_string_custom_property("pushed_version") == str(NOW_S + 1)
    assert list_names(tmp_path / "served") == [str(NOW_S), str(NOW_S + 1)]


def test_number_that_another_push_takes_at_that_moment_is_left_to_it(model, tmp_path, monkeypatch):
    other = tmp_path / "served" / str(NOW_S) / "saved_model.pb"

    def move_late(finished, destination, last_file):
        if not other.exists():
            other.parent.mkdir()
            other.write_bytes(b"another one's")
        move_dir(finished, destination, last_file)

    monkeypatch.setattr("components.atomic_pushing.move_dir", move_late)
    pushed = push(model, tmp_path / "served")
    assert other.read_bytes() == b"another one's"
    assert pushed.get_string_custom_property("pushed_version") == str(NOW_S + 1)


def test_what_a_killed_push_left_is_cleared_away(model, tmp_path):
    left = tmp_path / "served" / ".push-0123456789abcdef" / str(NOW_S)
    left.mkdir(parents=True)
    (left / "saved_model.pb").write_bytes(b"half")
    push(model, tmp_path / "served")
    assert list_names(tmp_path / "served") == [str(NOW_S)]


def test_model_without_a_blessing_touches_nothing(model, tmp_path):
    pushed = push(model, tmp_path / "served", is_blessed=0)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "served").exists()


def test_object_store_is_left_to_the_usual_order(model, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tfx.components.pusher.executor.Executor.Do", lambda self, inputs, outputs, given: asked.append(given)
    )
    push(model, "gs://bucket/served")
    assert json.loads(asked[0]["push_destination"]) == {
        "filesystem": {"base_directory": "gs://bucket/served"}
    }
