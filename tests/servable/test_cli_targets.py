"""Targets on the command line: the list, one of them, what each makes of a model, and typos.

Which release's loader takes which recorded model is what that release did with it: 2.7 and older know no
DisableCopyOnRead, 2.11 and newer do; 1.12 has no batch_dims on GatherV2, 1.14 does.
"""

import json
import subprocess
import sys

import pytest

from servable.cli import main
from servable.runtime import installed


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(autouse=True)
def no_runtimes(monkeypatch, tmp_path):
    """Only the runtime of the installed TensorFlow is on this machine."""
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "cache"))


def find_model(case):
    return next(case.folder.rglob("saved_model.pb")).parent


def test_the_list_has_names_versions_and_what_is_here(run):
    code, out, _ = run("targets", "--json")
    facts = {item["name"]: item for item in json.loads(out)}
    assert code == 0
    assert {"current", "tensorflow-1.15", "tensorflow-serving-2.7", "kserve"} <= set(facts)
    assert facts["pai-eas/tensorflow_cpu_1.15"] == {
        "name": "pai-eas/tensorflow_cpu_1.15",
        "tensorflow": "1.15.5",
        "platform": "PAI-EAS",
        "refuses_unknown_attributes": True,
        "needs_tensorflow_1_form": True,
        "runtime_installed": False,
    }
    assert {name for name, item in facts.items() if item["runtime_installed"]} == {
        "current",
        "tensorflow-2.21",
        "tensorflow-serving-2.21",
    }


def test_the_list_is_a_table_whose_names_can_be_copied(run):
    code, out, _ = run("targets")
    assert code == 0
    rows = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    assert rows["pai-eas/tensorflow_gpu_2.4"][:2] == ["2.4.4", "refused"]
    assert rows["tensorflow-2.7"][:3] == ["2.7.4", "passed", "over"]
    assert rows["current"][-1] == "here"


def test_an_installed_runtime_shows(run, monkeypatch, tmp_path):
    folder = tmp_path / "cache" / "runtimes" / "2.7.4"
    folder.mkdir(parents=True)
    (folder / "lib.so").touch()
    (folder / installed.RECORD_NAME).write_text('{"library": "lib.so", "wheel": "w.whl"}')
    facts = json.loads(run("targets", "tensorflow_cpu_2.7", "--json")[1])
    assert facts["runtime_installed"] is True
    assert "runtimes add" not in run("targets", "tensorflow_cpu_2.7")[1]
    assert "servable runtimes add 2.4.4" in run("targets", "tensorflow_cpu_2.4")[1]


def test_one_target_is_told_in_sentences(run):
    code, out, _ = run("targets", "1.15.5")
    assert code == 0
    assert out.startswith("tensorflow-1.15 is TensorFlow 1.15.5, run by TensorFlow.")
    assert "refuses a model with an attribute" in out
    assert "form that TensorFlow 1 writes" in out
    assert "--target tensorflow-1.15" in out
    facts = json.loads(run("targets", "pai-eas/tensorflow_cpu_2.7", "--json")[1])
    assert facts["ops"] > facts["ops_on_cpu"] > 1000
    assert set(facts["wire_dtypes"]) == {
        *("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool", "string")
    }


def test_every_target_is_asked_about_a_model(run, zoo):
    path = find_model(zoo("tf2.16-sm_keras_export-a"))
    code, out, _ = run("targets", "--for", path, "--json")
    facts = {item["target"]: item for item in json.loads(out)}
    assert code == 0
    loading = {name for name, item in facts.items() if item["loads"]}
    newer = ("2.11", "2.15", "2.16", "2.18", "2.21")
    assert loading == {
        "current",
        *(f"tensorflow-{series}" for series in newer),
        *(f"tensorflow-serving-{series}" for series in newer),
    }
    assert all(item["runs"] == item["loads"] for item in facts.values())
    assert facts["current"]["obstacles"] == []
    assert "DisableCopyOnRead" in facts["kserve"]["obstacles"][0]["message"]
    code, out, _ = run("targets", "--for", path)
    assert code == 0
    assert out.startswith("11 of 37 targets load and run ")
    assert "DisableCopyOnRead: unknown op" in out


