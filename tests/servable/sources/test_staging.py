"""Remote sources: the same choice as for local ones, and no file fetched that the choice does not need."""

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from servable.errors import ServableError, SettingsError, SourceError, UnsafeSourceError
from servable.formats.remote import RemotePlace, is_remote, open_remote, read_local_path
from servable.sources.resolving import resolve_source
from servable.sources.staging import stage_file, stage_source

ADDRESS = "memory://bucket/train"


@pytest.fixture
def store(monkeypatch):
    """An empty store that notes which files are opened for reading."""
    opened = []
    plain_open = MemoryFileSystem._open

    def open_noting(self, path, mode="rb", **options):
        if "r" in mode:
            opened.append(path)
        return plain_open(self, path, mode, **options)

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(MemoryFileSystem, "_open", open_noting)
    system = fsspec.filesystem("memory")
    system.opened = opened
    return system


def upload(store, folder, address=ADDRESS):
    store.put(str(folder), address, recursive=True)
    return address


def name_opened(store):
    return sorted({path.removeprefix("/bucket/train/") for path in store.opened})


def settle(action, root):
    """What comes of a choice, told without the folder that it was made in."""
    try:
        source = action()
    except ServableError as error:
        return type(error).__name__, error.problem
    return (
        source.path.relative_to(root).as_posix(),
        [file.relative_to(root).as_posix() for file in source.files],
        [note.message for note in source.notes],
    )


def check_staged(staged, folder, store):
    """Compares a staged source with the folder that it comes from; returns what was chosen."""
    root = next(path for path in (staged.path, *staged.path.parents) if path.name == "train")
    path, files, _ = settle(lambda: resolve_source(staged.path), root)
    for name in files:
        assert (root / name).read_bytes() == (folder / name).read_bytes()
    here = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    # A state file is read to choose; all the rest belongs to the source.
    assert {name.rpartition("/")[2] for name in here - set(files)} <= {"checkpoint"}
    assert set(name_opened(store)) == here
    return path, files, [note.message for note in staged.notes]


@pytest.mark.zoo("*")
def test_the_choice_is_the_same_as_on_this_machine(zoo, case_name, store):
    folder = zoo(case_name).folder / "artifact"
    if not folder.is_dir() or any(path.is_symlink() for path in folder.rglob("*")):
        pytest.skip("no store has symbolic links, or empty folders")
    address = upload(store, folder)
    wanted = settle(lambda: resolve_source(folder), folder)
    try:
        with stage_source(address) as staged:
            found = check_staged(staged, folder, store)
    except ServableError as error:
        found = type(error).__name__, error.problem
    assert found == wanted


@pytest.fixture
def trained(zoo, tmp_path, store):
    """A training folder with two steps, event files and what else a trainer leaves."""
    folder = tmp_path / "train"
    folder.mkdir()
    for path in zoo("tf1.15-estimator-a").source.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "events.out.tfevents.1.host").write_bytes(b"x" * 1000)
    (folder / "eval").mkdir()
    (folder / "eval" / "events.out.tfevents.2.host").write_bytes(b"x" * 1000)
    upload(store, folder)
    return folder


def list_step(step):
    shards = [f"model.ckpt-{step}.data-0000{number}-of-00002" for number in (0, 1)]
    return [*shards, f"model.ckpt-{step}.index", f"model.ckpt-{step}.meta"]


def test_other_steps_and_event_files_are_never_opened(trained, store):
    with stage_source(ADDRESS) as staged:
        assert staged.address == f"{ADDRESS}/model.ckpt-40"
        assert staged.path.with_name("model.ckpt-40.index").is_file()
        assert name_opened(store) == ["checkpoint", *list_step(40)]
        private = staged.path.parent
        assert private.parent.stat().st_mode & 0o077 == 0
    assert not private.exists()


def test_a_step_is_chosen_by_its_number(trained, store):
    with stage_source(ADDRESS, step=20) as staged:
        assert staged.address == f"{ADDRESS}/model.ckpt-20"
    assert name_opened(store) == ["checkpoint", *list_step(20)]


