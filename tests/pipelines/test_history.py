"""What became of every model: verdicts, pushes, steps that no run converted; as table and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.make_metadata import RunStory, write_runs
from pipelines.__main__ import main as pipelines_main
from pipelines.history.text import render_history
from pipelines.history.tracing import find_skipped, list_steps, trace_history
from pipelines.lineage.model_lineage import Lineage, Verdict
from pipelines.lineage.tracing import trace_executions
from pipelines.metadata.records import ArtifactRecord, ExecutionRecord
from servable.cli import main as servable_main

SETTINGS = """
pipeline: {name: many_runs, root: pipeline, metadata: metadata.sqlite}
models:
  - name: ranker
    source: training
    push: pushed
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six runs: the third and sixth find nothing new, the fourth's model is refused."""
    folder = tmp_path_factory.mktemp("history")
    write_runs(folder / "metadata.sqlite", RunStory(6, unchanged_every=3, refused_every=4))
    (folder / "settings.yaml").write_text(SETTINGS)
    return folder


def make_lineage(step: int, *, model: str = "m", seen: tuple[int, ...] = ()) -> Lineage:
    return Lineage(
        model=model,
        source_path=f"training/model.ckpt-{step}",
        source_format="tf1-saver",
        source_step=step,
        source_digest="",
        toolchain="",
        model_uri="",
        saved_model_digest="",
        target="",
        blessed=True,
        blessing_message="",
        report_uri="",
        pushed_path=None,
        pushed_digest="",
        finished_at=datetime.fromtimestamp(step, tz=UTC),
        seen_steps=seen,
    )


def make_artifact(number: int, type_name: str, **properties: str | int) -> ArtifactRecord:
    return ArtifactRecord(number, type_name, f"root/node/key/{number}", properties)


def make_execution(
    number: int, node: str, state: str = "complete", **ends: dict[str, ArtifactRecord]
) -> ExecutionRecord:
    return ExecutionRecord(
        number, node, f"run {number}", state, number * 1000, ends.get("inputs", {}), ends.get("outputs", {})
    )


def test_history_has_a_row_for_each_model(folder):
    rows = trace_history(folder / "metadata.sqlite", "many_runs")
    assert [(one.source_step, one.verdict, one.pushed_version) for one in rows] == [
        (100, Verdict.FIT, "1700000000"),
        (200, Verdict.FIT, "1700000001"),
        (400, Verdict.REFUSED, ""),
        (500, Verdict.FIT, "1700000004"),
    ]
    assert {one.model for one in rows} == {"ranker"}
    assert rows[2].pushed_path is None
    assert rows[3].report_uri == "out/pipeline/validate/report/4"


def test_a_pusher_that_takes_the_stamped_copy_is_traced_by_its_blessing():
    model = make_artifact(1, "Model", saved_model_digest="d", source_step=7)
    blessing = make_artifact(2, "ModelBlessing", blessed=1, blessing_message="Fit.")
    pushed = make_artifact(3, "PushedModel", pushed=1, pushed_destination="/srv/m/5", pushed_version="5")
    (one,) = trace_executions(
        [
            make_execution(1, "convert_m", outputs={"model": model}),
            make_execution(2, "validate_m", inputs={"model": model}, outputs={"blessing": blessing}),
            make_execution(
                3, "push_m", inputs={"model_blessing": blessing}, outputs={"pushed_model": pushed}
            ),
        ]
    )
    assert (one.model, one.source_step, one.pushed_version, one.verdict) == ("m", 7, "5", Verdict.FIT)


def test_a_model_pushed_again_later_has_two_rows():
    model = make_artifact(1, "Model", saved_model_digest="d")
    pushes = [make_artifact(n, "PushedModel", pushed=1, pushed_destination=f"/srv/m/{n}") for n in (2, 3)]
    rows = trace_executions(
        [
            make_execution(1, "convert_m", outputs={"model": model}),
            make_execution(2, "push_m", inputs={"model": model}, outputs={"pushed_model": pushes[0]}),
            make_execution(3, "push_m", inputs={"model": model}, outputs={"pushed_model": pushes[1]}),
        ]
    )
    assert [(one.pushed_version, one.run_id, one.push_run_id) for one in rows] == [
        ("2", "run 1", "run 2"),
        ("3", "run 1", "run 3"),
    ]


def test_a_model_whose_checks_failed_is_not_forgotten(tmp_path):
    model = replace(make_artifact(1, "Model", saved_model_digest="d"), uri=f"{tmp_path}/convert_m/model/1")
    kept = tmp_path / "validate_m" / "report" / "2-rejected"
    kept.mkdir(parents=True)
    # The older stack records what a failed node would have made.
    abandoned = {"blessing": make_artifact(2, "ModelBlessing"), "report": make_artifact(3, "ModelEvaluation")}
    (one,) = trace_executions(
        [
            make_execution(1, "convert_m", outputs={"model": model}),
            make_execution(2, "validate_m", "failed", inputs={"model": model}, outputs=abandoned),
        ]
    )
    assert (one.verdict, one.report_uri, one.pushed_path) == (Verdict.STOPPED, str(kept), None)


