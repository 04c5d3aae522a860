import json
import subprocess
import sys

import pytest

from servable.baseline import Baseline, Sample, save_baseline
from servable.cli import main
from servable.runtime import installing
from servable.runtime.installed import KNOWN_VERSIONS, InstalledRuntime, find_current


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


@pytest.fixture
def simple(zoo):
    return zoo("tf1.12-sm_simple-a")


def put(cache, version):
    folder = cache / version
    folder.mkdir(parents=True)
    (folder / "lib.so").write_bytes(b"1234")
    facts = {"library": "lib.so", "wheel": f"tensorflow_cpu-{version}-cp39-cp39-linux_x86_64.whl"}
    (folder / "runtime.json").write_text(json.dumps(facts))


def test_the_list_says_what_is_there_and_what_to_type(capsys, cache):
    put(cache, "2.7.4")
    code, out, _ = run(capsys, "runtimes")
    assert code == 0
    assert "tensorflow-cpu" in out
    assert f"current ({find_current().version})" in out
    assert "servable runtimes add 1.12.3" in out
    assert "2.7.4" not in out.partition("Known and not installed")[2]


def test_the_list_as_json(capsys, cache):
    put(cache, "2.7.4")
    code, out, _ = run(capsys, "runtimes", "--json")
    data = json.loads(out)
    assert code == 0
    assert [runtime["version"] for runtime in data["installed"]] == ["2.7.4"]
    assert data["known"] == [*KNOWN_VERSIONS]
    assert data["current"] == find_current().version
    assert data["cache"] == str(cache)


def test_the_list_takes_no_time_and_no_tensorflow(cache):
    program = (
        "import sys, time\n"
        "started = time.monotonic()\n"
        "from servable.cli import main\n"
        "code = main(['runtimes'])\n"
        "print(time.monotonic() - started)\n"
        "sys.exit(code or any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert float(done.stdout.splitlines()[-1]) < 2  # 0.2 s on a machine with nothing else to do


def test_adding_and_removing(capsys, cache, monkeypatch):
    monkeypatch.setattr(
        installing, "install_runtime", lambda version: InstalledRuntime(f"{version}.9", cache / "lib.so", "w")
    )
    code, out, _ = run(capsys, "runtimes", "add", "2.7", "1.15")
    assert code == 0
    assert "The runtime of TensorFlow 2.7.9 is installed." in out
    assert "The runtime of TensorFlow 1.15.9 is installed." in out
    code, out, _ = run(capsys, "runtimes", "add", "2.7", "--json")
    assert json.loads(out) == [{"version": "2.7.9", "library": str(cache / "lib.so"), "wheel": "w"}]
    put(cache, "2.7.4")
    code, out, _ = run(capsys, "runtimes", "remove", "2.7.4")
    assert code == 0
    assert "Removed" in out
    assert not (cache / "2.7.4").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add",), 4, "No version is named"),
        (("remove",), 4, "No version is named"),
        (("add", "2.7", "2.x"), 4, "no version"),
        (("add", "current"), 4, "no version"),
        (("remove", "2.7.4"), 2, "not in the cache"),
    ],
)
def test_what_cannot_be_done_says_why(capsys, cache, monkeypatch, words, code, said):
    monkeypatch.setattr(installing, "install_runtime", None)
    got, _, err = run(capsys, "runtimes", *words)
    assert got == code
    assert said in err
    assert "next:" in err


def test_a_proof_is_a_table_and_exit_code_0(capsys, cache, simple, tmp_path):
    sample = Sample(simple.read_arrays("inputs"), simple.read_arrays("outputs"))
    save_baseline(Baseline({"serving_default": sample}), tmp_path / "baseline.npz")
    words = ("prove", simple.source, "--runtime", "current", "--baseline", tmp_path / "baseline.npz")
    code, out, _ = run(capsys, *words, "--report", tmp_path / "page.html")
    assert code == 0
    assert "worst difference" in out
    assert "from the baseline" in out
    assert find_current().version in out
    page = (tmp_path / "page.html").read_text()
    assert "Runtimes that ran it" in page
    assert find_current().version in page
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    assert json.loads(out)["facts"]["runtimes"][find_current().version]["ran"] == ["serving_default"]


def test_a_difference_is_exit_code_1(capsys, cache, simple, tmp_path):
    outputs = {"y": simple.read_arrays("outputs")["y"] + 1}
    baseline = Baseline({"serving_default": Sample(simple.read_arrays("inputs"), outputs)})
    save_baseline(baseline, tmp_path / "baseline.npz")
    words = ("--runtime", "current", "--baseline", tmp_path / "baseline.npz")
    code, out, _ = run(capsys, "prove", simple.source, *words)
    assert code == 1
    assert "too large in serving_default/y" in out


def test_a_runtime_that_is_not_there_is_exit_code_1(capsys, cache, simple):
    code, out, _ = run(capsys, "prove", simple.source, "--runtime", "2.7.4")
    assert code == 1
    assert "not installed" in out
    assert "servable runtimes add 2.7.4" in out


def test_without_a_name_all_installed_runtimes_are_asked(capsys, cache, simple):
    code, out, _ = run(capsys, "prove", simple.source, "--json")
    assert code == 0
    assert [*json.loads(out)["facts"]["runtimes"]] == [find_current().version]


def test_a_target_is_proven_in_its_own_runtime(capsys, simple, old_runtime):
    old_runtime("1.15.5")
    code, out, _ = run(capsys, "prove", simple.source, "--target", "tensorflow_cpu_1.15", "--json")
    assert code == 0
    assert [*json.loads(out)["facts"]["runtimes"]] == ["1.15.5"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nowhere", "--runtime", "current"), 3),
        (("nowhere", "--runtime", "2.x"), 4),
        (("nowhere", "--target", "tensorflow-9"), 4),
        (("nowhere", "--policy", "nowhere.json"), 4),
        (("nowhere", "--baseline", "nowhere.npz"), 4),
    ],
)
def test_what_cannot_be_proven_says_why(capsys, cache, tmp_path, monkeypatch, words, code):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, "prove", *words)
    assert (got, out) == (code, "")
    assert "expected:" in err
