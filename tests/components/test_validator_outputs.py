"""SavedModelValidator under TFX's own runner: the InfraBlessing that a stock Pusher takes, and going red."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.infra_blessing import INFRA_BLESSED_FILE, INFRA_NOT_BLESSED_FILE, STAMPED_MODEL_DIR
from components.rejection import ModelRejectedError
from servable.errors import SettingsError

pytestmark = pytest.mark.tfx

CHECKPOINT = "tf1.15-lr-a"


@pytest.fixture
def run_pipeline(tmp_path):
    def run(*nodes) -> None:
        from tfx.orchestration import metadata, pipeline
        from tfx.orchestration.local.local_dag_runner import LocalDagRunner

        config = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
        LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="p",
                pipeline_root=str(tmp_path / "root"),
                components=list(nodes),
                metadata_connection_config=config,
            )
        )

    return run


def make_pusher(tmp_path, **channels):
    from tfx.components.pusher.component import Pusher
    from tfx.proto import pusher_pb2

    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "pushed"))
    return Pusher(push_destination=pusher_pb2.PushDestination(filesystem=filesystem), **channels)


def make_converter(source: Path, signatures):
    from components.checkpoint_importer import CheckpointImporter

    return CheckpointImporter(source=str(source), signatures=signatures)


def test_names_are_those_of_tfx():
    from tfx.components.infra_validator import executor
    from tfx.utils import path_utils

    assert executor._BLESSED_FILENAME == INFRA_BLESSED_FILE
    assert executor._NOT_BLESSED_FILENAME == INFRA_NOT_BLESSED_FILE
    assert path_utils.stamped_model_path("u") == f"u/{STAMPED_MODEL_DIR}"


def test_warm_up_needs_a_baseline():
    from tfx.types import Channel, standard_artifacts

    from components.saved_model_validator import SavedModelValidator

    model = Channel(type=standard_artifacts.Model)
    with pytest.raises(SettingsError, match="made from a baseline"):
        SavedModelValidator(model=model, make_warmup=True)
    assert SavedModelValidator(model=model).exec_properties["raise_on_rejection"] == 0


def test_stock_pusher_pushes_the_copy_with_warm_up_requests(copy_case, tmp_path, run_pipeline):
    from components.saved_model_validator import SavedModelValidator
    from servable.formats.tfrecords import read_record_file

    signatures = {"predict": {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}}}
    converter = make_converter(copy_case(CHECKPOINT), signatures)
    validator = SavedModelValidator(
        model=converter.outputs["model"], baseline=converter.outputs["baseline"], make_warmup=True
    )
    pusher = make_pusher(
        tmp_path,
        model_blessing=validator.outputs["blessing"],
        infra_blessing=validator.outputs["infra_blessing"],
    )
    run_pipeline(converter, validator, pusher)
    (version,) = (tmp_path / "pushed").iterdir()
    assert (version / "saved_model.pb").is_file()
    records = list(read_record_file(version / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(records) >= 2
    (report,) = (tmp_path / "root").glob("*/report/*/report.json")
    facts = json.loads(report.read_text())["facts"]
    assert facts["lineage"]["source_format"] == "tf1-saver"
    assert facts["compatibility"]
    assert "<h2>Lineage</h2>" in report.with_suffix(".html").read_text(encoding="utf-8")


def test_pipeline_goes_red_and_the_report_stays(copy_case, tmp_path, run_pipeline):
    from tfx.dsl.components.common.importer import Importer
    from tfx.types import standard_artifacts

    from components.saved_model_validator import SavedModelValidator

    copy_case("bad-sm_readfile-a", "model/all")
    found = next((tmp_path / "model" / "all").rglob("saved_model.pb")).parent
    shutil.move(found, tmp_path / "model" / "Format-Serving")
    importer = Importer(source_uri=str(tmp_path / "model"), artifact_type=standard_artifacts.Model)
    validator = SavedModelValidator(model=importer.outputs["result"], raise_on_rejection=True)
    with pytest.raises(ModelRejectedError, match="ReadFile") as caught:
        run_pipeline(importer.with_id("import_model"), validator)
    kept = caught.value.report_dir
    assert kept.is_relative_to(tmp_path / "root")
    assert json.loads((kept / "report.json").read_text())["passed"] is False
    assert "Not fit to serve" in (kept / "report.html").read_text(encoding="utf-8")
    # TFX itself left nothing of the node's outputs.
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
