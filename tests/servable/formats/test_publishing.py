import errno

import pytest

from servable.errors import ExportError, SignatureError
from servable.formats.publishing import publish_dir


def write_model(folder):
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")


def test_a_finished_folder_appears_at_once(tmp_path):
    out = tmp_path / "a" / "b" / "1"
    with publish_dir(out) as scratch:
        write_model(scratch)
        assert not out.exists()
    assert (out / "saved_model.pb").read_bytes() == b"graph"
    assert [path.name for path in out.parent.iterdir()] == ["1"]


def fail_while_writing(out, error):
    with publish_dir(out) as scratch:
        write_model(scratch)
        raise error


@pytest.mark.parametrize("error", [SignatureError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        fail_while_writing(tmp_path / "1", error)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(ExportError, match="not enough disk space"):
        fail_while_writing(tmp_path / "1", OSError(errno.ENOSPC, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_ever_overwritten(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"old")
    with pytest.raises(ExportError, match="not empty"), publish_dir(tmp_path / "1"):
        pytest.fail("the block must not run")
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"old"


def test_where_a_folder_cannot_be_renamed_the_graph_is_copied_last(tmp_path, monkeypatch):
    from pathlib import Path

    copied = []
    import servable.formats.publishing as publishing

    real_copy = publishing.shutil.copyfile
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "cross")))
    monkeypatch.setattr(
        publishing.shutil, "copyfile", lambda a, b, **k: copied.append(Path(b).name) or real_copy(a, b, **k)
    )
    with publish_dir(tmp_path / "1") as scratch:
        write_model(scratch)
        (scratch / "variables" / "variables.index").write_bytes(b"i")
    assert copied[-1] == "saved_model.pb"
    assert (tmp_path / "1" / "variables" / "variables.index").read_bytes() == b"i"


def test_any_file_may_be_the_last(tmp_path, monkeypatch):
    from pathlib import Path

    copied = []
    import servable.formats.publishing as publishing

    real_copy = publishing.shutil.copyfile
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "cross")))
    monkeypatch.setattr(
        publishing.shutil, "copyfile", lambda a, b, **k: copied.append(Path(b).name) or real_copy(a, b, **k)
    )
    with publish_dir(tmp_path / "pack", what="pack", last_file="manifest.json") as scratch:
        write_model(scratch)
        (scratch / "manifest.json").write_bytes(b"{}")
    assert copied == ["saved_model.pb", "manifest.json"]


def test_what_could_not_be_written_is_named(tmp_path):
    with (
        pytest.raises(ExportError, match="The pack could not be written"),
        publish_dir(tmp_path / "p", what="pack"),
    ):
        raise OSError(errno.EIO, "broken")
