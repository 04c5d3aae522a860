"""The stock example from CSV to BulkInferrer's answers, on both runners of TFX; nox -s stock runs it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from examples.stock_tfx.places import BRANCHES, CHECKPOINT, PIPELINE_NAME, REPOSITORY_DIR, Places
from examples.stock_tfx.run import main
from pipelines.metadata.records import read_executions

# Importing TFX warns in dozens of places that are not ours.
pytestmark = [pytest.mark.tfx, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1200)]

NODES = {
    "CsvExampleGen",
    "Trainer",
    "Evaluator",
    "BulkInferrer",
    *(f"{work}_{branch.name}" for work in ("convert", "validate", "push") for branch in BRANCHES),
}


@pytest.fixture(scope="module", params=["local", "beam"])
def story(request, tmp_path_factory):
    if not request.config.getoption("--stock", default=False):
        pytest.skip("two runs of a whole TFX pipeline on each runner: nox -s stock")
    out_dir = tmp_path_factory.mktemp(request.param) / "out"
    finished = subprocess.run(
        [sys.executable, "-m", "examples.stock_tfx.run", "--runner", request.param, "--out", str(out_dir)],
        cwd=REPOSITORY_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    # People who run the session want to read it.
    sys.stdout.write(finished.stdout)
    places = Places(out_dir)
    runs: dict[str, dict] = {}
    for record in read_executions(places.metadata_path, PIPELINE_NAME):
        runs.setdefault(record.run_id, {})[record.node_id] = record
    return SimpleNamespace(finished=finished, places=places, runs=list(runs.values()))


def test_story_ends_well(story):
    assert story.finished.returncode == 0, story.finished.stderr
    assert "read every bottle as the trainer's net did" in story.finished.stdout


def test_every_node_of_both_runs_did_its_work(story):
    assert [
        {node for node, record in run.items() if record.state == "complete"} - {b.resolve for b in BRANCHES}
        for run in story.runs
    ] == [NODES, NODES]


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.name)
def test_resolver_finds_nothing_first_and_the_blessed_model_then(story, branch):
    first, second = story.runs
    assert "baseline_model" not in first[branch.validate].inputs
    assert second[branch.validate].inputs["baseline_model"].id == first[branch.convert].outputs["model"].id


def test_evaluator_saw_the_same_two_models(story):
    first, second = story.runs
    seen = second["Evaluator"].inputs
    assert seen["model"].id == second[CHECKPOINT.convert].outputs["model"].id
    assert seen["baseline_model"].id == first[CHECKPOINT.convert].outputs["model"].id
    assert second["Evaluator"].outputs["blessing"].get_flag("blessed")


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.name)
def test_pusher_took_both_blessings_and_pushed_twice(story, branch):
    for run in story.runs:
        assert run[branch.push].inputs["infra_blessing"].get_flag("blessed")
        assert run[branch.push].inputs["model_blessing"].get_flag("blessed")
        assert run[branch.push].outputs["pushed_model"].get_flag("pushed")
    versions = sorted(path.name for path in story.places.get_push_dir(branch).iterdir())
    assert versions == [
        run[branch.push].outputs["pushed_model"].get_text("pushed_version") for run in story.runs
    ]


def test_story_is_told_node_by_node(story):
    told = [line.strip().partition(":")[0] for line in story.finished.stdout.splitlines() if line[:2] == "  "]
    wanted = NODES | {branch.resolve for branch in BRANCHES}
    assert sorted(told) == sorted([*wanted, *wanted])


def test_runner_must_be_one_of_two():
    with pytest.raises(SystemExit):
        main(["--runner", "airflow"])
