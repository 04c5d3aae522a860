"""ServingPackager: what it makes of a blessed model, and what of one that is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from servable.deploy.verifying import verify_pack
from servable.errors import DeployError, SettingsError

pytestmark = pytest.mark.tfx

CASE = Path(__file__).parents[1] / "data" / "zoo" / "tf1.15-sm_simple-a"


@pytest.fixture
def channels():
    from tfx.types import Channel, standard_artifacts

    return {
        "model": Channel(type=standard_artifacts.Model),
        "blessing": Channel(type=standard_artifacts.ModelBlessing),
    }


@pytest.fixture
def artifacts(zoo, tmp_path):
    """What the nodes before it would hand in: a checked model, its blessing, report and baseline."""
    from tfx.types import standard_artifacts

    from components.artifacts import BASELINE_FILE
    from components.saved_model_validator.executor import REPORT_FILE
    from servable.baseline import Baseline, Sample, save_baseline
    from servable.checks.policy import CheckPolicy
    from servable.checks.suite import check_servable

    made = {
        "model": standard_artifacts.Model(),
        "blessing": standard_artifacts.ModelBlessing(),
        "report": standard_artifacts.ModelEvaluation(),
        "baseline": standard_artifacts.InferenceResult(),
    }
    for key, artifact in made.items():
        artifact.uri = str(tmp_path / "root" / key)
        artifact.id = 7
        Path(artifact.uri).mkdir(parents=True)
    case = zoo(CASE.name)
    saved_model = Path(made["model"].uri) / "Format-Serving"
    shutil.copytree(case.source, saved_model)
    baseline = Baseline({"serving_default": Sample(case.read_arrays("inputs"), case.read_arrays("outputs"))})
    save_baseline(baseline, Path(made["baseline"].uri) / BASELINE_FILE)
    report = check_servable(
        saved_model, baseline=baseline, policy=CheckPolicy(target="pai-eas/tensorflow_cpu_1.15")
    )
    (Path(made["report"].uri) / REPORT_FILE).write_text(report.to_json())
    made["blessing"].set_int_custom_property("blessed", 1)
    return {key: [artifact] for key, artifact in made.items()}


@pytest.fixture
def pack(channels, artifacts, tmp_path):
    """Runs the executor as a runner does, with the properties that the component writes."""

    def run(inputs=None, **arguments):
        from tfx.types import standard_artifacts

        from components.serving_packager import ServingPackager
        from components.serving_packager.executor import Executor

        given = {"model_name": "digits", "platforms": ["eas", "tf-serving"], "model_version": 5} | arguments
        packager = ServingPackager(**channels, **given)
        output = standard_artifacts.PushedModel()
        output.uri = str(tmp_path / "root" / "pack")
        Executor().Do(
            artifacts if inputs is None else inputs, {"pack": [output]}, dict(packager.exec_properties)
        )
        return output

    return run


def test_a_blessed_model_is_packed(pack, tmp_path):
    output = pack(destination=tmp_path / "packs")
    assert output.get_int_custom_property("packed") == 1
    assert output.get_string_custom_property("model_version") == "5"
    folder = Path(output.uri) / "pack"
    assert verify_pack(folder).passed
    manifest = json.loads((folder / "manifest.json").read_text())
    assert output.get_string_custom_property("root_digest") == manifest["root_digest"]
    lineage = (folder / "models" / "digits" / "5" / "assets.extra" / "mlmd_uuid").read_text()
    assert lineage == f"7 {tmp_path / 'root' / 'model'}"
    assert (folder / "eas" / "warm_up.bin").exists()
    copy = Path(output.get_string_custom_property("destination"))
    assert copy == tmp_path / "packs" / "digits" / "5"
    assert verify_pack(copy).passed


def test_a_model_that_is_not_blessed_is_passed_over(pack, artifacts):
    artifacts["blessing"][0].set_int_custom_property("blessed", 0)
    output = pack()
    assert output.get_int_custom_property("packed") == 0
    assert "Only a blessed model is packed" in output.get_string_custom_property("reason")
    assert list(Path(output.uri).iterdir()) == []


def test_a_platform_that_does_not_run_it_is_a_refusal(pack, artifacts, zoo):
    model = Path(artifacts["model"][0].uri) / "Format-Serving"
    shutil.rmtree(model)
    shutil.copytree(zoo("tf2.16-sm_keras_export-a").source, model)
    inputs = {key: artifacts[key] for key in ("model", "blessing")}
    # Without a report the checks are made again.
    output = pack(inputs, platforms=["kserve"], options={"kserve": {"runtime_version": "2.6.2"}})
    assert output.get_int_custom_property("packed") == 0
    assert "KServe with TensorFlow Serving 2.6.2" in output.get_string_custom_property("reason")


def test_a_file_that_is_not_the_one_checked_fails_the_node(pack, artifacts, tmp_path):
    index = Path(artifacts["model"][0].uri) / "Format-Serving" / "variables" / "variables.index"
    index.write_bytes(index.read_bytes() + b"x")
    with pytest.raises(DeployError, match=r"variables/variables\.index"):
        pack()
    assert list((tmp_path / "root" / "pack").iterdir()) == []


def test_properties_are_plain_and_faults_are_told_when_it_is_built(channels):
    from components.serving_packager import ServingPackager

    packager = ServingPackager(**channels, model_name="digits", platforms=["vertex"])
    assert all(isinstance(value, str | int | None) for value in packager.exec_properties.values())
    for wrong in ({"platforms": ["heroku"]}, {"options": {"eas": {"cpu": "4"}}}, {"policy": {"bogus": 1}}):
        with pytest.raises(SettingsError):
            ServingPackager(**channels, **{"model_name": "digits", "platforms": ["eas"]} | wrong)


def test_it_runs_after_the_other_nodes_and_is_cached(tmp_path):
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from components.checkpoint_importer import CheckpointImporter
    from components.saved_model_validator import SavedModelValidator
    from components.serving_packager import ServingPackager
    from pipelines.metadata.records import read_executions

    def make_nodes():
        converter = CheckpointImporter(
            source=str(CASE.parent / "tf1.15-lr-a" / "artifact"),
            signatures={"predict_images": {"inputs": {"images": "x:0"}, "outputs": {"scores": "y:0"}}},
        )
        validator = SavedModelValidator(
            model=converter.outputs["model"], baseline=converter.outputs["baseline"]
        )
        packager = ServingPackager(
            model=converter.outputs["model"],
            blessing=validator.outputs["blessing"],
            report=validator.outputs["report"],
            baseline=converter.outputs["baseline"],
            model_name="digits",
            platforms=["tf-serving", "vertex"],
            destination=tmp_path / "packs",
        )
        return [converter, validator, packager]

    for _ in range(2):
        LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="p",
                pipeline_root=str(tmp_path / "root"),
                components=make_nodes(),
                enable_cache=True,
                metadata_connection_config=metadata.sqlite_metadata_connection_config(
                    str(tmp_path / "metadata.sqlite")
                ),
            )
        )
    states = [(e.node_id, e.state) for e in read_executions(tmp_path / "metadata.sqlite", "p")]
    assert [state for node, state in states if node == "ServingPackager"] == ["complete", "cached"]
    (made,) = (tmp_path / "packs" / "digits").iterdir()
    assert verify_pack(made).passed
    assert (made / "tf-serving" / "models.config").exists()
