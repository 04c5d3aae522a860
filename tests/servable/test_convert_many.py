"""`servable convert --many`: a folder of models, of which some cannot be converted."""

from __future__ import annotations

import json
import shutil

import pytest

from servable.cli import main
from servable.convert_many import list_sources
from servable.errors import UnknownSourceError


@pytest.fixture
def models_dir(tmp_path, zoo):
    folder = tmp_path / "models"
    for name in ("tf1.15-lr-a", "bad-h5_truncated-a"):
        shutil.copytree(zoo(name).folder / "artifact", folder / name)
    (folder / "notes.txt").write_text("not a model")
    return folder


def test_entries_are_folders_files_and_whole_checkpoints(tmp_path):
    for name in ("m-1.index", "m-1.data-00000-of-00001", "m-1.meta", "checkpoint", "a.h5", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert list_sources(tmp_path) == {
        "a.h5": tmp_path / "a.h5",
        "folder": tmp_path / "folder",
        "m-1": tmp_path / "m-1",
    }


@pytest.mark.parametrize("place", ["", "missing"])
def test_a_folder_without_anything_is_no_folder_of_models(tmp_path, place):
    with pytest.raises(UnknownSourceError):
        list_sources(tmp_path / place)


@pytest.mark.parametrize(
    "words", [("--report=r.html",), ("--sarif=r.json",), ("--baseline-out=b.npz",), ("--workers=0",)]
)
def test_what_makes_sense_for_one_model_only_is_wrong_usage(models_dir, tmp_path, capsys, words):
    command = ["convert", "--many", str(models_dir), str(tmp_path / "out"), *words]
    try:
        code = main(command)
    except SystemExit as ended:
        code = ended.code
    assert code == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.tensorflow
def test_one_failing_model_stops_no_other_and_a_rerun_goes_on(models_dir, tmp_path, capsys):
    command = ["convert", "--many", str(models_dir), str(tmp_path / "out"), "--workers=2", "--json"]
    assert main(command) == 2
    told = json.loads(capsys.readouterr().out)
    states = {model["name"]: model["state"] for model in told["models"]}
    assert states == {"bad-h5_truncated-a": "failed", "notes.txt": "no model", "tf1.15-lr-a": "servable"}
    assert told["counts"] == {"failed": 1, "no model": 1, "servable": 1}
    failed = told["models"][0]["error"]
    assert failed["error"] == "BrokenSourceError"
    assert failed["problem"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tf1.15-lr-a"]
    model_file = tmp_path / "out" / "tf1.15-lr-a" / "1" / "saved_model.pb"
    written = model_file.read_bytes()
    shutil.rmtree(models_dir / "bad-h5_truncated-a")
    assert main(command) == 0
    states = {m["name"]: m["state"] for m in json.loads(capsys.readouterr().out)["models"]}
    assert states == {"notes.txt": "no model", "tf1.15-lr-a": "there already"}
    assert model_file.read_bytes() == written
