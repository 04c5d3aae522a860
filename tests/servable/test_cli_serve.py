"""`servable serve` as a process: it says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from servable.cli import main


@pytest.fixture
def start(zoo):
    processes = []

    def run(*words):
        source = zoo("tf1.12-sm_simple-a").source
        command = [sys.executable, "-W", "error", "-m", "servable.cli", "serve", str(source)]
        process = subprocess.Popen(
            [*command, "--port=0", "--grpc-port=0", "--name=digits", "--processes=1", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_is_and_ends_cleanly(start, number):
    process = start("--json")
    facts = json.loads(process.stdout.readline())
    assert facts["name"] == "digits"
    assert facts["rest"].startswith("http://127.0.0.1:")
    with urllib.request.urlopen(facts["rest"], timeout=60) as answer:
        assert json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE"
    with urllib.request.urlopen(facts["eas"], timeout=60) as answer:
        assert json.load(answer)["signature_name"] == "serving_default"
    os.kill(process.pid, number)
    rest, told = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    assert "not for production" in told.splitlines()[0]
    assert told.splitlines()[-1] == "digits: version 1 has ended"
    assert "warning" not in told


def test_other_hosts_only_with_a_warning(start):
    process = start("--host", "0.0.0.0")
    lines = []
    while (line := process.stdout.readline()) and line != "ready\n":
        lines.append(line)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0
    assert any(line.startswith("warning: whoever reaches 0.0.0.0 can ask this model") for line in lines)
    assert any(line.startswith("gRPC  0.0.0.0:") for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 3, "There is no such folder"),
        (["gs://bucket/digits"], 4, "folders of this machine only"),
        ([".", "--name", "a/b"], 4, "without / and :"),
        ([".", "--port", "70000"], 4, "--port is out of its range"),
        ([".", "--processes", "0"], 4, "--processes is out of its range"),
        ([".", "--runtime", "9.9"], 2, "servable runtimes add 9.9"),
        ([".", "--runtime", "new"], 4, "This is no version of a runtime"),
    ],
)
def test_wrong_words(words, code, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["serve", *words]) == code
    assert said in capsys.readouterr().err
