"""Packs: what is in them, what is refused, and that nothing is left of what failed."""

from __future__ import annotations

import json
import shlex
import shutil
import tarfile

import numpy as np
import pytest

from servable.baseline import Baseline, Sample
from servable.deploy import packing
from servable.deploy.options import PackOptions
from servable.deploy.packing import pack_servable
from servable.deploy.platforms import Platform
from servable.deploy.verifying import verify_pack
from servable.errors import DeployError, ExportError, NotApprovedError, SettingsError
from servable.formats.digest import digest_tree
from servable.formats.eas_messages import PredictRequest, decode_arrays
from servable.formats.serving_protos import PredictionLog
from servable.formats.tfrecords import read_record_file
from servable.report import Finding, Report, Severity

CHECKED = {"saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"}


def pack(model, out, report, *platforms, **changes):
    return pack_servable(
        model, out, report=report, platforms=platforms or (Platform.VERTEX,), name="digits", **changes
    )


def list_files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_pack_for_every_platform(model, report, baseline, tmp_path):
    before = digest_tree(model)
    made = pack(model, tmp_path / "pack", report, *Platform, version=7, baseline=baseline, mlmd_uuid="42 m")
    folder = "models/digits/7"
    extra = {"assets.extra/tf_serving_warmup_requests", "assets.extra/mlmd_uuid"}
    assert list_files(made.pack_dir) == {
        *(f"{folder}/{name}" for name in CHECKED | extra),
        *(f"eas/{name}" for name in ("model.tar.gz", "service.json", "service.modify.json", "warm_up.bin")),
        *("tf-serving/models.config", "tf-serving/batching_parameters.txt", "kserve/inference_service.yaml"),
        *("vertex/upload.json", "sagemaker/model.tar.gz", "sagemaker/model.json"),
        *("report.json", "bom.cdx.json", "manifest.json"),
    }
    assert digest_tree(model) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "pack"]
    for name in CHECKED:
        assert (made.pack_dir / folder / name).read_bytes() == (model / name).read_bytes()
    assert Report.from_json((made.pack_dir / "report.json").read_text()) == report

    # EAS is given what was checked, TensorFlow Serving's archive what was added as well.
    with tarfile.open(made.pack_dir / "eas" / "model.tar.gz") as tar:
        assert {entry.name for entry in tar if entry.isfile()} == {f"digits/{name}" for name in CHECKED}
    with tarfile.open(made.pack_dir / "sagemaker" / "model.tar.gz") as tar:
        names = {entry.name for entry in tar if entry.isfile()}
        assert names == {f"digits/7/{name}" for name in CHECKED | extra}

    # The warm-up requests are the baseline's own rows.
    rows = baseline.samples["serving_default"].inputs["x"]
    request = PredictRequest.FromString((made.pack_dir / "eas" / "warm_up.bin").read_bytes())
    assert (request.signature_name, list(request.output_filter)) == ("serving_default", [])
    np.testing.assert_array_equal(decode_arrays(request.inputs)["x"], rows[:1])
    records = [
        PredictionLog.FromString(record).predict_log.request
        for record in read_record_file(made.pack_dir / folder / "assets.extra" / "tf_serving_warmup_requests")
    ]
    assert [record.inputs["x"].tensor_shape.dim[0].size for record in records] == [1, len(rows)]

    manifest = json.loads((made.pack_dir / "manifest.json").read_text())
    assert set(manifest["files"]) == set(made.files) == list_files(made.pack_dir) - {"manifest.json"}
    assert manifest["root_digest"] == made.root_digest
    assert manifest["model"]["sha256"] == report.facts["files"]["sha256"]
    assert verify_pack(made.pack_dir).passed
    said = "\n".join(made.notes)
    for part in ("oss://BUCKET", "gs://BUCKET", "s3://BUCKET", "hold rows of the baseline", "nobody has run"):
        assert part in said
    steps = {
        platform: [shlex.split(line, comments=True) for line in made.next_steps[platform]]
        for platform in Platform
    }
    assert steps[Platform.EAS][:2] == [
        ["ossutil", "cp", "-r", str(made.pack_dir / "eas"), "oss://BUCKET/PATH/digits/7/"],
        ["eascmd", "create", str(made.pack_dir / "eas" / "service.json")],
    ]
    assert f"{made.pack_dir / 'models'}:/models:ro" in steps[Platform.TF_SERVING][0]
    assert "tensorflow/serving:1.15.0" in steps[Platform.TF_SERVING][0]
    for platform in (Platform.VERTEX, Platform.SAGEMAKER):
        compile(steps[platform][-1][-1], platform, "exec")


