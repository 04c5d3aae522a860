"""The confined corridor: the same as the open one, and no source can crash, hang or exhaust the caller."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from servable.cli import main
from servable.confinement import jobs
from servable.confinement.converting import convert_confined
from servable.confinement.limits import Limits
from servable.convert import ConversionOptions, convert_source
from servable.errors import (
    ExportError,
    SettingsError,
    SignatureError,
    SourceError,
    UnknownSourceError,
    UnsafeSourceError,
)
from servable.runtime.frames import FrameChannel
from servable.signature import SignatureRequest

pytestmark = pytest.mark.tensorflow

SCALE = (Path(__file__).parents[2] / "data" / "zoo" / "objects_keras.py").read_text()
SHORT = Limits(time_limit_s=15.0)


def options_of(case):
    request = SignatureRequest("scores", case.name_ends("inputs"), case.name_ends("outputs"))
    return ConversionOptions(signatures=(request,), frozen=case.frozen if case.name.startswith("tf1") else {})


@pytest.mark.parametrize("name", ["tf1.15-dropout-a", "k2.2.4-multi_io-a", "keras3.12-lookup-a"])
def test_the_confined_corridor_gives_what_the_open_one_gives(zoo, name, tmp_path):
    case = zoo(name)
    stages = []
    confined = convert_confined(
        case.source, tmp_path / "confined", options_of(case), progress=lambda *news: stages.append(news)
    )
    plain = convert_source(case.source, tmp_path / "plain", options_of(case))
    assert confined.saved_model_dir == tmp_path / "confined"
    assert (confined.origin, confined.requests) == (plain.origin, plain.requests)
    assert (confined.signatures, confined.notes) == (plain.signatures, plain.notes)
    for name, sample in plain.baseline.samples.items():
        for key, value in sample.outputs.items():
            np.testing.assert_array_equal(confined.baseline.samples[name].outputs[key], value)
    files = sorted(path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("*"))
    assert sorted(p.relative_to(tmp_path / "confined") for p in (tmp_path / "confined").rglob("*")) == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confined", "plain"]
    assert stages
    assert all(done <= total for _, done, total in stages)


def test_errors_keep_their_class_and_their_words(zoo, tmp_path):
    with pytest.raises(UnknownSourceError, match="Nothing is at this path") as caught:
        convert_confined(tmp_path / "none.h5", tmp_path / "a" / "b" / "1")
    assert "beside it" not in caught.value.received
    with pytest.raises(UnsafeSourceError) as caught:
        convert_confined(zoo("bad-keras_lambda_code-a").source, tmp_path / "a" / "b" / "1")
    assert caught.value.where
    assert caught.value.advice
    assert "Traceback" in caught.value.__notes__[0]
    with pytest.raises(SignatureError, match="does not have"):
        convert_confined(
            zoo("keras3.12-multi_io-a").source,
            tmp_path / "a" / "b" / "1",
            ConversionOptions(signatures=(SignatureRequest(inputs={"x": "none"}),)),
        )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "file").touch()
    with pytest.raises(ExportError, match="not empty"):
        convert_confined(zoo("tf1.12-lr-a").source, tmp_path / "1")


def test_an_endless_source_is_ended_with_all_that_it_started(convert_running, tmp_path, wait_for_end):
    code = f"""
import os, signal, subprocess, sys, tempfile, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
place = tempfile.mkdtemp()
with open({str(tmp_path / "seen")!r}, "w") as file:
    print(os.getpid(), other.pid, place, file=file)
while True:
    time.sleep(1)
"""
    with pytest.raises(SourceError, match="longer than the time limit") as caught:
        convert_running(code, limits=SHORT)
    assert caught.value.expected == "at most 15 s"
    assert "--time-limit" in caught.value.advice
    pid, other_pid, place = (tmp_path / "seen").read_text().split()
    wait_for_end(pid)
    wait_for_end(other_pid)
    assert not Path(place).exists()


@pytest.mark.parametrize(
    "code",
    [
        "held = []\nwhile True: held.append(bytearray(64 << 20))",
        "import numpy\nheld = [numpy.ones(1 << 40)]",
        "import tensorflow as tf\ntf.zeros([1 << 38])",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ],
    ids=["python", "numpy", "tensorflow", "the kernel's choice"],
)
def test_a_greedy_source_gets_no_more_memory_than_it_may(convert_running, code):
    with pytest.raises(SourceError, match="ran out of memory") as caught:
        convert_running(code, limits=Limits(memory_bytes=3 << 30))
    assert "--memory-limit" in caught.value.advice


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ("import os\nos.abort()", "SIGABRT"),
        ("import os\nos.write(2, b'last words')\nos._exit(3)", "exit code 3: .*last words"),
    ],
)
def test_a_crash_is_the_sources_fault(convert_running, code, words):
    with pytest.raises(SourceError, match="crashed the process") as caught:
        convert_running(code)
    assert re.search(words, caught.value.received)


def test_no_file_grows_beyond_its_limit(convert_running, tmp_path):
    code = f"""