def test_a_named_target_that_does_not_load_a_model_is_a_finding(run, zoo):
    path = find_model(zoo("tf1.15-sm_assets-a"))
    assert run("targets", "tensorflow-1.14", "--for", path)[0] == 0
    code, out, _ = run("targets", "tensorflow-1.12", "--for", path)
    assert code == 1
    assert out.startswith("tensorflow-1.12 does not load ")
    assert "batch_dims" in out
    assert f"servable convert {path} OUT --target tensorflow-1.12" in out
    code, out, _ = run("targets", "current", "--for", find_model(zoo("bad-sm_pyfunc-a")))
    assert code == 1
    assert "PyFunc" in out
    assert "--target" not in out  # a conversion for the exporting runtime would not help


@pytest.mark.parametrize(
    ("case_name", "code"), [("bad-sm_no_serve_tag-a", 2), ("bad-sm_garbage_pb-a", 2), (None, 3)]
)
def test_what_is_no_model_to_serve_has_its_exit_code(run, zoo, tmp_path, case_name, code):
    path = tmp_path / "nothing" if case_name is None else zoo(case_name).source
    received, out, _ = run("targets", "--for", path, "--json")
    assert received == code
    assert json.loads(out)["exit_code"] == code


@pytest.mark.parametrize(
    "words",
    [
        ("targets", "tensorflow-2.8"),
        ("check", "gs://bucket/none", "--target", "tensorflow-2.8"),
        ("convert", "gs://bucket/none", "out", "--target", "tensorflow-2.8"),
    ],
)
def test_a_typo_is_told_before_anything_is_fetched(run, words):
    code, out, err = run(*words)
    assert (code, out) == (4, "")
    assert "tensorflow-2.7" in err


def test_a_check_for_a_target_that_was_typed_stands_above_the_policy(run, zoo, tmp_path):
    path = find_model(zoo("tf2.16-sm_keras_export-a"))
    policy = tmp_path / "policy.json"
    left_out = ["ops", "variables", "weights", "serving_load", "fidelity", "inference_mode", "batch"]
    policy.write_text(json.dumps({"target": "tensorflow-2.7", "switched_off": left_out}))
    code, out, _ = run("check", path, "--policy", policy, "--json")
    assert (code, json.loads(out)["facts"]["target"]) == (1, "tensorflow-2.7")
    code, out, _ = run("check", path, "--policy", policy, "--target", "2.16", "--json")
    assert (code, json.loads(out)["facts"]["target"]) == (0, "tensorflow-2.16")


def test_the_list_needs_no_tensorflow_no_numpy_and_no_registry():
    script = (
        "import sys; from servable.cli import main\n"
        "assert main(['targets']) == main(['targets', '--json']) == 0\n"
        "from servable.targets.registry import load_registry\n"
        "assert load_registry.cache_info().currsize == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'google.protobuf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.tensorflow
def test_a_conversion_is_made_for_its_target_and_says_so(run, zoo, tmp_path):
    case = zoo("tf1.15-lr-a")
    words = ["convert", case.source, "--target", "tensorflow_cpu_1.15"]
    words += [f"--input={key}={tensor}" for key, tensor in case.name_ends("inputs").items()]
    words += [f"--output={key}={tensor}" for key, tensor in case.name_ends("outputs").items()]
    code, out, _ = run(*words[:2], tmp_path / "1", *words[2:], "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["target"] == facts["report"]["facts"]["target"] == "pai-eas/tensorflow_cpu_1.15"
    assert run("targets", "tensorflow_cpu_1.15", "--for", tmp_path / "1")[0] == 0
    code, out, _ = run(*words[:2], tmp_path / "2", *words[2:], "--no-check", "--no-baseline")
    assert code == 0
    assert "for pai-eas/tensorflow_cpu_1.15, TensorFlow 1.15.5." in " ".join(out.split())