@pytest.mark.parametrize("below", ["", "/checkpoints"])
def test_the_state_file_counts_for_more_than_the_step(trained, store, below):
    store.rm(ADDRESS, recursive=True)
    (trained / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-20"')
    upload(store, trained, ADDRESS + below)
    with stage_source(ADDRESS) as staged:
        assert staged.address == f"{ADDRESS}{below}/model.ckpt-20"
    assert not [name for name in name_opened(store) if "model.ckpt-40" in name]


@pytest.mark.parametrize(
    "typed", ["model.ckpt-20", "model.ckpt-20.index", "model.ckpt-20.meta", list_step(20)[0]]
)
def test_a_checkpoint_goes_by_any_of_its_files(trained, store, typed):
    with stage_source(f"{ADDRESS}/{typed}") as staged:
        assert staged.address == f"{ADDRESS}/model.ckpt-20"
    assert set(list_step(20)) <= set(name_opened(store)) <= {"checkpoint", *list_step(20)}


def test_an_unfinished_step_is_passed_over_by_its_size(trained, store):
    shard = trained / list_step(40)[1]
    store.pipe_file(f"{ADDRESS}/{shard.name}", shard.read_bytes()[:-1])
    with stage_source(ADDRESS) as staged:
        assert staged.address == f"{ADDRESS}/model.ckpt-20"
        assert "passed over model.ckpt-40" in staged.notes[0].message
    assert not {name for name in name_opened(store) if name.startswith("model.ckpt-40.data")}


def test_an_index_and_a_graph_are_enough_to_look_at(trained, store):
    with stage_source(ADDRESS, with_values=False) as staged:
        shard = staged.path.with_name(list_step(40)[0])
        assert shard.stat().st_size == (trained / shard.name).stat().st_size
    assert name_opened(store) == ["checkpoint", *list_step(40)[2:]]


def test_versions_of_a_savedmodel_are_not_fetched_to_say_that_there_are_two(zoo, store):
    folder = zoo("tf1.15-sm_assets-a").source
    for version in ("1", "2"):
        upload(store, folder, f"{ADDRESS}/{version}")
    with pytest.raises(SourceError, match="Several folders") as caught, stage_source(ADDRESS):
        pass
    assert caught.value.where == ADDRESS
    assert not store.opened


def test_a_variable_of_a_savedmodel_means_all_of_it(zoo, store):
    upload(store, zoo("tf1.15-sm_assets-a").source)
    store.pipe_file(f"{ADDRESS}/events.out.tfevents.1.host", b"x")
    with stage_source(f"{ADDRESS}/variables/variables.index") as staged:
        assert staged.address == ADDRESS
        assert (staged.path / "saved_model.pb").is_file()
    assert "events.out.tfevents.1.host" not in name_opened(store)


def test_progress_is_told_in_bytes(trained, store):
    told = []
    with stage_source(ADDRESS, progress=lambda *news: told.append(news)):
        pass
    assert all(stage == "fetching" and 0 < done <= total for stage, done, total in told)
    shards = sum((trained / name).stat().st_size for name in list_step(40)[:2])
    assert told[-1] == ("fetching", shards, shards)


def test_a_users_file_is_fetched_alone(store):
    store.pipe_file(f"{ADDRESS}/model.py", b"CUSTOM_OBJECTS = {}\n")
    store.pipe_file(f"{ADDRESS}/secret", b"x")
    with stage_file(f"{ADDRESS}/model.py") as path:
        assert path.read_text() == "CUSTOM_OBJECTS = {}\n"
    assert name_opened(store) == ["model.py"]
    assert not path.exists()


def test_a_file_address_is_read_where_it_lies(tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    with stage_source(f"file://{tmp_path}/with%20space") as staged:
        assert staged.path == folder
        assert not staged.address
    assert not is_remote(str(tmp_path))
    assert not is_remote("C:\\models\\1")
    with pytest.raises(SettingsError, match="another machine"):
        read_local_path("file://elsewhere/model")


@pytest.mark.parametrize(
    ("address", "package"), [("gs://b/x", "gcsfs"), ("oss://b/x", "ossfs"), ("s3://b/x", "s3fs")]
)
def test_a_missing_driver_is_named_as_pip_wants_it(monkeypatch, address, package):
    def fail(*_, **__):
        raise ImportError("no such module")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(SettingsError) as caught:
        open_remote(address)
    assert caught.value.advice == f"pip install {package}"


def test_a_scheme_that_nobody_knows_is_said():
    with pytest.raises(SettingsError, match="nosuch:// cannot be opened"):
        open_remote("nosuch://b/x")


class HostileStore:
    """Lists names that lead out of the folder, and files that are shorter than it says."""

    def __init__(self, name, data=b""):
        self.name, self.data = name, data

    def ls(self, path, **_):
        return [{"name": f"{path}/{self.name}", "size": 10, "type": "file"}]

    def get_file(self, _, path, **__):
        with open(path, "wb") as file:  # noqa: PTH123 - as a driver does
            file.write(self.data)


@pytest.mark.parametrize("name", ["..", "a/..", "..\\x", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name):
    with pytest.raises(UnsafeSourceError, match="leads out"):
        RemotePlace("x://b", "/b", HostileStore(name)).list_files()


def test_a_file_that_changes_on_its_way_is_refused(tmp_path):
    place = RemotePlace("x://b/f", "/b/f", HostileStore("f", b"123"))
    with pytest.raises(SourceError, match="changed while it was fetched"):
        place.fetch(tmp_path / "f", 10, lambda _: None)
    assert not (tmp_path / "f").exists()


def test_what_a_driver_raises_becomes_words(monkeypatch, store):
    def refuse(*_, **__):
        raise PermissionError("403 forbidden")

    monkeypatch.setattr(MemoryFileSystem, "ls", refuse)
    with pytest.raises(SourceError, match="cannot be reached") as caught, stage_source(ADDRESS):
        pass
    assert "403" in caught.value.received
