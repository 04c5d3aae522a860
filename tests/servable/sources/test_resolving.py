import os
import shutil
import struct
import zipfile

import pytest

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.sources.detect import Kind
from servable.sources.resolving import resolve_source


@pytest.fixture
def steps_dir(tmp_path, zoo):
    """A training folder with steps 100 and 200 of one small model, and its state file."""
    source = zoo("tf1.15-lr-a").source
    folder = tmp_path / "train"
    folder.mkdir()
    for step in (100, 200):
        for part in source.parent.glob(source.name + ".*"):
            shutil.copy(part, folder / part.name.replace(source.name, f"model.ckpt-{step}"))
    (folder / "checkpoint").write_text('model_checkpoint_path: "/gone/train/model.ckpt-200"\n')
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "",
        "checkpoint",
        "model.ckpt-200",
        "model.ckpt-200.index",
        "model.ckpt-200.meta",
        "model.ckpt-200.data-00000-of-00001",
    ],
)
def test_every_spelling_means_the_same_checkpoint(steps_dir, name):
    source = resolve_source(steps_dir / name)
    assert source.path == steps_dir / "model.ckpt-200"
    assert source.kind is Kind.TF1_SAVER
    assert source.step == 200
    assert [file.suffix for file in source.files] == [".data-00000-of-00001", ".index", ".meta"]


def test_a_step_is_taken_when_asked(steps_dir):
    assert resolve_source(steps_dir, step=100).path.name == "model.ckpt-100"
    with pytest.raises(UnknownSourceError, match="Step 300 is not there") as caught:
        resolve_source(steps_dir, step=300)
    assert "100, 200" in caught.value.advice


def test_without_a_state_file_the_newest_step_counts_not_the_last_name(steps_dir):
    (steps_dir / "checkpoint").unlink()
    for part in steps_dir.glob("model.ckpt-100.*"):
        part.rename(steps_dir / part.name.replace("-100", "-1000"))
    assert resolve_source(steps_dir).step == 1000


def test_a_shard_still_being_written_is_passed_over(steps_dir):
    shard = steps_dir / "model.ckpt-200.data-00000-of-00001"
    os.truncate(shard, shard.stat().st_size // 2)
    source = resolve_source(steps_dir)
    assert source.step == 100
    assert "passed over model.ckpt-200" in source.notes[0].message


def test_a_step_whose_meta_is_not_there_yet_is_passed_over(steps_dir):
    (steps_dir / "checkpoint").unlink()
    (steps_dir / "model.ckpt-200.meta").unlink()
    assert resolve_source(steps_dir).step == 100


def test_no_complete_checkpoint_is_an_error_that_says_why(steps_dir):
    for shard in steps_dir.glob("*.data-*"):
        os.truncate(shard, 4)
    with pytest.raises(BrokenSourceError, match="No checkpoint in the folder is complete") as caught:
        resolve_source(steps_dir)
    assert "model.ckpt-100" in caught.value.received
    assert "model.ckpt-200" in caught.value.received


def test_a_state_file_that_names_nothing_there_offers_what_is(steps_dir):
    (steps_dir / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-999"')
    with pytest.raises(UnknownSourceError) as caught:
        resolve_source(steps_dir)
    assert caught.value.expected == "model.ckpt-999"
    assert "100, 200" in caught.value.advice


def test_a_state_file_cannot_point_out_of_its_folder(steps_dir, tmp_path):
    (steps_dir / "checkpoint").write_text('model_checkpoint_path: "../../elsewhere/model.ckpt-100"')
    assert resolve_source(steps_dir).path == steps_dir / "model.ckpt-100"


def test_two_names_without_a_state_file_are_not_guessed(steps_dir):
    (steps_dir / "checkpoint").unlink()
    for part in steps_dir.glob("model.ckpt-100.*"):
        part.rename(steps_dir / part.name.replace("model.ckpt", "other.ckpt"))
    with pytest.raises(UnknownSourceError, match="different names"):
        resolve_source(steps_dir)


def test_a_vocabulary_beside_the_checkpoint_belongs_to_the_source(zoo):
    names = {file.name for file in resolve_source(zoo("tf1.12-lookup-a").source).files}
    assert {"vocab.txt", "labels.txt"} <= names


@pytest.mark.parametrize(
    ("case_name", "error", "said"),
    [
        ("bad-ckpt_no_index-a", BrokenSourceError, ".index"),
        ("bad-ckpt_truncated_index-a", BrokenSourceError, ".index"),
        ("bad-ckpt_state_missing-a", UnknownSourceError, "model.ckpt-999"),
        ("bad-empty_dir-a", UnknownSourceError, "checkpoint"),
        ("bad-h5_not_hdf5-a", UnknownSourceError, "empty"),
        ("bad-h5_truncated-a", BrokenSourceError, "cut short"),
        ("bad-keras_truncated-a", BrokenSourceError, "cut short"),
    ],
)
def test_broken_sources_say_what_is_wrong(zoo, tmp_path, case_name, error, said):
    source = zoo(case_name).source
    if not source.exists() and not source.suffix:
        source.parent.mkdir(exist_ok=True)
    with pytest.raises(error) as caught:
        resolve_source(source)
    assert said in str(caught.value)


def test_a_folder_with_one_model_file_is_that_file(tmp_path, zoo):
    shutil.copy(zoo("keras3.15-seq_cnn-a").source, tmp_path / "m.keras")
    assert resolve_source(tmp_path).kind is Kind.KERAS_ARCHIVE
    shutil.copy(zoo("k2.2.4-bn-a").source, tmp_path / "m.h5")
    with pytest.raises(UnknownSourceError, match="several model files"):
        resolve_source(tmp_path)


def test_content_decides_not_the_suffix(tmp_path, zoo):
    shutil.copy(zoo("k2.2.4-bn-a").source, tmp_path / "model.keras")
    assert resolve_source(tmp_path / "model.keras").kind is Kind.KERAS_HDF5


def test_an_archive_with_hdf5_at_byte_2048_is_an_archive(tmp_path, zoo):
    """Where HDF5 looks for its signature, a member that is not packed may begin."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(zoo("keras3.15-seq_cnn-a").source) as source, zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED)
        weights = zipfile.ZipInfo("model.weights.h5")
        header_bytes = 30 + len(weights.filename)
        gap = 2048 - header_bytes - archive.fp.tell()
        if gap < 4:
            pytest.fail("the members before it are too long")
        weights.extra = struct.pack("<HH", 0xFFFF, gap - 4) + bytes(gap - 4)
        archive.writestr(weights, source.read("model.weights.h5"))
    assert path.read_bytes()[2048:2052] == b"\x89HDF"
    assert resolve_source(path).kind is Kind.KERAS_ARCHIVE
