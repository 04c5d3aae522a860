"""The source's digest is waited for last, and a source that cannot be digested leaves no SavedModel."""

from __future__ import annotations

from pathlib import Path

import pytest

from servable import convert
from servable.convert import ConversionOptions, convert_source
from servable.errors import BrokenSourceError
from servable.export.exporting import Export
from servable.model import GraphBody, Origin, Suggestion, TrainedModel

ORIGIN = Origin(Path("m"), "tf1-saver", "tensorflow", "1.15.5", (Path("m.index"),), 3, digest="")


@pytest.fixture
def convert_with(monkeypatch, tmp_path):
    """Walks the corridor with rooms that do nothing, and a digest of the test's own."""

    def run(read_digest):
        body = GraphBody(None, None, {}, tmp_path)
        model = TrainedModel(ORIGIN, body, (), predict=lambda *_, **__: {}, read_digest=read_digest)

        def export(model, requests, out_dir, **_):
            out_dir.mkdir()
            (out_dir / "saved_model.pb").touch()
            return Export(out_dir, ())

        monkeypatch.setattr(convert, "open_source", lambda *_, **__: model)
        monkeypatch.setattr(convert, "complete_requests", lambda *_: Suggestion((), {}))
        monkeypatch.setattr(convert, "export_servable", export)
        monkeypatch.setattr(convert, "read_signatures", lambda _: {})
        return convert_source(tmp_path / "m", tmp_path / "out", ConversionOptions(make_baseline=False))

    return run


def test_digest_is_asked_for_when_the_model_is_written(convert_with, tmp_path):
    def read_digest(progress):
        assert (tmp_path / "out" / "saved_model.pb").exists()
        return "f" * 64

    assert convert_with(read_digest).origin.digest == "f" * 64


def test_a_source_that_changes_meanwhile_leaves_nothing_behind(convert_with, tmp_path):
    def read_digest(progress):
        raise BrokenSourceError("A file changed while it was read.")

    with pytest.raises(BrokenSourceError, match="changed"):
        convert_with(read_digest)
    assert not (tmp_path / "out").exists()


def test_an_origin_with_its_digest_is_complete():
    model = TrainedModel(ORIGIN, GraphBody(None, None, {}, Path()), (), predict=lambda *_, **__: {})
    assert model.complete_origin() is ORIGIN