def test_the_same_model_gives_the_same_pack(model, report, baseline, tmp_path):
    platforms = (Platform.EAS, Platform.SAGEMAKER)
    first = pack(model, tmp_path / "a", report, *platforms, baseline=baseline)
    second = pack(model, tmp_path / "b", report, *platforms, baseline=baseline)
    assert first.root_digest == second.root_digest


def test_eas_alone_needs_no_folder_of_the_model(model, report, tmp_path):
    options = PackOptions.from_dict({"eas": {"archive": "zip", "uri": "oss://b"}})
    made = pack(model, tmp_path / "pack", report, Platform.EAS, options=options)
    assert set(made.files) == {
        *("eas/model.zip", "eas/service.json", "eas/service.modify.json", "report.json", "bom.cdx.json")
    }
    assert any("no warm_up.bin" in note for note in made.notes)


def test_what_production_asks_for_is_what_warms_up(model, report, baseline, tmp_path):
    options = PackOptions.from_dict({"eas": {"output_filter": ["y"]}})
    made = pack(model, tmp_path / "pack", report, Platform.EAS, options=options, baseline=baseline)
    request = PredictRequest.FromString((made.pack_dir / "eas" / "warm_up.bin").read_bytes())
    assert list(request.output_filter) == ["y"]
    for wrong, said in (({"output_filter": ["z"]}, "expected: y"), ({"signature": "s"}, "serving_default")):
        options = PackOptions.from_dict({"eas": wrong})
        with pytest.raises(DeployError, match=said):
            pack(model, tmp_path / "other", report, Platform.EAS, options=options, baseline=baseline)
    assert not (tmp_path / "other").exists()


def change_byte(folder):
    path = folder / "variables" / "variables.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_byte, "variables/variables.data-00000-of-00001 (changed)"),
        (lambda folder: (folder / "variables" / "variables.index").unlink(), "variables.index (missing)"),
        (lambda folder: (folder / "assets").write_bytes(b"x"), "assets (not there before)"),
    ],
)
def test_a_byte_changed_after_the_check_is_an_error(change, said, model, report, tmp_path):
    change(model)
    with pytest.raises(DeployError) as caught:
        pack(model, tmp_path / "pack", report)
    assert said in caught.value.received
    assert not isinstance(caught.value, NotApprovedError)
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"findings": (Finding("fidelity", Severity.ERROR, "answers differ"),)}, "fidelity: answers differ"),
        ({"checked": ()}, "Nothing was checked"),
        ({"checked": ("layout",)}, "without check serving_load"),
        ({"facts": {}}, "which files were checked"),
        ({"facts": {"files": {"digest": "0", "sha256": {"a": "1"}}}}, "contradict each other"),
    ],
)
def test_only_what_was_found_fit_is_packed(changes, said, model, make_report, tmp_path):
    with pytest.raises(NotApprovedError, match=said):
        pack(model, tmp_path / "pack", make_report(model, **changes))
    assert not (tmp_path / "pack").exists()


