"""Every way to name a checkpoint of either format. No TensorFlow here."""

import os
import shutil
from pathlib import Path

import pytest

from servable.errors import BrokenSourceError, UnknownSourceError
from servable.formats.checkpoints.bundle import open_bundle
from servable.formats.protos import MetaGraphDef
from servable.sources.detect import Kind
from servable.sources.locating.checkpoint_spelling import find_prefix, list_checkpoints
from servable.sources.locating.checkpoint_state import find_latest
from servable.sources.resolving import resolve_source


def copy_case(case, folder, *, name):
    """Copies the files of a checkpoint under another name, without a state file."""
    folder.mkdir(exist_ok=True)
    base = case.source.name.partition("-?????")[0]
    for path in case.source.parent.iterdir():
        if path.name.startswith(base):
            shutil.copy(path, folder / path.name.replace(base, name, 1))


@pytest.fixture
def single(tmp_path, zoo):
    copy_case(zoo("tf1.4-lr_v1-a"), tmp_path / "train", name="model.ckpt-100")
    copy_case(zoo("tf1.4-lr_v1-a"), tmp_path / "train", name="model.ckpt-200")
    return tmp_path / "train"


@pytest.fixture
def sharded(tmp_path, zoo):
    copy_case(zoo("tf1.12-lr_v1_sharded-a"), tmp_path / "train", name="model.ckpt-100")
    copy_case(zoo("tf1.12-lr_v1_sharded-a"), tmp_path / "train", name="model.ckpt-200")
    return tmp_path / "train"


@pytest.mark.parametrize("name", ["", "model.ckpt-200", "model.ckpt-200.meta", "model.ckpt"])
def test_every_spelling_of_an_old_checkpoint(single, name):
    source = resolve_source(single / name)
    assert source.path == single / "model.ckpt-200"
    assert source.kind is Kind.TF1_SAVER
    assert source.step == 200
    assert [file.name for file in source.files] == ["model.ckpt-200", "model.ckpt-200.meta"]
    assert bool(source.notes) == (name != "model.ckpt-200")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model.ckpt-200-?????-of-00002",
        "model.ckpt-200-*-of-00002",
        "model.ckpt-200-00000-of-00002",
        "model.ckpt-200-00001-of-00002",
        "model.ckpt-200.meta",
        "model.ckpt-200",
        "model.ckpt",
    ],
)
def test_every_spelling_of_an_old_checkpoint_in_shards(sharded, name):
    source = resolve_source(sharded / name)
    assert source.path == sharded / "model.ckpt-200-?????-of-00002"
    assert source.kind is Kind.TF1_SAVER
    assert source.step == 200
    assert [file.name for file in source.files] == [
        "model.ckpt-200-00000-of-00002",
        "model.ckpt-200-00001-of-00002",
        "model.ckpt-200.meta",
    ]
    if name:
        assert bool(source.notes) == ("?" not in name)


@pytest.mark.parametrize("fixture", ["single", "sharded"])
@pytest.mark.parametrize(
    "name", ["", "model.ckpt", "model.ckpt-200", "model.ckpt-200.meta", "model.ckpt-300"]
)
def test_a_step_is_taken_from_a_folder_or_from_the_neighbours_of_a_prefix(request, fixture, name):
    folder = request.getfixturevalue(fixture)
    assert resolve_source(folder / name, step=100).step == 100
    with pytest.raises(UnknownSourceError, match="Step 150") as caught:
        resolve_source(folder / name, step=150)
    assert "100, 200" in caught.value.advice


def test_a_step_of_a_prefix_is_one_of_the_same_name(single, zoo):
    copy_case(zoo("tf1.15-lr-a"), single, name="other-100")
    assert resolve_source(single / "model.ckpt-200", step=100).path.name == "model.ckpt-100"
    assert resolve_source(single / "other", step=100).path.name == "other-100"
    with pytest.raises(UnknownSourceError, match="more than once"):
        resolve_source(single, step=100)


@pytest.mark.parametrize("fixture", ["single", "sharded"])
def test_an_old_checkpoint_that_is_cut_off_is_named_or_passed_over(request, fixture):
    folder = request.getfixturevalue(fixture)
    last = sorted(path for path in folder.glob("model.ckpt-200*") if path.suffix != ".meta")[-1]
    os.truncate(last, last.stat().st_size - 1)
    with pytest.raises(BrokenSourceError, match="cut off"):
        resolve_source(last)
    source = resolve_source(folder)
    assert source.step == 100
    assert "passed over model.ckpt-200" in source.notes[0].message


