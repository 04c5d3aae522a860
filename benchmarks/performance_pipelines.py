"""Performance rows: pipelines of three nodes, the usual way and cached, and Airflow's parsing.

What passes through: a `Place` comes in, rows go out. Every figure is of a whole process.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.measuring import REPOSITORY_DIR, BenchmarkError
from benchmarks.performance_place import Place
from benchmarks.performance_rows import Row, run_in_turns
from benchmarks.performance_work import INPUTS, OUTPUTS
from pipelines.on_airflow.compiling import measure_parsing
from servable.errors import SettingsError

_PIPELINE_BAR, _CACHED_BAR, _PARSING_BAR_S = 0.7, 1.1, 2.0
_ROW_SHAPE = "[1000]"
_AIRFLOW_PYTHON = REPOSITORY_DIR / ".venv-airflow" / "bin" / "python"

_SETTINGS = """
pipeline: {{name: measured, root: root, metadata: metadata.sqlite}}
models:
  - name: small
    source: {source}
    push: pushed
    signatures: {{serving_default: {{inputs: {inputs}, outputs: {outputs}}}}}
"""


def write_settings(folder: Path, source: Path) -> Path:
    """Writes the settings of a pipeline of one model: convert, check, push."""
    path = folder / "settings.yaml"
    inputs, outputs = (
        "{" + ", ".join(f"{key}: '{tensor}'" for key, tensor in ends.items()) + "}"
        for ends in (INPUTS, OUTPUTS)
    )
    path.write_text(_SETTINGS.format(source=source, inputs=inputs, outputs=outputs))
    return path


def measure_pipelines(place: Place) -> list[Row]:
    """Measures a first run beside the usual way, and a cached one beside its imports."""
    source = place.make_checkpoint()
    folder = place.make_dir("pipeline")
    settings = write_settings(folder, source)
    list_path = folder / "imports.json"
    local: list[str | Path] = [sys.executable, "-m", "pipelines", "local", settings]
    (input_tensor,), (output_tensor,) = INPUTS.values(), OUTPUTS.values()

    def run_first() -> dict[str, float]:
        for name in ("root", "metadata.sqlite", "pushed"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).unlink(missing_ok=True)
        figures = place.measure(*local)
        _require_pushed(folder / "pushed")
        return figures

    def run_usual() -> dict[str, float]:
        with place.new_path("usual") as work_dir:
            work_dir.mkdir()
            words = (source, work_dir, input_tensor, _ROW_SHAPE, output_tensor)
            figures = place.measure(sys.executable, "-m", "benchmarks.usual_way.pipeline", *words)
            _require_pushed(work_dir / "pushed")
        return figures

    def run_cached() -> dict[str, float]:
        return place.measure(*local)

    def run_imports() -> dict[str, float]:
        if not list_path.exists():
            place.run_python("-m", "benchmarks.performance_imports", "record", settings, list_path)
        words = ("-m", "benchmarks.performance_imports", "replay", list_path)
        return place.measure(sys.executable, *words)

    sides = {"servable": run_first, "cached": run_cached, "imports": run_imports, "usual": run_usual}
    measured = run_in_turns(sides, repeats=place.repeats, say=place.say, what="pipeline", warms=True)
    seconds = {side: f"{measured.middle(side, 's'):.1f} s" for side in sides}
    return [
        Row(
            "pipeline of three nodes with LocalDagRunner, small model, whole process",
            ours=seconds["servable"],
            beside=f"the usual way, {seconds['usual']}",
            figure=measured.ratio("servable", "usual", "s"),
            cpu_figure=measured.ratio("servable", "usual", "cpu_s"),
            bar=_PIPELINE_BAR,
        ),
        Row(
            "the same, second run, cached",
            ours=seconds["cached"],
            beside=f"the imports it needs, {seconds['imports']}",
            figure=measured.ratio("cached", "imports", "s"),
            cpu_figure=measured.ratio("cached", "imports", "cpu_s"),
            bar=_CACHED_BAR,
        ),
    ]


def measure_airflow(place: Place) -> list[Row]:
    """Measures what a DAG file adds to Airflow's own import, where there is an environment with Airflow."""
    work = "parsing of the Airflow DAG file"
    if not _AIRFLOW_PYTHON.exists():
        note = "there is no environment with Airflow (nox -s airflow makes it)"
        return [Row(work, bar=_PARSING_BAR_S, unit="s", note=note)]
    folder = place.make_dir("airflow")
    settings = write_settings(folder, place.make_checkpoint())
    words = ("--dags-folder", folder / "dags", "--no-measuring")
    place.run_python("-m", "pipelines", "airflow", settings, *words)
    (dag_path,) = (folder / "dags").glob("*.py")

    def parse() -> dict[str, float]:
        try:
            parsed = measure_parsing(dag_path, str(_AIRFLOW_PYTHON))
        except SettingsError as error:
            raise BenchmarkError(str(error)) from error
        return {"s": parsed.dag_s, "airflow_s": parsed.airflow_s}

    measured = run_in_turns({"dag": parse}, repeats=place.repeats, say=place.say, what="Airflow", warms=True)
    return [
        Row(
            work,
            ours=f"{measured.middle('dag', 's'):.2f} s",
            beside=f"after Airflow's own import of {measured.middle('dag', 'airflow_s'):.1f} s",
            figure=measured.middle("dag", "s"),
            bar=_PARSING_BAR_S,
            unit="s",
        )
    ]


def _require_pushed(push_dir: Path) -> None:
    if not list(push_dir.rglob("saved_model.pb")):
        raise BenchmarkError(f"The pipeline pushed nothing to {push_dir}.")
