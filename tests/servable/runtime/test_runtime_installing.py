import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError

import pytest

from servable.errors import CheckError, SettingsError
from servable.runtime import fetching, installing
from servable.runtime.installed import list_runtimes
from servable.runtime.installing import install_runtime, remove_runtime

OWN = "tensorflow/libtensorflow_cc.so.2"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(installing, "weaken_python_symbols", lambda path: 0)
    return tmp_path / "cache" / "runtimes"


@pytest.fixture
def fetched(make_wheel, monkeypatch):
    """What was asked of pip, which is played here; it has wheels of 2.7.4 and 1.15.5."""
    asked = []

    def fetch(version, folder):
        asked.append(version)
        full = {"2.7": "2.7.4", "1.15": "1.15.5"}.get(version, version)
        return make_wheel({OWN: b"own " + full.encode()}, version=full, folder=folder)

    monkeypatch.setattr(installing, "fetch_wheel", fetch)
    return asked


def test_a_runtime_is_installed_once(cache, fetched):
    first = install_runtime("2.7.4")
    assert first.library == cache / "2.7.4" / OWN
    assert first.library.read_bytes() == b"own 2.7.4"
    assert first.wheel == "tensorflow-2.7.4-cp39-cp39-manylinux2010_x86_64.whl"
    assert install_runtime("2.7.4") == first
    assert install_runtime("2.7") == first
    assert fetched == ["2.7.4"]
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "2.7.4"]


def test_a_short_version_is_the_newest_that_is_known(cache, fetched):
    assert install_runtime("1.15").version == "1.15.5"
    assert fetched == ["1.15.5"]


