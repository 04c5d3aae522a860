"""What `servable request` writes, run as it stands against what `servable serve` serves."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from servable.baseline import Baseline, Sample, save_baseline
from servable.cli import main
from servable.formats.eas_messages import PredictResponse, decode_arrays


@pytest.fixture(scope="module")
def served(serve, simple):
    with serve(simple.source.parent) as running:
        yield running


@pytest.fixture(scope="module")
def baseline(golden, tmp_path_factory):
    path = tmp_path_factory.mktemp("baseline") / "baseline.npz"
    save_baseline(Baseline({"serving_default": Sample({"x": golden[0]}, {"y": golden[1]})}), path)
    return path


@pytest.fixture
def write(simple, baseline, capsys):
    def run(platform, url, *words):
        command = ["request", str(simple.source), "--platform", platform, "--url", url, "--name", "m"]
        assert main([*command, "--baseline", str(baseline), "--rows", "3", *words]) == 0
        return capsys.readouterr().out

    return run


def run_shell(script, folder):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, cwd=folder, timeout=60)
    return done.stdout


@pytest.mark.parametrize("platform", ["tf-serving-rest", "kserve"])
@pytest.mark.parametrize("words", [[], ["--out", "body.json"]])
def test_curl(served, write, golden, check_close, tmp_path, monkeypatch, platform, words):
    monkeypatch.chdir(tmp_path)
    script = write(platform, f"http://127.0.0.1:{served.server.port}", *words)
    check_close(json.loads(run_shell(script, tmp_path))["predictions"], golden[1])
    if words:
        body = json.loads((tmp_path / "body.json").read_bytes())
        np.testing.assert_array_equal(np.array(body["instances"], np.float32), golden[0])


def test_eas_in_a_file(served, write, golden, check_close, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EAS_TOKEN", "secret")
    url = f"http://127.0.0.1:{served.server.port}/api/predict/m"
    run_shell(write("eas", url, "--out", "request.bin"), tmp_path)
    answer = PredictResponse.FromString((tmp_path / "answer.bin").read_bytes())
    check_close(decode_arrays(answer.outputs)["y"], golden[1])


def test_eas_as_a_program(served, write, golden, tmp_path):
    program = write("eas", f"http://127.0.0.1:{served.server.port}/api/predict/m")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout.startswith("y [[")
    assert f"{golden[1][0, 0]:.5f}"[:6] in done.stdout


@pytest.mark.tensorflow
@pytest.mark.parametrize("words", [[], ["--out", "request.bin"]])
def test_grpc(served, write, golden, check_close, tmp_path, monkeypatch, words):
    import tensorflow as tf

    monkeypatch.chdir(tmp_path)
    program = write("tf-serving-grpc", f"127.0.0.1:{served.server.grpc_port}", *words)
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "client", "exec"), names)  # importing TensorFlow once is enough
    check_close(tf.make_ndarray(names["response"].outputs["y"]), golden[1])
    assert printed.getvalue().startswith("y [[")


def test_as_json_and_what_cannot_be(simple, baseline, texts_dir, capsys):
    command = ["request", str(simple.source.parent), "--platform", "eas", "--json"]
    assert main([*command, "--baseline", str(baseline)]) == 0
    (example,) = json.loads(capsys.readouterr().out)
    assert (example["signature"], example["language"]) == ("serving_default", "python")
    assert base64.b64decode(example["body_base64"])
    command = ["request", str(texts_dir), "--platform", "tf-serving-rest"]
    assert main(command) == 1  # one of its signatures has an output of halves
    printed = capsys.readouterr().out
    assert "# REST has no form for the type of output half (float16)" in printed
    assert "The values are made up." in printed
    assert main([*command, "--out", "body.json"]) == 4
    assert "--signature NAME beside --out" in capsys.readouterr().err
    assert main([*command, "--signature", "none"]) == 2
    assert "half, joined, lengths, raw, serving_default" in capsys.readouterr().err
    assert main(["request", str(texts_dir.parent / "nothing"), "--platform", "eas"]) == 3
