"""The command of a Kubeflow task: folders for addresses, whole outputs or none. Without TFX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.on_kubeflow import task
from pipelines.on_kubeflow.start import lighten_start
from servable.errors import SettingsError

MODEL, BLESSING = "minio://b/root/convert/1/model", "minio://b/root/validate/2/blessing"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SERVABLE_STAGING_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(root, monkeypatch):
    """Runs a task with an executor of the test's own, which is handed local paths and TFX's message."""

    def run_task(executor) -> None:
        message = {
            "inputs": {"artifacts": {"model": {"artifacts": [{"name": "1", "uri": MODEL}]}}},
            "outputs": {
                "artifacts": {"blessing": {"artifacts": [{"name": "blessing", "uri": BLESSING}]}},
                "outputFile": str(root / "minio/b/root/validate/2/output_metadata.json"),
            },
        }

        def execute(arguments: list[str]) -> None:
            told = json.loads(arguments[arguments.index("--json_serialized_invocation_args") + 1])
            (model,), (blessing,) = (
                told[side]["artifacts"][key]["artifacts"]
                for side, key in (("inputs", "model"), ("outputs", "blessing"))
            )
            executor(Path(model["uri"]), Path(blessing["uri"]), Path(told["outputs"]["outputFile"]))

        monkeypatch.setattr(task, "_run_executor", execute)
        task.main(["--executor_class_path", "a.B", "--json_serialized_invocation_args", json.dumps(message)])

    return run_task


def bless(model: Path, blessing: Path, output_file: Path) -> None:
    blessing.mkdir()
    (blessing / "BLESSED").touch()
    metadata = {"current_model": str(model), "page": f"{blessing}/report.html", "blessed": 1.0, "n": "1"}
    artifact = {"uri": str(blessing), "metadata": metadata}
    output_file.write_text(json.dumps({"artifacts": {"blessing": {"artifacts": [artifact]}}}))


def test_executors_see_folders_and_kubeflow_sees_addresses(run, root):
    seen = []
    run(lambda model, blessing, file: (seen.append(model), bless(model, blessing, file)))
    assert seen == [root / "minio/b/root/convert/1/model"]
    assert (root / "minio/b/root/validate/2/blessing/BLESSED").is_file()
    written = json.loads((root / "minio/b/root/validate/2/output_metadata.json").read_text())
    (artifact,) = written["artifacts"]["blessing"]["artifacts"]
    assert artifact == {
        "uri": BLESSING,
        "metadata": {"current_model": MODEL, "page": f"{BLESSING}/report.html", "blessed": 1.0, "n": "1"},
    }


def test_an_attempt_that_fails_leaves_nothing_and_the_next_begins_with_nothing(run, root):
    task_dir = root / "minio/b/root/validate/2"

    def fail(model: Path, blessing: Path, output_file: Path) -> None:
        blessing.mkdir()
        (blessing / "half").touch()
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run(fail)
    assert not task_dir.exists()
    run(bless)
    # A mounted bucket keeps what an earlier attempt brought there.
    (task_dir / "blessing" / "stale").touch()
    run(bless)
    assert sorted(path.name for path in (task_dir / "blessing").iterdir()) == ["BLESSED"]


def test_the_report_of_a_refused_model_is_kept(run, root, capsys):
    def refuse(model: Path, blessing: Path, output_file: Path) -> None:
        blessing.mkdir()
        blessing.with_name("report-rejected").mkdir()
        (blessing.with_name("report-rejected") / "report.html").write_text("why")
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        run(refuse)
    kept = root / "minio/b/root/validate/2/report-rejected/report.html"
    assert kept.read_text() == "why"
    assert str(kept.parent) in capsys.readouterr().err


def test_what_vertex_found_before_its_cache_is_handed_on(run, root):
    found = root / "minio/b/root/validate/2/output_metadata.json"
    found.parent.mkdir(parents=True)
    found.write_text('{"parameterValues": {"source_digest": "d"}}')
    seen = []
    run(lambda model, blessing, file: (seen.append(file.read_text()), bless(model, blessing, file)))
    assert json.loads(seen[0]) == {"parameterValues": {"source_digest": "d"}}


def test_it_is_no_command_for_people():
    with pytest.raises(SettingsError, match="python -m pipelines kubeflow"):
        task.main(["--help"])


@pytest.mark.tfx
def test_a_task_of_ours_starts_without_the_libraries_of_the_evaluator(tmp_path):
    """In a process of its own, since modules that are imported stay."""
    code = (
        "import sys; from pipelines.on_kubeflow.start import lighten_start; "
        "lighten_start(['--executor_class_path', 'components.keras_converter.executor.Executor']); "
        "from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor; "
        "import components.keras_converter.executor; "
        "from tfx.dsl.io import fileio; "
        "file = fileio.open(sys.argv[1], 'wb'); file.write('text'); file.write(b', bytes'); file.close(); "
        "print(sorted({'sklearn', 'nltk', 'tensorflow.python', 'apache_beam.pipeline'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "file").read_text() == "text, bytes"


def test_tasks_of_others_start_as_they_know_it(monkeypatch):
    monkeypatch.setattr("pipelines.lean_imports.lighten_imports", lambda: pytest.fail("lightened"))
    lighten_start(["--executor_class_path", "tfx.components.evaluator.executor.Executor", "{}"])
    lighten_start(["--help"])