def test_a_damaged_wheel_leaves_nothing(cache, monkeypatch, make_wheel):
    def fetch(version, folder):
        return make_wheel({OWN: b"good"}, record=[f"{OWN},sha256=AAAA,4"], folder=folder)

    monkeypatch.setattr(installing, "fetch_wheel", fetch)
    with pytest.raises(CheckError, match="cannot be used"):
        install_runtime("2.7.4")
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_what_a_killed_installation_left_is_no_runtime_and_goes_with_the_next(cache, fetched, tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from servable.runtime import installing\n"
        "def fetch(version, folder):\n"
        "    (folder / 'half.whl').write_bytes(b'half')\n"
        "    print('fetching', flush=True)\n"
        "    time.sleep(60)\n"
        "installing.fetch_wheel = fetch\n"
        "installing.install_runtime('2.7.4')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"fetching\n"
        assert list_runtimes() == ()
        assert any(path.name.startswith(".partial-") for path in cache.iterdir())
        os.kill(other.pid, signal.SIGKILL)
    assert list_runtimes() == ()
    assert install_runtime("2.7.4").version == "2.7.4"
    assert not any(path.name.startswith(".partial-") for path in cache.iterdir())


def test_two_installations_at_once_fetch_once(cache, fetched, monkeypatch):
    slow = installing.fetch_wheel

    def fetch(version, folder):
        time.sleep(0.3)
        return slow(version, folder)

    monkeypatch.setattr(installing, "fetch_wheel", fetch)
    found = []
    threads = [threading.Thread(target=lambda: found.append(install_runtime("2.7.4"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len({*found}) == 1
    assert fetched == ["2.7.4"]


def test_a_folder_that_is_no_whole_runtime_is_replaced(cache, fetched):
    (cache / "2.7.4").mkdir(parents=True)
    (cache / "2.7.4" / "runtime.json").write_text("{")
    assert install_runtime("2.7.4").library.is_file()
    assert json.loads((cache / "2.7.4" / "runtime.json").read_text())["library"] == OWN


def test_removing_takes_out_one_runtime(cache, fetched):
    install_runtime("2.7.4")
    install_runtime("1.15.5")
    assert remove_runtime("2.7.4").version == "2.7.4"
    assert [r.version for r in list_runtimes()] == ["1.15.5"]
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "1.15.5"]
    with pytest.raises(CheckError, match="not in the cache") as caught:
        remove_runtime("2.7.4")
    assert caught.value.expected == "1.15.5"


@pytest.mark.parametrize("act", [install_runtime, remove_runtime])
@pytest.mark.parametrize("version", ["current", "../x", "2.7.4;"])
def test_what_is_no_version_is_refused_before_anything_is_touched(cache, fetched, act, version):
    with pytest.raises(SettingsError):
        act(version)
    assert not cache.exists()
    assert fetched == []


def test_the_lock_is_let_go(cache, fetched):
    install_runtime("2.7.4")
    with (cache / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Asking pip


@pytest.fixture
def pip(monkeypatch, make_wheel):
    """Plays pip: `answers` are what it says to one call after the other, the last for all further ones."""
    calls = []
    answers = [""]

    def run(command, **_):
        calls.append(command)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not answer:
            make_wheel({OWN: b"own"}, folder=type(folder)(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 1 if answer else 0, "", answer)

    folder = make_wheel({}).parent
    monkeypatch.setattr(fetching.subprocess, "run", run)
    return calls, answers


def read_asked(calls):
    return [(call[4], call[call.index("--python-version") + 1]) for call in calls]


NO_WHEEL = "ERROR: Could not find a version\nERROR: No matching distribution found for tensorflow"


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("1.12.3", ("tensorflow-cpu==1.12.3", "3.6")),
        ("1.15", ("tensorflow-cpu==1.15.5", "3.7")),
        ("2.4.4", ("tensorflow-cpu==2.4.4", "3.8")),
        ("2.11.1", ("tensorflow-cpu==2.11.1", "3.9")),
        ("2.18.1", ("tensorflow-cpu==2.18.1", "3.12")),
        ("2.9", ("tensorflow==2.9.*", "3.9")),
    ],
)
def test_the_likeliest_wheel_is_asked_for_first(pip, tmp_path, version, first):
    calls, _ = pip
    dest = tmp_path / "dest"
    dest.mkdir()
    assert fetching.fetch_wheel(version, dest).parent == dest
    assert read_asked(calls) == [first]
    assert "--only-binary=:all:" in calls[0]
    assert "--no-deps" in calls[0]


def test_other_packages_and_pythons_are_tried(pip, tmp_path):
    calls, answers = pip
    dest = tmp_path / "dest"
    dest.mkdir()
    answers[:] = [NO_WHEEL, NO_WHEEL, NO_WHEEL, ""]
    fetching.fetch_wheel("1.14.0", dest)
    packages = ["tensorflow-cpu==1.14.0"] + ["tensorflow==1.14.0"] * 3
    assert [package for package, _ in read_asked(calls)] == packages
    assert len({*read_asked(calls)}) == 4


def test_a_version_that_nobody_has_says_so(pip, tmp_path):
    calls, answers = pip
    answers[:] = [NO_WHEEL]
    with pytest.raises(CheckError, match=r"No wheel of TensorFlow 2\.99\.0") as caught:
        fetching.fetch_wheel("2.99.0", tmp_path / "dest")
    assert "No matching distribution" in caught.value.received
    assert "1.15.5" in caught.value.expected
    assert len(calls) > 2


@pytest.mark.parametrize(
    "answer", ["ERROR: disk full", f"WARNING: Retrying (Retry(total=0)) after connection broken\n{NO_WHEEL}"]
)
def test_where_pip_gets_no_answer_nothing_else_is_tried(pip, tmp_path, answer):
    calls, answers = pip
    answers[:] = [answer]
    with pytest.raises(CheckError) as caught:
        fetching.fetch_wheel("2.7.4", tmp_path / "dest")
    assert len(calls) == 1
    assert answer.splitlines()[0] in caught.value.received
    assert "network" in caught.value.advice


def test_without_pip_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    def find_no_version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(fetching.metadata, "version", find_no_version)
    with pytest.raises(CheckError, match="pip") as caught:
        fetching.fetch_wheel("2.7.4", tmp_path)
    assert "pip install pip" in caught.value.advice
