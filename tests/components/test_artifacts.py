"""Output directories: fresh at the start, empty after a failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from components.artifacts import find_local_dir, fresh_output_dirs, get_artifact, set_properties
from servable.errors import SettingsError
from servable.formats.scratch import ScratchDir


def test_missing_directories_are_made(make_artifact, tmp_path):
    with fresh_output_dirs({"model": [make_artifact(tmp_path / "a" / "b")]}):
        assert (tmp_path / "a" / "b").is_dir()


def test_leftovers_of_a_killed_attempt_are_gone(make_artifact, tmp_path):
    (tmp_path / "Format-Serving").mkdir()
    (tmp_path / "Format-Serving" / "saved_model.pb").touch()
    with fresh_output_dirs({"model": [make_artifact(tmp_path)]}):
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_attempt_left_in_its_own_folder_is_gone_but_for_what_is_in_use(make_artifact, tmp_path):
    abandoned = tmp_path / "model" / "1" / ".Format-Serving.0123456789abcdef.tmp" / "saved_model"
    abandoned.mkdir(parents=True)
    (kept := tmp_path / "model" / "1" / "Format-Serving").mkdir()
    (other := tmp_path / "model" / "2").mkdir()
    in_use = ScratchDir(other, prefix=".Format-Serving.", suffix=".tmp")
    with fresh_output_dirs({"model": [make_artifact(tmp_path / "model" / "3")]}):
        assert not abandoned.parent.exists()
        assert kept.is_dir()
        assert Path(in_use.name).is_dir()
    in_use.cleanup()


def test_failure_leaves_nothing_that_looks_finished(make_artifact, tmp_path):
    one, two = make_artifact(tmp_path / "1"), make_artifact(tmp_path / "2")

    def fail_midway():
        with fresh_output_dirs({"model": [one], "baseline": [two]}):
            (tmp_path / "1" / "saved_model.pb").touch()
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert [list((tmp_path / name).iterdir()) for name in ("1", "2")] == [[], []]


def test_exit_of_the_process_becomes_an_error(make_artifact, tmp_path):
    with (
        pytest.raises(RuntimeError, match="3"),
        fresh_output_dirs({"model": [make_artifact(tmp_path / "m")]}),
    ):
        sys.exit(3)


def test_interrupt_stays_an_interrupt(make_artifact, tmp_path):
    with pytest.raises(KeyboardInterrupt), fresh_output_dirs({"model": [make_artifact(tmp_path / "m")]}):
        raise KeyboardInterrupt


def test_object_store_is_refused_before_anything_is_emptied(make_artifact, tmp_path):
    (tmp_path / "kept").touch()
    outputs = {"model": [make_artifact(tmp_path)], "baseline": [make_artifact("s3://bucket/b")]}
    with pytest.raises(SettingsError, match="s3://bucket"), fresh_output_dirs(outputs):
        pass
    assert (tmp_path / "kept").exists()


def test_local_uri_is_a_path(tmp_path):
    assert find_local_dir(str(tmp_path)) == tmp_path


def test_artifact_is_found_or_none(make_artifact):
    artifact = make_artifact("u")
    assert get_artifact({"model": [artifact]}, "model") is artifact
    assert get_artifact({"baseline": []}, "baseline") is None
    assert get_artifact({}, "baseline") is None


def test_properties_keep_their_types(make_artifact):
    artifact = make_artifact("u")
    set_properties(artifact, {"step": 7, "path": "p"})
    assert (artifact.numbers, artifact.texts) == ({"step": 7}, {"path": "p"})
