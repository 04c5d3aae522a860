"""TFX's files without TensorFlow: each answer is the one that TensorFlow's own plugin gives."""

from __future__ import annotations

import gc

import pytest

pytestmark = [pytest.mark.tfx, pytest.mark.tensorflow]


@pytest.fixture(params=["LocalFiles", "TensorflowFilesystem"])
def files(request):
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    from pipelines.local_files import LocalFiles

    return {"LocalFiles": LocalFiles, "TensorflowFilesystem": TensorflowFilesystem}[request.param]


def test_text_may_be_written_to_a_file_of_bytes(files, tmp_path):
    with files.open(str(tmp_path / "a"), "wb") as file:
        file.write("Zürich\r\n")
        file.write(b"\x00")
    assert (tmp_path / "a").read_bytes() == "Zürich\r\n".encode() + b"\x00"


def test_text_is_utf_8_and_its_lines_stay_as_they_are(files, tmp_path):
    (tmp_path / "a").write_bytes("Zürich\r\nb\n".encode())
    assert files.open(str(tmp_path / "a")).read() == "Zürich\r\nb\n"
    with files.open(str(tmp_path / "b"), "w") as file:
        file.write("ü\n")
    assert files.open(str(tmp_path / "b"), "rb").read() == "ü\n".encode()


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_file_that_nobody_closes_closes_itself(files, tmp_path):
    files.open(str(tmp_path / "a"), "w").write("text")
    gc.collect()
    assert (tmp_path / "a").read_text() == "text"
    assert files.open(str(tmp_path / "a"), "rb").read() == b"text"


def test_size_and_time_have_the_names_that_tfx_asks_for(files, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    facts = files.stat(str(tmp_path / "a"))
    assert facts.length == 5
    # TensorFlow knows it in whole seconds.
    assert facts.mtime_nsec // 10**9 == (tmp_path / "a").stat().st_mtime_ns // 10**9
    assert not facts.is_directory
    assert files.stat(str(tmp_path)).is_directory


def test_what_is_missing_is_told_in_tfxs_words(files, tmp_path):
    from tfx.dsl.io.filesystem import NotFoundError

    with pytest.raises(NotFoundError):
        files.stat(str(tmp_path / "gone"))


def test_example_gen_can_tell_its_files_apart(files, tmp_path, monkeypatch):
    from tfx.dsl.io import fileio
    from tfx.utils import io_utils

    (tmp_path / "a.csv").write_text("1,2\n")
    monkeypatch.setattr(fileio, "_get_filesystem", lambda path: files)
    told = io_utils.generate_fingerprint("train", str(tmp_path / "*"))
    assert told.startswith("split:train,num_files:1,total_bytes:4,")