def test_an_old_checkpoint_cut_off_to_nothing(single):
    os.truncate(single / "model.ckpt-200", 0)
    with pytest.raises(BrokenSourceError, match="cut off"):
        resolve_source(single / "model.ckpt-200")


def test_a_missing_shard_is_named(sharded):
    (sharded / "model.ckpt-200-00001-of-00002").unlink()
    with pytest.raises(BrokenSourceError) as caught:
        resolve_source(sharded / "model.ckpt-200")
    assert "model.ckpt-200-00001-of-00002" in caught.value.received
    assert resolve_source(sharded).step == 100


def test_two_sets_of_shards_of_one_step_are_not_guessed(sharded):
    for number in range(3):
        shutil.copy(
            sharded / "model.ckpt-200-00000-of-00002", sharded / f"model.ckpt-200-{number:05d}-of-00003"
        )
    with pytest.raises(UnknownSourceError, match="Several checkpoints"):
        resolve_source(sharded / "model.ckpt-200.meta")
    with pytest.raises(UnknownSourceError, match="same step"):
        resolve_source(sharded)
    (sharded / "checkpoint").write_text('model_checkpoint_path: "/gone/model.ckpt-200-?????-of-00002"')
    assert resolve_source(sharded).path.name == "model.ckpt-200-?????-of-00002"


def test_what_is_no_checkpoint_is_not_listed(single):
    for name in (
        "model.ckpt-300.tempstate12345",
        "events.out.tfevents.1",
        "data-00000-of-00002",
        "graph.pbtxt",
    ):
        (single / name).write_bytes(b"node {}" * 100)
    (single / "model.ckpt-300.data-00000-of-00001.tempstate99").write_bytes(b"")
    shutil.copy(single / "model.ckpt-100", single / "model.ckpt-400.tempstate12345")
    (single / "folder.index").mkdir()
    assert [prefix.name for prefix in list_checkpoints(single)] == [
        "model.ckpt-100",
        "model.ckpt-200",
    ]
    (single / "folder.index").rmdir()
    os.mkfifo(single / "pipe")
    assert len(list_checkpoints(single)) == 2
    assert find_prefix(single / "data-00000-of-00002") is None


@pytest.mark.parametrize("suffix", [".meta", ".meta.txt", ".meta.pbtxt", ".pbtxt"])
@pytest.mark.parametrize("case_name", ["tf1.15-lr-a", "tf1.4-lr_v1-a", "tf1.12-lr_v1_sharded-a"])
def test_a_graph_in_text_belongs_to_the_checkpoint(tmp_path, zoo, case_name, suffix):
    copy_case(zoo(case_name), tmp_path, name="m")
    meta_graph = MetaGraphDef.FromString((tmp_path / "m.meta").read_bytes())
    (tmp_path / "m.meta").unlink()
    (tmp_path / f"m{suffix}").write_text(f"# written by hand\n{meta_graph}")
    source = resolve_source(tmp_path / f"m{suffix}")
    assert f"m{suffix}" in [file.name for file in source.files]
    assert source.path in (tmp_path / "m", tmp_path / "m-?????-of-00002")
    assert open_bundle(source.path).entries["W"].shape == (784, 10)


@pytest.mark.parametrize(
    "text",
    [
        'model_checkpoint_path: "model.ckpt-100"',
        'model_checkpoint_path: "./model.ckpt-100"',
        'model_checkpoint_path: "/gone/and/away/model.ckpt-100"',
        'model_checkpoint_path: "C:\\\\runs\\\\train\\\\model.ckpt-100"',
        'model_checkpoint_path: "runs\\\\model.ckpt-100"',
        'model_checkpoint_path: "../../train/model.ckpt-100"',
        '\n# moved\nmodel_checkpoint_path: "gs://b/model.ckpt-100"\nall_model_checkpoint_timestamps: 1.5',
    ],
)
def test_a_state_file_of_another_machine(single, text):
    (single / "checkpoint").write_text(text)
    assert resolve_source(single).step == 100
    (single / "checkpoint").rename(single / "latest.txt")
    (single / "latest.txt").write_text(text.replace("\n# moved\n", "\n"))
    source = resolve_source(single / "latest.txt")
    assert source.step == 100
    assert "named by the state file" in source.notes[0].message


