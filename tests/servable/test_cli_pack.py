"""`servable pack`, as it is typed."""

from __future__ import annotations

import json
import shutil

import pytest

from servable.baseline import Baseline, Sample, save_baseline
from servable.cli import main


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def model(zoo, tmp_path):
    shutil.copytree(zoo("tf1.15-sm_simple-a").source, tmp_path / "digits" / "3")
    return tmp_path / "digits" / "3"


def test_check_pack_and_verify(zoo, model, tmp_path, capsys):
    case = zoo("tf1.15-sm_simple-a")
    sample = Sample(case.read_arrays("inputs"), case.read_arrays("outputs"))
    save_baseline(Baseline({"serving_default": sample}), tmp_path / "baseline.npz")
    target = ("--target", "tensorflow_cpu_1.15")
    baseline = ("--baseline", tmp_path / "baseline.npz")
    code, out, _ = run(capsys, "check", model, *baseline, *target, "--json")
    assert code == 0
    (tmp_path / "report.json").write_text(out)

    words = ("--platform", "eas", "--platform", "tf-serving", "--report", tmp_path / "report.json", *baseline)
    uri = ("--uri", "eas=oss://b/models")
    code, out, _ = run(capsys, "pack", model, tmp_path / "pack", *words, *uri, *target, "--json")
    assert code == 0
    made = json.loads(out)
    # Name and version are those of the folder.
    assert (made["name"], made["version"]) == ("digits", 3)
    service = json.loads((tmp_path / "pack" / "eas" / "service.json").read_text())
    assert service["model_path"] == "oss://b/models/digits/3/model.tar.gz"
    assert service["processor"] == "tensorflow_cpu_1.15"
    assert "models/digits/3/assets.extra/tf_serving_warmup_requests" in made["files"]

    code, out, _ = run(capsys, "pack", "--verify", tmp_path / "pack")
    assert code == 0
    assert "to the byte" in out
    with (tmp_path / "pack" / "eas" / "service.json").open("a") as file:
        file.write(" ")
    code, out, _ = run(capsys, "pack", "--verify", tmp_path / "pack")
    assert code == 1
    assert "eas/service.json" in out
    code, out, _ = run(capsys, "pack", "--verify", tmp_path / "pack", "--json")
    assert code == 1
    assert json.loads(out)["findings"][0]["where"] == "eas/service.json"

    # With that report, no other model is packed.
    (model / "variables" / "variables.index").write_bytes(b"")
    code, _, err = run(capsys, "pack", model, tmp_path / "other", *words)
    assert code == 2
    assert "variables/variables.index (changed)" in err


def test_a_model_that_is_not_fit_is_not_packed(zoo, tmp_path, capsys):
    model = zoo("bad-sm_no_variables-a").source
    code, out, _ = run(capsys, "pack", model, tmp_path / "pack", "--platform", "vertex")
    assert code == 1
    assert "Not fit to serve" in out
    assert not (tmp_path / "pack").exists()


def test_it_is_checked_where_no_report_is_named(model, tmp_path, capsys):
    code, out, _ = run(
        capsys, "pack", model, tmp_path / "pack", "--platform", "kserve", "--name", "other", "--version", "8"
    )
    assert code == 0
    assert "Packed other version 8" in " ".join(out.split())
    assert "kubectl apply" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "What is to be packed"),
        (("MODEL", "OUT"), "platforms that are known"),
        (("MODEL", "OUT", "--platform", "heroku"), "heroku"),
        (("MODEL", "OUT", "--platform", "eas"), "Which processor"),
        (("MODEL", "OUT", "--platform", "eas", "--uri", "oss://b"), "PLATFORM=ADDRESS"),
        (("MODEL", "OUT", "--platform", "eas", "--uri", "eas=gs://b"), "eas.uri"),
        (("MODEL", "OUT", "--platform", "vertex", "--options", "NONE"), "cannot be read"),
        (("MODEL", "OUT", "--platform", "vertex", "--report", "LIST"), "no report"),
        (("--verify", "OUT", "--platform", "eas"), "made or verified"),
    ],
)
def test_wrong_words_exit_with_4(words, said, model, tmp_path, capsys):
    (tmp_path / "list.json").write_text("{}")
    names = {"MODEL": model, "OUT": tmp_path / "o", "NONE": tmp_path / "none", "LIST": tmp_path / "list.json"}
    code, _, err = run(capsys, "pack", *(names.get(word, word) for word in words))
    assert code == 4
    assert said in err
