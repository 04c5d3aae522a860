"""SavedModelValidator on examples: artifacts and files, in Beam pipelines of one process, from end to end."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from servable.errors import CheckError, SettingsError
from servable.formats.protos import Example
from servable.formats.tfrecords import mask_checksum

pytestmark = pytest.mark.tfx

CASE = "tf1.15-sm_predict_images-a"  # images: float32 [?, 784] to scores: float32 [?, 10]
ZOO = Path(__file__).resolve().parents[1] / "data" / "zoo"
SECTION = {"label": "digit", "task": "classification", "source_outputs": {"scores": "trained"}}


@pytest.fixture(scope="module")
def golden() -> tuple[np.ndarray, np.ndarray]:
    """Images, and the scores that TensorFlow 1.15 gave them when the case was recorded."""
    with np.load(ZOO / CASE / "golden.npz") as arrays:
        return arrays["in_0"], arrays["out_0"]


@pytest.fixture(scope="module")
def tfx() -> SimpleNamespace:
    from tfx.dsl.components.base import base_beam_executor
    from tfx.dsl.components.common import importer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.types import Channel, standard_artifacts

    return SimpleNamespace(
        Channel=Channel,
        Context=base_beam_executor.BaseBeamExecutor.Context,
        Importer=importer.Importer,
        LocalDagRunner=LocalDagRunner,
        metadata=metadata,
        pipeline=pipeline,
        standard_artifacts=standard_artifacts,
    )


@pytest.fixture
def model_dir(copy_case, tmp_path) -> Path:
    copy_case(CASE, "recorded")
    found = next((tmp_path / "recorded").rglob("saved_model.pb")).parent
    shutil.move(found, tmp_path / "model" / "Format-Serving")
    return tmp_path / "model"


@pytest.fixture
def make_rows(golden):
    """Rows in turns of the recorded ones; the label is the class of the recorded scores, plus `wrong`."""

    def make(count, *, wrong=lambda i: 0, without=lambda i: False) -> list[bytes]:
        rows = []
        for i in range(count):
            image, scores = golden[0][i % len(golden[0])], golden[1][i % len(golden[0])]
            example = Example()
            feature = example.features.feature
            feature["images"].float_list.value.extend(image.tolist())
            feature["trained"].float_list.value.extend(scores.tolist())
            if not without(i):
                feature["digit"].int64_list.value.append((int(np.argmax(scores)) + wrong(i)) % 10)
            rows.append(example.SerializeToString())
        return rows

    return make


def write_rows(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = []
    for row in rows:
        head = struct.pack("<Q", len(row))
        frames.append(head + struct.pack("<I", mask_checksum(head)) + row)
        frames.append(struct.pack("<I", mask_checksum(row)))
    path.write_bytes(gzip.compress(b"".join(frames), mtime=0))


@pytest.fixture
def make_examples(tfx, tmp_path):
    def make(*shards, payload="FORMAT_TF_EXAMPLE"):
        examples = tfx.standard_artifacts.Examples()
        examples.uri = str(tmp_path / "examples")
        examples.split_names = '["train", "eval"]'
        examples.set_string_custom_property("payload_format", payload)
        for number, rows in enumerate(shards):
            write_rows(tmp_path / "examples" / "Split-eval" / f"data-{number}.gz", rows)
        return examples

    return make


@pytest.fixture
def check(tfx, model_dir, tmp_path):
    """Runs the executor; gives the report and the blessing."""

    def run(*examples, section=SECTION, args=(), files=None):
        from components.saved_model_validator.executor import Executor

        model = tfx.standard_artifacts.Model()
        model.uri, model.id = str(model_dir), 42
        outputs = {
            "blessing": [tfx.standard_artifacts.ModelBlessing()],
            "report": [tfx.standard_artifacts.ModelEvaluation()],
        }
        for key, (artifact,) in outputs.items():
            artifact.uri = str(tmp_path / key)
        # What the other checks find has tests of its own.
        policy = {"metrics": section, "switched_off": ["batch", "cost", "inference_mode", "robustness"]}
        properties = {"policy": json.dumps(policy), "examples_files": files}
        context = tfx.Context(beam_pipeline_args=list(args), tmp_dir=str(tmp_path), unique_id="1")
        inputs = {"model": [model], "examples": list(examples)}
        assert Executor(context).Do(inputs, outputs, properties) is None
        assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.json", "report.html"}
        report = json.loads((tmp_path / "report" / "report.json").read_text())
        return report, outputs["blessing"][0].get_int_custom_property("blessed")

    return run


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--runner=DirectRunner",),
        ("--direct_num_workers=2", "--direct_running_mode=multi_threading"),
    ],
)
def test_artifact_is_measured_and_compared(check, make_examples, make_rows, args):
    rows = make_rows(230, wrong=lambda i: i % 10 == 0)
    report, blessed = check(
        make_examples(rows[:100], rows[100:]), args=args, section={**SECTION, "batch_rows": 30}
    )
    facts = report["facts"]["metrics"]
    assert blessed == 1, report["findings"]
    assert facts["candidate"] == facts["source"] == {"accuracy": 0.9}
    assert (facts["rows"], facts["unusable_rows"]) == (230, 0)
    assert facts["differences"]["scores"]["rows"] == 230
    assert facts["differences"]["scores"]["differing_rows"] == 0
    assert facts["differences"]["scores"]["worst"] <= 1e-4
    assert facts["times"]["candidate"]["requests"] == 4 + 5


def test_two_processes_count_the_same(check, make_examples, make_rows):
    args = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    rows = make_rows(200, wrong=lambda i: i % 4 == 0)
    report, blessed = check(make_examples(rows[:100], rows[100:]), args=args)
    assert blessed == 1, report["findings"]
    assert report["facts"]["metrics"]["candidate"] == {"accuracy": 0.75}


def test_a_portable_job_server_takes_the_pipeline(check, make_examples, make_rows, tmp_path):
    from apache_beam.runners.portability.local_job_service import LocalJobServicer

    # As Flink's, Spark's and others: jobs go over the wire, workers call back to this process.
    servicer = LocalJobServicer(str(tmp_path / "staged"))
    port = servicer.start_grpc_server(0)
    try:
        args = ("--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK")
        rows = make_rows(120, wrong=lambda i: i % 5 == 0)
        report, blessed = check(make_examples(rows[:50], rows[50:]), args=args)
    finally:
        servicer.stop()
    assert blessed == 1, report["findings"]
    assert report["facts"]["metrics"]["candidate"] == {"accuracy": 0.8}


def test_budget_keeps_a_model_from_being_blessed(check, make_examples, make_rows):
    rows = make_rows(50, wrong=lambda i: i % 10 == 0)
    report, blessed = check(make_examples(rows), section={**SECTION, "budget": {"accuracy": 0.95}})
    assert blessed == 0
    (finding,) = [item for item in report["findings"] if item["severity"] == "error"]
    assert (finding["check"], finding["message"]) == (
        "metrics",
        "accuracy is 0.9 over 50 rows, expected at least 0.95",
    )


def test_failing_rows_come_back_as_a_few_samples(check, make_rows, tmp_path):
    write_rows(tmp_path / "held_out-0.gz", make_rows(90, without=lambda i: i % 2 == 1))
    write_rows(tmp_path / "held_out-1.gz", [b"\xff\xff"])
    report, blessed = check(files=str(tmp_path / "held_out-*.gz"))
    assert blessed == 0
    unusable = report["facts"]["metrics"]["unusable"]
    assert unusable["label digit is missing"]["rows"] == 45
    assert unusable["label digit is missing"]["samples"] == [f"held_out-0.gz#{i}" for i in range(1, 40, 2)]
    assert unusable["this is no tf.Example"] == {"rows": 1, "samples": ["held_out-1.gz#0"]}
    assert report["facts"]["metrics"]["candidate"] == {"accuracy": 1.0}


def test_parquet_is_read_by_tfx_bsl(check, make_examples, golden, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    images, scores = (np.concatenate([side] * 4) for side in golden)
    labels = np.argmax(scores, axis=1)
    labels[0] = (labels[0] + 1) % 10
    columns = {"images": images.tolist(), "trained": scores.tolist(), "digit": labels.tolist()}
    types = {"images": pa.list_(pa.float32()), "trained": pa.list_(pa.float32()), "digit": pa.int64()}
    table = pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})
    examples = make_examples(payload="FORMAT_PARQUET")
    examples.set_string_custom_property("file_format", "FILE_FORMAT_PARQUET")
    (tmp_path / "examples" / "Split-eval").mkdir(parents=True)
    pa.parquet.write_table(table, tmp_path / "examples" / "Split-eval" / "data-0.parquet")
    report, blessed = check(examples)
    assert blessed == 1, report["findings"]
    assert report["facts"]["metrics"]["candidate"] == {"accuracy": round(1 - 1 / len(labels), 9)}


def test_what_cannot_be_read_is_an_error(check, make_examples, make_rows, tmp_path):
    examples = make_examples(make_rows(3))
    with pytest.raises(SettingsError, match="no such split"):
        check(examples, section={**SECTION, "split": "test"})
    with pytest.raises(CheckError, match="no examples"):
        check(files=str(tmp_path / "none-*"))
    path = tmp_path / "examples" / "Split-eval" / "data-0.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckError, match="failed") as caught:
        check(examples)
    assert "damaged" in caught.value.received
    assert list((tmp_path / "report").iterdir()) == []


def test_constructor_wants_one_kind_and_a_section(tfx):
    from components.saved_model_validator import SavedModelValidator

    model = tfx.Channel(type=tfx.standard_artifacts.Model)
    examples = tfx.Channel(type=tfx.standard_artifacts.Examples)
    with pytest.raises(SettingsError, match="twice"):
        SavedModelValidator(model, examples=examples, examples_files="x", policy={"metrics": SECTION})
    with pytest.raises(SettingsError, match="nothing is to be measured"):
        SavedModelValidator(model, examples=examples)
    with pytest.raises(SettingsError, match="does not go with"):
        SavedModelValidator(model, examples=examples, policy={"metrics": {**SECTION, "budget": {"auc": 1}}})


def test_pipeline_runs_again_when_a_file_changes(tfx, model_dir, make_rows, tmp_path):
    from components.saved_model_validator import SavedModelValidator
    from pipelines.metadata.records import read_executions

    def run(wrong):
        write_rows(tmp_path / "rows.gz", make_rows(20, wrong=wrong))
        model = tfx.Importer(source_uri=str(model_dir), artifact_type=tfx.standard_artifacts.Model).with_id(
            "m"
        )
        validator = SavedModelValidator(
            model.outputs["result"],
            examples_files=tmp_path / "rows.gz",
            policy={
                "metrics": {**SECTION, "budget": {"accuracy": 0.8}},
                "switched_off": ["cost", "robustness"],
            },
        )
        config = tfx.metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
        tfx.LocalDagRunner().run(
            tfx.pipeline.Pipeline(
                pipeline_name="p",
                pipeline_root=str(tmp_path / "root"),
                components=[model, validator],
                enable_cache=True,
                metadata_connection_config=config,
                beam_pipeline_args=["--direct_num_workers=1"],
            )
        )
        runs = read_executions(tmp_path / "metadata.sqlite", "p")
        last = [item for item in runs if item.node_id == "SavedModelValidator"][-1]
        return last.state, last.outputs["blessing"].get_flag("blessed")

    assert run(lambda i: 0) == ("complete", True)
    assert run(lambda i: 0) == ("cached", True)
    assert run(lambda i: i % 2) == ("complete", False)
