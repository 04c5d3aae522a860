"""The task that looks at what lies outside a pipeline, and what it tells Kubeflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.options import write_options
from components.source_content import describe_toolchain, pin_source
from components.source_probe.__main__ import main
from components.source_probe.probing import ProbedArtifact, ProbeKind, list_inputs, list_outputs, probe_node
from components.source_probe.staging import find_staged_path
from servable.convert import ConversionOptions
from servable.errors import CheckError, SourceError

CHECKPOINT = "tf1.15-lr-a"
CONVERSION, VALIDATION = ProbeKind.CONVERSION, ProbeKind.VALIDATION
OPTIONS = ConversionOptions()


def make_message(folder: Path, values: dict, artifacts: dict | None = None, *, typed: bool = False) -> str:
    if typed:
        inputs = {"parameters": {name: {"stringValue": value} for name, value in values.items()}}
    else:
        inputs = {"parameterValues": values}
    outputs = {"outputFile": str(folder / "task" / "output.json")}
    return json.dumps({"inputs": {**inputs, "artifacts": artifacts or {}}, "outputs": outputs})


@pytest.mark.parametrize(("typed", "key"), [(False, "parameterValues"), (True, "parameters")])
def test_a_source_is_pinned_and_told_in_the_words_of_either_schema(tmp_path, copy_case, capsys, typed, key):
    source = copy_case(CHECKPOINT)
    values = {"source": str(source), "options": write_options(OPTIONS), "signatures": "{}"}
    assert main(["conversion", "--executor_input", make_message(tmp_path, values, typed=typed)]) == 0
    pinned = pin_source(source, OPTIONS)
    expected = {
        "resolved_source": str(pinned.path),
        "source_digest": pinned.source_digest,
        "options_digest": "none",
        "toolchain": describe_toolchain(),
    }
    written = json.loads((tmp_path / "task" / "output.json").read_text())
    assert list(written) == [key]
    told = {name: one["stringValue"] if typed else one for name, one in written[key].items()}
    assert told == expected
    assert pinned.source_digest in capsys.readouterr().out


def test_nothing_complete_is_told_and_no_output_written(tmp_path, capsys):
    (tmp_path / "training").mkdir()
    message = make_message(tmp_path, {"source": str(tmp_path / "training"), "options": "{}"})
    assert main(["conversion", "--executor_input", message]) == 2
    assert str(tmp_path / "training") in capsys.readouterr().err
    assert not (tmp_path / "task").exists()


def test_a_step_that_is_half_written_is_not_taken(copy_case):
    source = copy_case(CHECKPOINT)
    properties = {"source": str(source), "options": write_options(OPTIONS)}
    before = probe_node(CONVERSION, properties, {})
    data = next(source.glob("*.data-*"))
    shutil.copyfile(data, source / "model.ckpt-999999.data-00000-of-00001")
    assert probe_node(CONVERSION, properties, {}) == before


def test_an_upstream_model_is_found_where_kubeflow_copied_it(tmp_path, copy_case, monkeypatch):
    source = copy_case(CHECKPOINT, "gcs/bucket/root/trainer/model")
    monkeypatch.setenv("SERVABLE_STAGING_ROOT", str(tmp_path))
    artifact = {"artifacts": [{"name": "7", "uri": "gs://bucket/root/trainer/model"}]}
    message = make_message(tmp_path, {"options": write_options(OPTIONS)}, {"source_model": artifact})
    assert main(["conversion", "--executor_input", message]) == 0
    written = json.loads((tmp_path / "task" / "output.json").read_text())["parameterValues"]
    assert written["source_digest"] == pin_source(source, OPTIONS).source_digest


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://b/x/y", "/gcs/b/x/y"),
        ("minio://b/x", "/minio/b/x"),
        ("s3://b/x", "/s3/b/x"),
        ("/mnt/x", "/mnt/x"),
    ],
)
def test_artifacts_lie_where_kubeflows_launcher_puts_them(uri, path):
    assert find_staged_path(uri) == path


def test_only_what_a_node_has_is_looked_at():
    assert list_outputs(VALIDATION, {"policy": "{}"}) == ("toolchain", "runtimes_here")
    given = {"policy": "{}", "examples_files": "*", "served_dir": "d"}
    assert list_outputs(VALIDATION, given) == (
        "toolchain",
        "runtimes_here",
        "examples_digest",
        "served_version",
        "served_digest",
    )
    assert list_outputs(ProbeKind.TOOLCHAIN, {}) == ("toolchain",)
    assert list_inputs(VALIDATION, {"policy": "{}"}) == ()
    assert list_inputs(VALIDATION, given) == ("model",)
    assert list_inputs(CONVERSION, {}) == ("source_model",)


def test_the_version_that_is_served_is_another_one_than_the_new_model(tmp_path):
    for version, content in (("3", b"old"), ("4", b"new")):
        (tmp_path / "served" / version).mkdir(parents=True)
        (tmp_path / "served" / version / "saved_model.pb").write_bytes(content)
    (tmp_path / "model" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "model" / "Format-Serving" / "saved_model.pb").write_bytes(b"new")
    properties = {"policy": "{}", "served_dir": str(tmp_path / "served")}
    found = probe_node(VALIDATION, properties, {"model": [ProbedArtifact(str(tmp_path / "model"), {})]})
    assert found["served_version"] == str(tmp_path / "served" / "3")
    written = {"saved_model_digest": "another"}
    other = probe_node(VALIDATION, properties, {"model": [ProbedArtifact("nowhere", written)]})
    assert other["served_version"] == str(tmp_path / "served" / "4")
    assert other["served_digest"] != found["served_digest"]


def test_example_files_count_with_their_contents(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"1")
    properties = {"policy": "{}", "examples_files": str(tmp_path / "*.tfrecord")}
    before = probe_node(VALIDATION, properties, {})["examples_digest"]
    assert probe_node(VALIDATION, properties, {})["examples_digest"] == before
    (tmp_path / "a.tfrecord").write_bytes(b"2")
    assert probe_node(VALIDATION, properties, {})["examples_digest"] != before
    (tmp_path / "b.tfrecord").mkdir()
    with pytest.raises(CheckError, match=r"b\.tfrecord"):
        probe_node(VALIDATION, properties, {})


def test_a_source_of_no_known_kind_is_an_error(tmp_path):
    with pytest.raises(SourceError):
        probe_node(CONVERSION, {"source": str(tmp_path), "options": "{}"}, {})


def test_neither_tensorflow_nor_tfx_is_imported(tmp_path, copy_case):
    source = copy_case(CHECKPOINT)
    message = make_message(tmp_path, {"source": str(source), "options": write_options(OPTIONS)})
    code = (
        "import sys; from components.source_probe.__main__ import main; "
        "assert main(sys.argv[1:]) == 0; print(sorted({'tensorflow', 'tfx', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "conversion", "--executor_input", message],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.tfx
def test_it_finds_what_the_drivers_of_other_runners_find(tmp_path, copy_case):
    from components.content_driver import ContentDriver
    from components.examples_driver import ExamplesDriver

    properties = {"source": str(copy_case(CHECKPOINT)), "options": write_options(OPTIONS)}
    assert probe_node(CONVERSION, properties, {}) == ContentDriver(None).resolve_external(properties, {})
    (tmp_path / "a.tfrecord").write_bytes(b"1")
    (tmp_path / "served" / "3").mkdir(parents=True)
    (tmp_path / "served" / "3" / "saved_model.pb").write_bytes(b"old")
    properties = {
        "policy": "{}",
        "examples_files": str(tmp_path / "*.tfrecord"),
        "served_dir": str(tmp_path / "served"),
    }

    class Model:
        uri = str(tmp_path)

        def has_custom_property(self, key: str) -> bool:
            return key == "saved_model_digest"

        def get_string_custom_property(self, key: str) -> str:
            return "digest of the new one"

    probed = ProbedArtifact(str(tmp_path), {"saved_model_digest": "digest of the new one"})
    found = probe_node(VALIDATION, properties, {"model": [probed]})
    assert found == ExamplesDriver(None).resolve_external(properties, {"model": [Model()]})
