import base64
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from servable.confinement.jobs import end_worker
from servable.errors import CheckError, SettingsError
from servable.runtime.installed import find_library
from servable.runtime.outcome import Call, FaultKind, Limits
from servable.runtime.session import open_session, run_calls

ZOO = Path(__file__).parents[2] / "data" / "zoo"
SIMPLE = ZOO / "tf1.12-sm_simple-a"
SIMPLE_DIR = SIMPLE / "artifact/saved/1"


@pytest.fixture(autouse=True, scope="module")
def no_other_children():
    """Other tests leave a worker running, which waits for conversions."""
    end_worker()


@pytest.fixture(scope="module")
def golden():
    with np.load(SIMPLE / "golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture
def call(golden):
    return Call({"x:0": golden["in_0"]}, ("y:0",))


def list_children(pid):
    """Processes whose parent is `pid`, from /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def test_answers_what_the_source_runtime_answered(golden, call):
    outcome = run_calls(SIMPLE_DIR, [call])
    assert outcome.load_fault is None
    np.testing.assert_allclose(outcome.results[0].outputs["y:0"], golden["out_0"], rtol=1e-4, atol=1e-4)
    assert outcome.runtime_version.startswith("2.")
    assert outcome.load_time_s > 0
    assert 50e6 < outcome.peak_memory_bytes < 4e9


def test_a_stricter_limit_of_whoever_started_us_stands():
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from servable.runtime.session import run_calls\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))\n"
        "outcome = run_calls(Path(sys.argv[1]), [])\n"
        "sys.exit(str(outcome.load_fault) if outcome.load_fault else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SIMPLE_DIR], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_feeds_strings():
    case = ZOO / "tf1.15-sm_assets-a"
    with np.load(case / "golden.npz") as arrays:
        words = np.array([base64.b64decode(text) for text in arrays["in_0"].tolist()], dtype=object)
        expected = arrays["out_0"]
    outcome = run_calls(case / "artifact/saved/1", [Call({"words:0": words}, ("y:0",))])
    np.testing.assert_allclose(outcome.results[0].outputs["y:0"], expected, rtol=1e-4, atol=1e-4)


def test_a_failed_call_does_not_end_the_session(golden, call):
    with open_session(SIMPLE_DIR) as session:
        wrong_type = session.run(Call({"x:0": golden["in_0"].astype(np.float64)}, ("y:0",)))
        no_such_tensor = [session.run(Call({}, (name,))).fault for name in ("nope:0", "y:7", "y:a", "^y")]
        again = session.run(call)
    assert wrong_type.fault is not None
    assert wrong_type.fault.kind is FaultKind.STATUS
    assert "double" in wrong_type.fault.message
    assert [fault.code for fault in no_such_tensor] == [5] * 4  # NOT_FOUND
    assert again.fault is None


def test_a_model_that_does_not_load_is_a_value(tmp_path, call):
    outcome = run_calls(tmp_path, [call])
    assert outcome.load_fault is not None
    assert outcome.load_fault.kind is FaultKind.STATUS
    assert outcome.results == ()


def test_answers_larger_than_the_limit_are_not_taken(call):
    with open_session(SIMPLE_DIR, limits=Limits(reply_bytes=100)) as session:
        result = session.run(call)  # 3 rows of 10 float32: 120 bytes
        assert session.alive
    assert result.fault is not None
    assert "120 bytes" in result.fault.message


def test_crash_is_told_once_and_for_all(call):
    with open_session(SIMPLE_DIR) as session:
        (child,) = list_children(os.getpid())
        os.kill(child, signal.SIGSEGV)
        first, second = session.run(call).fault, session.run(call).fault
        assert not session.alive
    assert first is not None
    assert first.kind is FaultKind.CRASH
    assert "SIGSEGV" in first.message
    assert second == first


def test_a_child_killed_by_the_system_ran_out_of_memory(call):
    with open_session(SIMPLE_DIR) as session:
        (child,) = list_children(os.getpid())
        os.kill(child, signal.SIGKILL)
        fault = session.run(call).fault
    assert fault is not None
    assert fault.kind is FaultKind.OUT_OF_MEMORY


def test_time_limit_of_a_call(call):
    with open_session(SIMPLE_DIR, limits=Limits(run_time_s=0.3)) as session:
        (child,) = list_children(os.getpid())
        os.kill(child, signal.SIGSTOP)  # stands in for an endless kernel
        started = time.monotonic()
        fault = session.run(call).fault
        assert time.monotonic() - started < 5
    assert fault is not None
    assert fault.kind is FaultKind.TIMEOUT
    assert list_children(os.getpid()) == []


def test_time_limit_of_loading():
    outcome = run_calls(SIMPLE_DIR, [], limits=Limits(load_time_s=0.01))
    assert outcome.load_fault is not None
    assert outcome.load_fault.kind is FaultKind.TIMEOUT
    assert list_children(os.getpid()) == []


def test_memory_limit(golden):
    rows = np.zeros((100_000, 784), np.float32)  # 314 MB
    outcome = run_calls(SIMPLE_DIR, [Call({"x:0": rows}, ("y:0",))], limits=Limits(memory_bytes=300 << 20))
    assert outcome.load_fault is None
    assert outcome.results[0].fault is not None
    assert outcome.results[0].fault.kind is FaultKind.OUT_OF_MEMORY


def test_session_ends_with_its_block():
    with open_session(SIMPLE_DIR):
        assert len(list_children(os.getpid())) == 1
    assert list_children(os.getpid()) == []


def test_session_ends_when_the_block_raises():
    with pytest.raises(ZeroDivisionError), open_session(SIMPLE_DIR):
        raise ZeroDivisionError
    assert list_children(os.getpid()) == []


def test_sessions_of_several_threads_do_not_mix(golden, call):
    results = {}

    def visit(scale):
        with open_session(SIMPLE_DIR) as session:
            results[scale] = session.run(Call({"x:0": golden["in_0"] * scale}, ("y:0",))).outputs["y:0"]

    threads = [threading.Thread(target=visit, args=(scale,)) for scale in (0.0, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(results[1.0], golden["out_0"], rtol=1e-4, atol=1e-4)
    assert np.ptp(results[0.0], axis=0).max() < 1e-6  # zero pixels: every row is the bias alone


def test_the_child_sees_neither_the_environment_nor_the_site_packages(monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('somebody else\\'s module was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    with open_session(SIMPLE_DIR):
        (child,) = list_children(os.getpid())
        environment = Path(f"/proc/{child}/environ").read_bytes()
        options = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        mapped = Path(f"/proc/{child}/maps").read_text()
    assert b"s3cr3t" not in environment
    assert b"PYTHONPATH" not in environment
    assert {b"-I", b"-S"} <= set(options)
    assert "libtensorflow_cc" in mapped
    assert "_pywrap_tensorflow" not in mapped


def test_library_is_found_without_importing_tensorflow():
    program = (
        "import sys\nfrom servable.runtime.installed import find_library\nfind_library()\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert find_library().name.startswith("libtensorflow_cc")


def test_missing_library_means_that_nothing_could_be_checked(tmp_path):
    with pytest.raises(CheckError, match="is not there"):
        run_calls(SIMPLE_DIR, [], library=tmp_path / "libtensorflow_cc.so.2")


def test_library_of_something_else_means_that_nothing_could_be_checked(tmp_path):
    (tmp_path / "lib.so").write_bytes(b"not a library")
    with pytest.raises(CheckError, match="cannot be used"):
        run_calls(SIMPLE_DIR, [], library=tmp_path / "lib.so")
    assert list_children(os.getpid()) == []


@pytest.mark.parametrize("limits", [{"run_time_s": 0}, {"memory_bytes": -1}, {"threads": 128}])
def test_limits_out_of_range(limits):
    with pytest.raises(SettingsError, match=next(iter(limits))):
        Limits(**limits)
