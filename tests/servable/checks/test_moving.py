from contextlib import ExitStack

import pytest

from servable.checks import moving
from servable.checks.moving import Moved, move_model


@pytest.fixture
def model_dir(tmp_path):
    root = tmp_path / "model"
    (root / "variables").mkdir(parents=True)
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "variables" / "data").write_bytes(b"weights")
    (root / "link").symlink_to("variables/data")
    return root


def test_small_models_are_copied_and_taken_away(model_dir):
    with ExitStack() as stack:
        moved, how = move_model(model_dir, stack)
        assert how is Moved.COPY
        assert (moved / "variables" / "data").read_bytes() == b"weights"
        assert not (moved / "link").is_symlink()
        (moved / "saved_model.pb").write_bytes(b"changed")
    assert not moved.exists()
    assert (model_dir / "saved_model.pb").read_bytes() == b"graph"


def test_large_models_are_linked(model_dir, monkeypatch):
    monkeypatch.setattr(moving, "_COPIED_BYTES", 3)
    with ExitStack() as stack:
        moved, how = move_model(model_dir, stack)
        assert how is Moved.LINKS
        assert (moved / "saved_model.pb").samefile(model_dir / "saved_model.pb")
        assert not (moved / "link").is_symlink()
    assert (model_dir / "saved_model.pb").exists()


def test_what_cannot_be_linked_stays_where_it_is(model_dir, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(moving, "_COPIED_BYTES", 3)
    monkeypatch.setattr(moving.os, "link", refuse)
    with ExitStack() as stack:
        assert move_model(model_dir, stack) == (model_dir, Moved.IN_PLACE)