def test_a_stock_trainers_model_names_its_maker():
    examples = make_artifact(1, "Examples")
    model = make_artifact(2, "Model")
    pushed = make_artifact(3, "PushedModel", pushed=1, pushed_destination="/srv/m/3")
    trainer = make_execution(2, "Trainer", inputs={"examples": examples}, outputs={"model": model})
    trainer = replace(trainer, type_name="tfx.x.Trainer")
    gen = replace(make_execution(1, "Gen", outputs={"examples": examples}), type_name="tfx.x.CsvExampleGen")
    push = make_execution(3, "push_m", inputs={"model": model}, outputs={"pushed_model": pushed})
    (one,) = trace_executions([gen, trainer, push])
    assert one.upstream == "Trainer (Trainer) <- Gen (CsvExampleGen)"
    assert one.source_path == model.uri


def test_steps_between_two_conversions_are_told():
    rows = [
        make_lineage(100, seen=(50, 100)),
        make_lineage(400, seen=(100, 200, 300, 400)),
        make_lineage(500),
    ]
    assert [one.skipped_steps for one in find_skipped(rows)] == [(), (200, 300), ()]
    # What lies there now counts as well; what another run converted does not.
    late = [*rows, make_lineage(300)]
    assert [one.skipped_steps for one in find_skipped(late, {"m": (450, 600)})] == [(), (200,), (450,), ()]


def test_models_do_not_mix_their_steps():
    rows = [
        make_lineage(100, model="a"),
        make_lineage(300, model="b", seen=(200,)),
        make_lineage(300, model="a"),
    ]
    assert [one.skipped_steps for one in find_skipped(rows)] == [(), (), ()]


def test_steps_of_a_folder_are_listed(tmp_path):
    for name in (
        "model.ckpt-7.index",
        "model.ckpt-7.data-00000-of-00001",
        "model.ckpt-30.index",
        "notes.txt",
    ):
        (tmp_path / name).write_bytes(b"")
    assert list_steps(tmp_path) == (7, 30)
    assert list_steps(tmp_path / "none") == ()
    assert list_steps("gs://bucket/training") == ()


def test_the_table_is_plain_and_aligned():
    row = replace(make_lineage(400), model="m\x1b[31m", skipped_steps=(200, 300))
    lines = render_history([row], {"m": (500,)}).splitlines()
    assert lines[0].split()[:2] == ["when", "(UTC)"]
    assert "\\x1b[31m" in lines[1]
    assert lines[1].index("model.ckpt-400") == lines[0].index("source")
    assert "never converted: step 200, 300" in lines[2]
    assert lines[3] == "m: step 500 is there for the next run"


def test_both_front_doors_answer_alike(folder, capsys):
    assert pipelines_main(["history", str(folder / "settings.yaml"), "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert servable_main(["history", str(folder / "settings.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == one
    assert servable_main(["history", "--metadata", str(folder / "metadata.sqlite"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == one
    verdicts = [model["verdict"] for model in one["models"]]
    assert verdicts == ["fit to serve", "fit to serve", "not fit to serve", "fit to serve"]
    assert one["models"][0]["source_path"] == "training/model.ckpt-100"


def test_steps_that_wait_for_the_next_run_are_told(folder, capsys):
    training = folder / "training"
    training.mkdir()
    for step in (450, 500, 700):
        (training / f"model.ckpt-{step}.index").write_bytes(b"")
    assert servable_main(["history", str(folder / "settings.yaml"), "--last", "1"]) == 0
    out = capsys.readouterr().out
    assert "never converted: step 450" in out
    assert "ranker: step 700 is there for the next run" in out
    assert "model.ckpt-200" not in out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 4, "CONFIG or --metadata PLACE"),
        (["settings.yaml", "--metadata", "metadata.sqlite"], 4, "received: both"),
        (["--metadata", "none.sqlite"], 4, "no metadata of this pipeline yet"),
        (["--metadata", "mysql://u:s3cret@h/d"], 4, "SERVABLE_METADATA_PASSWORD"),
        (["settings.yaml", "--graph", "history.png"], 4, "*.svg or *.html or *.dot"),
    ],
)
def test_faults_of_the_command_line_are_told(folder, monkeypatch, capsys, words, code, text):
    monkeypatch.chdir(folder)
    assert servable_main(["history", *words]) == code
    err = capsys.readouterr().err
    assert text in err
    assert "s3cret" not in err