@pytest.mark.parametrize("named", ["sub/model.ckpt-100", "/gone/train/sub/model.ckpt-100"])
def test_a_state_file_that_names_a_folder_below(tmp_path, single, named):
    single.rename(tmp_path / "sub")
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{named}"')
    source = resolve_source(tmp_path)
    assert source.path == tmp_path / "sub" / "model.ckpt-100"
    assert source.root == tmp_path / "sub"


def test_a_state_file_cannot_follow_a_link_out(tmp_path, single):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "sub").symlink_to(single)
    (tmp_path / "job" / "checkpoint").write_text('model_checkpoint_path: "sub/model.ckpt-100"')
    assert find_latest(tmp_path / "job" / "checkpoint") == tmp_path / "job" / "model.ckpt-100"


@pytest.mark.parametrize("content", ["model_checkpoint_path: 5", "\x00\x01", "a: " * 400_000])
def test_a_state_file_that_cannot_be_read_says_what_to_do(single, content):
    (single / "checkpoint").write_text(content)
    with pytest.raises(BrokenSourceError, match="state file cannot be read") as caught:
        resolve_source(single)
    assert "delete it" in caught.value.advice


def test_one_folder_below_is_looked_into_when_there_is_no_doubt(tmp_path, single, zoo):
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "events.out.tfevents.1").write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "checkpoint").write_text("")
    source = resolve_source(tmp_path)
    assert source.path == single / "model.ckpt-200"
    assert "train" in source.notes[0].message
    assert resolve_source(tmp_path, step=100).step == 100
    copy_case(zoo("tf1.15-lr-a"), tmp_path / "old", name="model.ckpt")
    with pytest.raises(UnknownSourceError, match="Several folders") as caught:
        resolve_source(tmp_path)
    assert caught.value.received == "old, train"


def test_folders_two_levels_down_are_not_searched(tmp_path, single):
    (tmp_path / "a" / "b").mkdir(parents=True)
    single.rename(tmp_path / "a" / "b" / "train")
    with pytest.raises(UnknownSourceError, match="holds no model"):
        resolve_source(tmp_path)


def test_the_variables_of_a_saved_model_mean_the_saved_model(tmp_path, zoo):
    folder = shutil.copytree(zoo("tf1.15-sm_simple-a").source, tmp_path / "1")
    names = ("", "saved_model.pb", "variables", "variables/variables", "variables/variables.index")
    for name in names:
        source = resolve_source(folder / name)
        assert (source.path, source.kind) == (folder, Kind.SAVED_MODEL)
        assert bool(source.notes) == bool(name)


def test_an_estimators_folder_with_its_exports(tmp_path, zoo):
    folder = shutil.copytree(zoo("tf1.15-estimator-a").source.parent, tmp_path / "model_dir")
    shutil.copytree(zoo("tf1.15-sm_simple-a").source, folder / "export" / "best" / "1500000000")
    (folder / "eval").mkdir()
    assert resolve_source(folder).step == 40
    assert resolve_source(folder, step=20).step == 20
    assert resolve_source(tmp_path).path == folder / "model.ckpt-40"


@pytest.mark.zoo("tf2*-obj_manager-?")
def test_the_folder_of_a_checkpoint_manager(zoo, case_name):
    folder = zoo(case_name).source.parent
    for path, step in (
        (folder, None),
        (folder / "checkpoint", None),
        (folder / "run", None),
        (folder / "run-30", None),
    ):
        source = resolve_source(path, step=step)
        assert (source.path.name, source.kind, source.step) == ("run-30", Kind.TF2_OBJECTS, 30)
    for name in ("", "run", "run-30", "run-30.index"):
        assert resolve_source(folder / name, step=20).path.name == "run-20"


def test_a_name_that_is_not_there_gets_the_nearest(single):
    with pytest.raises(UnknownSourceError) as caught:
        resolve_source(single / "model.ckpt-2000")
    assert "model.ckpt-200" in caught.value.received
    with pytest.raises(UnknownSourceError) as caught:
        resolve_source(single.parent / "trian" / "model.ckpt-200")
    assert "no folder trian" in caught.value.received
    assert "near it: train" in caught.value.received
    with pytest.raises(UnknownSourceError):
        resolve_source(single / "model.ckpt-999.index")


def test_the_home_folder_and_a_trailing_slash(single, monkeypatch):
    monkeypatch.setenv("HOME", str(single.parent))
    assert resolve_source(Path("~/train/")).path == single / "model.ckpt-200"
    assert resolve_source(Path("~/train/model.ckpt-100")).step == 100
    with pytest.raises(UnknownSourceError):
        resolve_source(Path("~no_such_user_here/train"))