with open({str(tmp_path / "large")!r}, "wb") as file:
    for _ in range(64):
        file.write(bytes(1 << 20))
"""
    with pytest.raises(SettingsError, match="failed when it was run") as caught:
        convert_running(code, limits=Limits(file_bytes=8 << 20))
    assert "File too large" in caught.value.received
    assert (tmp_path / "large").stat().st_size <= 8 << 20


def test_the_child_has_no_network_unless_it_may(convert_running, tmp_path):
    probe = subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("this kernel forbids network namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5).close()\n"
        )
        with pytest.raises(SettingsError, match="failed when it was run"):
            convert_running(code)
        convert_running(code + SCALE, limits=Limits(network=True))
    owner = (tmp_path / "out" / "1" / "saved_model.pb").stat()
    assert (owner.st_uid, owner.st_gid) == (os.getuid(), os.getegid())


FORGE = """
import json, os, stat, struct
def frame(head, body=b""):
    text = json.dumps(head).encode()
    return struct.pack("<QQ", len(text), len(body)) + text + body
for number in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            os.write(number, {answer})
    except OSError:
        pass
os._exit(0)
"""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('frame({"conversion": {}})', "no answer that makes sense"),
        ('frame({"conversion": None, "arrays": []})', "no answer that makes sense"),
        (
            'frame({"conversion": {}, "arrays": [{"dtype": 1, "shape": [1 << 50], "size_bytes": 0}]})',
            "crashed",
        ),
        ('frame({"conversion": {}, "arrays": 7})', "crashed"),
        ('frame([]) + b"garbage"', "crashed"),
        ('struct.pack("<QQ", 1 << 62, 0)', "crashed"),
        ('struct.pack("<QQ", 2, 1 << 62) + b"{}"', "crashed"),
        ('frame({"error": "__builtins__", "fields": {"problem": "forged"}})', "forged"),
        ('frame({"error": ["ServableError"], "fields": 3})', "in the process that converted"),
        ('frame({"progress": {"a": 1}})', "crashed"),
    ],
)
def test_a_forged_answer_gets_nowhere(convert_running, tmp_path, answer, words):
    with pytest.raises(SourceError, match=words):
        convert_running(FORGE.replace("{answer}", answer))
    assert not (tmp_path / "out" / "1").exists()


def test_the_child_works_where_its_parent_works(convert_running, tmp_path, monkeypatch):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "training_code.py").write_text("NAME = 'found'\n")
    (tmp_path / "beside.txt").write_text("beside")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHERE_TO_WRITE", str(tmp_path / "seen"))
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    code = """
import os, training_code
with open(os.environ["WHERE_TO_WRITE"], "w") as file:
    file.write(training_code.NAME + " " + open("beside.txt").read())
"""
    convert_running(code + SCALE)
    assert (tmp_path / "seen").read_text() == "found beside"


def test_a_change_that_imports_would_see_starts_another_worker(convert_running, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("WHERE_TO_WRITE", str(tmp_path / "seen"))
    code = "import os\nopen(os.environ['WHERE_TO_WRITE'], 'w').write(os.environ['TF_ENABLE_ONEDNN_OPTS'])\n"
    convert_running(code + SCALE)
    assert (tmp_path / "seen").read_text() == "0"


@pytest.mark.parametrize("name", ["tf1.15-lookup-b", "keras3.15-textvec-a", "k2.2.4-bn-b"])
def test_what_a_job_imports_is_there_for_the_next_and_wakes_nothing(zoo, name, tmp_path):
    """A thread in the worker would mean that TensorFlow's runtime is awake there: a fork of it may hang."""
    case = zoo(name)
    for number in range(2):
        convert_confined(case.source, tmp_path / str(number), options_of(case))
    preloaded = set(jobs._place.preload)
    assert {"servable.sources.opening", "servable.export.exporting"} < preloaded
    convert_confined(case.source, tmp_path / "last", options_of(case))
    assert jobs._place.preload == preloaded
    assert len(os.listdir(f"/proc/{jobs._place.worker._popen.pid}/task")) == 1  # noqa: PTH208


