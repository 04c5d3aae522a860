"""Which pushed version a new model is compared with: by contents, so that its own push changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.served_model import ServedModel, digest_model, find_served, list_versions, resolve_served
from servable.errors import CheckError
from servable.formats.digest import digest_tree


def write_version(served_dir: Path, number: str, content: str, *, extra: str = "") -> Path:
    version_dir = served_dir / number
    (version_dir / "variables").mkdir(parents=True)
    (version_dir / "variables" / "variables.index").write_text(content)
    (version_dir / "saved_model.pb").write_text("graph")
    if extra:
        (version_dir / "assets.extra").mkdir()
        (version_dir / "assets.extra" / "tf_serving_warmup_requests").write_text(extra)
    return version_dir


def test_versions_are_those_that_a_server_would_find(tmp_path):
    write_version(tmp_path, "9", "a")
    write_version(tmp_path, "10", "b")
    write_version(tmp_path, "next", "c")
    (tmp_path / "11" / "variables").mkdir(parents=True)  # still being pushed
    assert [path.name for path in list_versions(tmp_path)] == ["10", "9"]
    assert list_versions(tmp_path / "nothing") == []


def test_the_digest_is_the_models_without_what_a_platform_adds(tmp_path):
    plain = write_version(tmp_path, "1", "a")
    warm = write_version(tmp_path, "2", "a", extra="requests")
    assert digest_model(plain) == digest_model(warm) == digest_tree(plain) != digest_tree(warm)


def test_a_model_is_never_compared_with_itself(tmp_path):
    first = write_version(tmp_path, "1", "a")
    digest = digest_model(first)
    # The run that pushes it, and the run after that, have to find the same.
    assert find_served(tmp_path / "not there yet", digest) == ServedModel(None, "")
    assert find_served(tmp_path, digest) == ServedModel(None, "")
    second = write_version(tmp_path, "2", "b", extra="requests")
    assert find_served(tmp_path, digest_model(second)).version_dir == first
    assert find_served(tmp_path, "of a third").version_dir == second


def test_properties_carry_it(make_artifact, tmp_path):
    version = write_version(tmp_path, "1", "a")
    for served in (ServedModel(None, ""), ServedModel(version, "0" * 64)):
        assert ServedModel.from_properties(served.to_properties()) == served
    assert ServedModel.from_properties({"served_version": "None"}) is None
    assert resolve_served({"served_dir": "None"}, {}) is None


def test_a_pinned_version_that_is_gone_is_told(tmp_path):
    pinned = ServedModel(tmp_path / "5", "0" * 64).to_properties()
    with pytest.raises(CheckError, match="is gone"):
        resolve_served({"served_dir": str(tmp_path), **pinned}, {})