def test_a_platform_that_does_not_run_it_is_told_with_the_node(zoo, make_report, tmp_path):
    model = zoo("tf2.16-sm_keras_export-a").source
    options = PackOptions.from_dict({"kserve": {"runtime_version": "2.6.2"}})
    with pytest.raises(NotApprovedError) as caught:
        pack(model, tmp_path / "p", make_report(model, target="current"), Platform.KSERVE, options=options)
    assert "KServe with TensorFlow Serving 2.6.2" in caught.value.problem
    assert "DisableCopyOnRead" in caught.value.received


@pytest.mark.parametrize(("name", "version"), [("2digits", 1), ("a/b", 1), ("", 1), ("digits", 0)])
def test_names_and_versions_have_to_be_possible(name, version, model, report, tmp_path):
    with pytest.raises(SettingsError):
        pack_servable(
            model, tmp_path / "p", report=report, platforms=[Platform.VERTEX], name=name, version=version
        )


def test_a_baseline_that_fails_leaves_nothing(model, report, tmp_path):
    wrong = Baseline({"serving_default": Sample({"x": np.zeros((2, 5), np.float32)}, {})})
    for platform in (Platform.EAS, Platform.TF_SERVING):
        with pytest.raises(DeployError, match="does not answer the warm-up request"):
            pack(model, tmp_path / "pack", report, platform, baseline=wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_warm_up_requests_that_were_checked_are_kept(model, make_report, baseline, tmp_path):
    path = model / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    path.write_bytes(b"checked")
    made = pack(model, tmp_path / "pack", make_report(model), Platform.TF_SERVING, baseline=baseline)
    assert (made.pack_dir / "models" / "digits" / "1" / path.relative_to(model)).read_bytes() == b"checked"
    assert any("was kept" in note for note in made.notes)


def test_a_killed_run_leaves_nothing_and_nothing_is_overwritten(model, report, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_bytes(b"m")
    with pytest.raises(ExportError, match="not empty"):
        pack(model, tmp_path / "full", report)
    monkeypatch.setattr(packing, "write_manifest", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pack(model, tmp_path / "pack", report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "full"]


@pytest.fixture
def packed(model, report, tmp_path):
    return pack(model, tmp_path / "pack", report, Platform.VERTEX, Platform.KSERVE).pack_dir


@pytest.mark.parametrize(
    ("tamper", "where"),
    [
        (lambda folder: change_byte(folder / "models" / "digits" / "1"), "variables.data-00000-of-00001"),
        (lambda folder: (folder / "bom.cdx.json").unlink(), "bom.cdx.json"),
        (lambda folder: (folder / "kserve" / "more.yaml").write_text("a: 1"), "kserve/more.yaml"),
        (lambda folder: (folder / "link").symlink_to("/etc/hostname"), "link"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                (folder / "manifest.json").read_text().replace('"root_digest": "', '"root_digest": "0')
            ),
            "manifest.json",
        ),
    ],
)
def test_a_tampered_pack_is_refused_naming_the_file(tamper, where, packed):
    assert verify_pack(packed).passed
    tamper(packed)
    report = verify_pack(packed)
    assert not report.passed
    (finding,) = report.errors
    assert finding.where.endswith(where)


def test_a_folder_without_a_manifest_is_no_pack(packed):
    shutil.copy(packed / "vertex" / "upload.json", packed / "manifest.json")
    with pytest.raises(DeployError, match="no pack"):
        verify_pack(packed)
    (packed / "manifest.json").unlink()
    with pytest.raises(DeployError, match="no pack"):
        verify_pack(packed)


def test_the_bill_of_materials_is_cyclonedx(packed, report):
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    text = (packed / "bom.cdx.json").read_text()
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"modelCard"', '"modelCart"')) is not None
    model = json.loads(text)["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "digits", "1")
    found = {file["name"]: file["hashes"][0]["content"] for file in model["components"]}
    assert found == report.facts["files"]["sha256"]
    assert model["modelCard"]["modelParameters"]["inputs"] == [
        {"format": "serving_default/x: float32 [?, 784]"}
    ]
