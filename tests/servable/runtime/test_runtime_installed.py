import json
from pathlib import Path

import pytest

from servable.errors import CheckError, SettingsError
from servable.runtime.installed import (
    KNOWN_VERSIONS,
    find_cache_dir,
    find_current,
    find_runtime,
    is_version,
    list_runtimes,
    measure_bytes,
)
from servable.targets.registry import CURRENT_VERSION, list_versions


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


def put(cache, version, *, record=None, library=True):
    folder = cache / version
    folder.mkdir(parents=True)
    if library:
        (folder / "lib.so").write_bytes(b"1234")
    facts = {"library": "lib.so", "wheel": f"tensorflow-{version}.whl"}
    (folder / "runtime.json").write_text(json.dumps(facts) if record is None else record)


def test_own_folder_before_the_general_one_before_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SERVABLE_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find_cache_dir() == tmp_path / ".cache/servable/runtimes"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification has ignored
    assert find_cache_dir() == tmp_path / ".cache/servable/runtimes"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_cache_dir() == tmp_path / "xdg/servable/runtimes"
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "own"))
    assert find_cache_dir() == tmp_path / "own/runtimes"


def test_nothing_is_installed_where_there_is_no_cache(cache):
    assert list_runtimes() == ()
    assert not cache.exists()


def test_runtimes_are_listed_by_number_not_by_letter(cache):
    for version in ("2.11.1", "2.7.4", "1.15.5", "1.9.0"):
        put(cache, version)
    assert [r.version for r in list_runtimes()] == ["1.9.0", "1.15.5", "2.7.4", "2.11.1"]
    assert measure_bytes(list_runtimes()[0]) > 4


def test_what_is_not_whole_is_not_there(cache):
    put(cache, "2.3.4", record="{")
    put(cache, "2.4.4", record="[]")
    put(cache, "2.6.5", record="{}")
    put(cache, "2.7.4", library=False)
    put(cache, ".partial-xyz")
    (cache / "2.8.0").mkdir()
    (cache / "stray").write_text("")
    assert list_runtimes() == ()


def test_a_series_is_its_newest_installed_version(cache):
    for version in ("2.1.0", "2.1.4", "2.11.1"):
        put(cache, version)
    assert find_runtime("2.1").version == "2.1.4"
    assert find_runtime("2.1.0").library == cache / "2.1.0/lib.so"
    assert find_runtime("2.11").version == "2.11.1"


def test_the_installed_tensorflow_is_found_by_its_name_and_numbers(cache):
    current = find_current()
    assert find_runtime("current") == current
    assert find_runtime(current.version) == current
    assert find_runtime(current.version.rpartition(".")[0]) == current
    assert current.library.is_file()


def test_a_runtime_that_is_not_there_says_how_to_get_it(cache):
    put(cache, "1.15.5")
    with pytest.raises(CheckError, match=r"2\.7\.4 is not installed") as caught:
        find_runtime("2.7.4")
    assert caught.value.advice == "servable runtimes add 2.7.4"
    assert "1.15.5" in caught.value.expected
    assert str(cache) in caught.value.where


@pytest.mark.parametrize("version", ["2", "2.x", "../2.7.4", "2.7.4rc1", "", "v2.7", "2.7.4.1", "2.7\n"])
def test_what_is_no_version_is_refused(cache, version):
    assert not is_version(version)
    with pytest.raises(SettingsError, match="no version"):
        find_runtime(version)


def test_every_target_of_the_tables_has_a_runtime():
    assert {*KNOWN_VERSIONS} == {*list_versions()} - {CURRENT_VERSION}
    assert Path(find_current().library).name.startswith("libtensorflow_cc")