@pytest.mark.parametrize("told", [["os.path", "tests", 7, None, ["servable.cli"]], "os", {}, None])
def test_a_job_cannot_have_the_worker_import_what_it_likes(zoo, tmp_path, monkeypatch, told):
    noted = []
    monkeypatch.setattr("servable.confinement.converting.note_imports", noted.extend)
    receive = FrameChannel.receive

    def answer(self, **how):
        head, body = receive(self, **how)
        return (head | {"imports": told} if "conversion" in head else head), body

    monkeypatch.setattr(FrameChannel, "receive", answer)
    case = zoo("tf1.15-lr-a")
    convert_confined(case.source, tmp_path / "out", options_of(case))
    assert noted == []


def test_a_worker_that_died_is_replaced(convert_running, tmp_path):
    os.killpg(jobs._place.worker._popen.pid, signal.SIGKILL)
    jobs._place.worker._popen.wait()
    assert convert_running(SCALE).saved_model_dir == tmp_path / "out" / "1"


def test_a_job_ends_with_its_worker(convert_running, tmp_path, wait_until, wait_for_end):
    code = f"import os, time\nopen({str(tmp_path / 'seen')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"

    def kill_worker():
        wait_until((tmp_path / "seen").exists, what="the job", seconds=120)
        os.kill(jobs._place.worker._popen.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_worker)
    killer.start()
    with pytest.raises(SourceError, match="crashed"):
        convert_running(code)
    killer.join()
    wait_for_end((tmp_path / "seen").read_text())


def test_threads_convert_at_the_same_time(zoo, tmp_path):
    names = ["tf1.12-lr-a", "k2.2.4-bn-a", "keras3.12-seq_cnn-a", "bad-h5_truncated-a"] * 2

    def convert(number):
        try:
            case = zoo(names[number])
            options = options_of(case) if "inputs" in case.facts else None
            return sorted(convert_confined(case.source, tmp_path / str(number), options).signatures)
        except SourceError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(convert, range(len(names))))
    assert results[:3] == [["scores", "serving_default"]] * 3
    assert results[3].startswith("The HDF5 file cannot be opened")
    assert results[4:] == results[:4]


SCRIPT = """
import sys
from servable.cli import main
code = main(sys.argv[1:])
assert "tensorflow" not in sys.modules, "the caller imported TensorFlow"
sys.exit(code)
"""


def start_script(tmp_path, *words, **settings):
    # A user's script has no `if __name__ == "__main__"`.
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(script), *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **settings)


def test_a_plain_script_converts_without_importing_tensorflow(zoo, tmp_path):
    source = zoo("k2.2.4-custom_layer-a").source
    objects = tmp_path / "objects.py"
    objects.write_text("print('a word of the user')\n" + SCALE)
    words = ["convert", source, tmp_path / "1", "--custom-objects", objects, "--json"]
    with start_script(tmp_path, *words) as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output)["report"]["passed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_goes_on_when_the_caller_is_ended(custom_layer, tmp_path, wait_until, wait_for_end, number):
    objects = tmp_path / "objects.py"
    objects.write_text(
        f"import os, time\nopen({str(tmp_path / 'seen')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    words = ["convert", custom_layer, tmp_path / "out" / "1", "--custom-objects", objects]
    with start_script(tmp_path, *words) as process:
        wait_until((tmp_path / "seen").exists, what="the job", seconds=200)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    wait_for_end((tmp_path / "seen").read_text())
    if number == signal.SIGINT:
        assert process.returncode == 2
        assert "interrupted" in errors
        assert not (tmp_path / "out").exists()


def test_limits_of_the_command_line_count(warm_worker, custom_layer, tmp_path, capsys):
    objects = tmp_path / "objects.py"
    objects.write_text("import time\ntime.sleep(600)\n")
    words = ["convert", str(custom_layer), str(tmp_path / "1"), "--custom-objects", str(objects)]
    assert main([*words, "--time-limit", "5", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["expected"] == "at most 5 s"
    assert main([*words, "--memory-limit", "1"]) == 4
    with pytest.raises(SystemExit):
        main([*words, "--memory-limit", "a lot"])


def test_temporary_files_of_the_child_are_gone(convert_running, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    code = f"import tempfile\nopen({str(tmp_path / 'seen')!r}, 'w').write(tempfile.mkdtemp())\n"
    convert_running(code + SCALE)
    assert (tmp_path / "seen").read_text().startswith(str(tmp_path / "temporary"))
    assert list((tmp_path / "temporary").iterdir()) == []
