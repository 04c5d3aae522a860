"""What the stock example says of each node: of records and files made by hand, without TFX."""

import json
import shutil

import numpy as np
import pytest

from examples.stock_tfx.telling import tell_run
from pipelines.metadata.records import ArtifactRecord, ExecutionRecord


@pytest.fixture
def make_artifact(tmp_path):
    def make(artifact_id, **properties):
        folder = tmp_path / str(artifact_id)
        folder.mkdir(exist_ok=True)
        return ArtifactRecord(artifact_id, "", str(folder), properties)

    return make


def record(node_id, *, state="complete", inputs=None, outputs=None):
    return ExecutionRecord(1, node_id, "run", state, 0, inputs or {}, outputs or {})


def tell(*records, runs=None):
    return list(tell_run(records, runs or {}))


def test_cached_node_had_nothing_to_do():
    assert tell(record("Trainer", state="cached")) == [
        "Trainer: had nothing to do; everything it reads is as before."
    ]


def test_trainer_tells_what_it_left(make_artifact, tmp_path):
    model, run = make_artifact(1), make_artifact(2)
    for name in ("wine.keras", "checkpoint"):
        (tmp_path / "1" / "Format-Serving" / name).mkdir(parents=True)
    scores = np.eye(3, dtype=np.float32)
    np.savez(
        tmp_path / "2" / "record.npz",
        bottles=[7, 8, 9],
        labels=[0, 1, 1],
        scores=scores,
        learnt=40,
        seconds=3.2,
    )
    (sentence,) = tell(record("Trainer", outputs={"model": model, "model_run": run}))
    assert "learnt from 40 bottles in 3 s, and reads 66.7% of 3 others correctly" in sentence
    assert "it left checkpoint and wine.keras, and no SavedModel" in sentence


def test_converter_tells_signatures_and_step(make_artifact):
    signatures = {
        "a": {"inputs": {"examples": "string [?]"}, "outputs": {}},
        "b": {"inputs": {"x": "float32 [?, 1]", "y": "float32 [?, 1]"}, "outputs": {}},
    }
    model = make_artifact(1, signatures=json.dumps(signatures), source_format="tf2-objects", source_step=150)
    assert tell(record("convert_wine_checkpoint", outputs={"model": model})) == [
        "convert_wine_checkpoint: made a SavedModel of tf2-objects, step 150: a takes examples, string [?]; "
        "b takes 2 columns by name."
    ]


@pytest.mark.parametrize("found", [None, 12])
def test_what_the_resolver_found_is_seen_at_the_validator(make_artifact, tmp_path, found):
    report = make_artifact(3)
    metrics = {"candidate": {"accuracy": 0.75}, "rows": 4}
    if found:
        metrics["previous"] = {"accuracy": 0.5}
    facts = {"summary": "Fit.", "findings": [], "facts": {"metrics": metrics}}
    (tmp_path / "3" / "report.json").write_text(json.dumps(facts))
    inputs = {"baseline_model": make_artifact(found)} if found else {}
    told = tell(
        record("resolve_wine_keras"),
        record("validate_wine_keras", inputs=inputs, outputs={"report": report}),
        runs={12: 1},
    )
    expected = (
        "the model that was blessed in run 1 (id 12)." if found else "no blessed model; there is none yet."
    )
    beside = ", the blessed one 50.0%" if found else ""
    assert told == [
        f"resolve_wine_keras: found {expected}",
        f"validate_wine_keras: Fit. It reads 75.0% of 4 held-out bottles correctly{beside}.",
    ]


@pytest.mark.parametrize("harmed", [False, True])
def test_pusher_tells_whether_the_bytes_are_those_that_were_checked(make_artifact, tmp_path, harmed):
    model = make_artifact(1)
    serving_dir = tmp_path / "1" / "Format-Serving"
    serving_dir.mkdir()
    (serving_dir / "saved_model.pb").write_bytes(b"graph")
    pushed_dir = tmp_path / "pushed" / "77"
    shutil.copytree(serving_dir, pushed_dir)
    if harmed:
        (pushed_dir / "saved_model.pb").write_bytes(b"grapf")
    inputs = {
        "model": model,
        "model_blessing": make_artifact(2, blessed=1),
        "infra_blessing": make_artifact(3, blessed=1),
    }
    pushed = make_artifact(4, pushed=1, pushed_destination=str(pushed_dir))
    (sentence,) = tell(record("push_wine_keras", inputs=inputs, outputs={"pushed_model": pushed}))
    assert "saw model_blessing and infra_blessing, and pushed version 77" in sentence
    assert ("OTHER BYTES" in sentence) == harmed


def test_pusher_that_pushed_nothing_says_so(make_artifact):
    (sentence,) = tell(record("push_wine_keras", outputs={"pushed_model": make_artifact(1, pushed=0)}))
    assert "pushed nothing" in sentence


@pytest.mark.parametrize(("blessed", "words"), [(1, "blessed"), (0, "did not bless")])
def test_evaluator_tells_its_blessing(make_artifact, blessed, words):
    told = tell(record("Evaluator", outputs={"blessing": make_artifact(1, blessed=blessed)}))
    assert told == [f"Evaluator: {words} the checkpoint's model by the same figure."]
