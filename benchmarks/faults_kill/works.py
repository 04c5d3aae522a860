"""What is killed, and how to tell that it left nothing that looks finished and is not.

What passes through: a folder of its own for each trial comes in; a list of faults goes out, empty when all is
well. `convert` and `check` are the command line's, `run` is the whole pipeline on TFX's local runner, `push`
is TFX's Pusher, as the pipelines have it, with a model that takes a while to copy.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.faults_readers.readers import ZOO_DIR
from servable.formats.digest import digest_files

_CASE: Final = ZOO_DIR / "tf1.15-cnn_bn-a" / "artifact"
_ENDS: Final = ("--signature=predict", "--input=images=images:0", "--output=probabilities=probabilities:0")
CONVERT_WORDS: Final = (*_ENDS, "--set=is_training:0=false")
SETTINGS: Final = """
pipeline: {name: killed, root: pipeline, metadata: metadata.sqlite}
models:
  - name: m
    source: source
    signatures: {predict: {inputs: {images: "images:0"}, outputs: {probabilities: "probabilities:0"}}}
    freeze: {"is_training:0": false}
    push: pushed
"""
_MODEL_FILE: Final = "saved_model.pb"
# A copy of these takes long enough to be met in every part of it.
_PUSHED_BYTES: Final = {_MODEL_FILE: 24 << 20, "variables/variables.data-00000-of-00001": 48 << 20}


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work.

    Attributes:
        act: Does it in a folder; gives the exit code, 0 for done.
        prepare: Puts there what it needs.
        find_faults: What looks finished and is not, after a kill or the rerun.
        is_finished: Whether the result is there.
        list_left: Temporary files and folders that lie about.
    """

    act: Callable[[Path], int]
    prepare: Callable[[Path], None]
    find_faults: Callable[[Path], list[str]]
    is_finished: Callable[[Path], bool]
    list_left: Callable[[Path], list[str]]


def digest_dir(folder: Path) -> str:
    """Gives the digest of a SavedModel, less the file in which TensorFlow puts a random number."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "fingerprint.pb"]
    return digest_files(files, root=folder)


def _prepare_source(folder: Path) -> None:
    shutil.copytree(_CASE, folder / "source")


def _convert(folder: Path) -> int:
    from servable.cli import main

    return main(["convert", str(folder / "source"), str(folder / "out" / "1"), *CONVERT_WORDS])


def make_convert(reference: str) -> Work:
    """Makes the work of `servable convert`; the digest is that of an undisturbed result."""

    def find_faults(folder: Path) -> list[str]:
        faults = []
        out = folder / "out" / "1"
        if out.exists() and (not (out / _MODEL_FILE).exists() or digest_dir(out) != reference):
            faults.append("a destination that is not what an undisturbed run makes")
        if digest_dir(folder / "source") != digest_dir(_CASE):
            faults.append("a source that was touched")
        return faults

    return Work(
        _convert,
        _prepare_source,
        find_faults,
        lambda folder: (folder / "out" / "1").exists(),
        lambda folder: _list_hidden(folder / "out") + _list_names(folder / "tmp"),
    )


def make_check(saved_model_dir: Path) -> Work:
    """Makes the work of `servable check --report --sarif` on a good SavedModel."""

    def check(folder: Path) -> int:
        from servable.cli import main

        files = [f"--report={folder / 'out' / 'report.html'}", f"--sarif={folder / 'out' / 'report.sarif'}"]
        return main(["check", str(saved_model_dir), *files])

    def find_faults(folder: Path) -> list[str]:
        faults = []
        page, sarif = folder / "out" / "report.html", folder / "out" / "report.sarif"
        if page.exists() and not page.read_text().rstrip().endswith("</html>"):
            faults.append("half a page")
        if sarif.exists() and not _is_json(sarif):
            faults.append("half a SARIF file")
        return faults

    return Work(
        check,
        lambda folder: (folder / "out").mkdir(),
        find_faults,
        lambda folder: (folder / "out" / "report.sarif").exists(),
        lambda folder: _list_hidden(folder / "out") + _list_names(folder / "tmp"),
    )


def make_run(reference: str) -> Work:
    """Makes the work of a pipeline run; the digest is that of the model that it pushes."""

    def prepare(folder: Path) -> None:
        _prepare_source(folder)
        (folder / "settings.yaml").write_text(SETTINGS)

    def run(folder: Path) -> int:
        from pipelines.local import run_local
        from pipelines.settings_file import load_settings

        return run_local(load_settings(folder / "settings.yaml")).exit_code

    def find_faults(folder: Path) -> list[str]:
        faults = [
            f"version {path.parent.name} has its {_MODEL_FILE} and is not complete"
            for path in (folder / "pushed").glob(f"*/*/{_MODEL_FILE}")
            if digest_dir(path.parent) != reference
        ]
        faults += [
            "a SavedModel artifact that is not complete"
            for path in (folder / "pipeline").glob(f"*/model/*/Format-Serving/**/{_MODEL_FILE}")
            if ".tmp/" not in str(path) and digest_dir(path.parent) != reference
        ]
        for path in (folder / "pipeline").glob("*/blessing/*/BLESSED"):
            report = path.parents[2] / "report" / path.parent.name / "report.json"
            if not report.exists() or not _is_json(report):
                faults.append("a blessing without its report")
        return faults + _find_record_faults(folder)

    return Work(run, prepare, find_faults, lambda folder: _has_version(folder, reference), _list_left)


def make_push() -> Work:
    """Makes the work of the Pusher alone."""

    def prepare(folder: Path) -> None:
        for name, size in _PUSHED_BYTES.items():
            path = folder / "model" / "Format-Serving" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(1 << 20) * (size >> 20))

    def push(folder: Path) -> int:
        from tfx.types import standard_artifacts

        from components.atomic_pushing import AtomicPushExecutor

        model, pushed = standard_artifacts.Model(), standard_artifacts.PushedModel()
        blessing = standard_artifacts.ModelBlessing()
        model.uri, pushed.uri = str(folder / "model"), str(folder / "artifact")
        blessing.set_int_custom_property("blessed", 1)
        destination = json.dumps({"filesystem": {"base_directory": str(folder / "pushed")}})
        inputs = {"model": [model], "model_blessing": [blessing]}
        AtomicPushExecutor().Do(inputs, {"pushed_model": [pushed]}, {"push_destination": destination})
        return 0

    def is_complete(version_dir: Path) -> bool:
        sizes = {name: (version_dir / name) for name in _PUSHED_BYTES}
        return all(p.exists() and p.stat().st_size == _PUSHED_BYTES[name] for name, p in sizes.items())

    def find_faults(folder: Path) -> list[str]:
        paths = (folder / "pushed").glob(f"*/{_MODEL_FILE}")
        return [
            f"a version with a {_MODEL_FILE} that is not complete"
            for path in paths
            if not is_complete(path.parent)
        ]

    def is_finished(folder: Path) -> bool:
        return any(is_complete(path) for path in (folder / "pushed").glob("*"))

    def list_left(folder: Path) -> list[str]:
        return _list_hidden(folder / "pushed") + _list_names(folder / "tmp")

    return Work(push, prepare, find_faults, is_finished, list_left)


def _has_version(folder: Path, reference: str) -> bool:
    return any(digest_dir(p.parent) == reference for p in (folder / "pushed").glob(f"*/*/{_MODEL_FILE}"))


def _find_record_faults(folder: Path) -> list[str]:
    """Looks in the metadata file for blessings that count, and whether their reports are there."""
    if not (folder / "metadata.sqlite").exists():
        return []
    with sqlite3.connect(f"file:{folder / 'metadata.sqlite'}?mode=ro", uri=True) as database:
        try:
            rows = database.execute(
                "SELECT Artifact.uri FROM Artifact JOIN Type ON Type.id = Artifact.type_id"
                " WHERE Type.name = 'ModelBlessing' AND Artifact.state = 2"
            ).fetchall()
        except sqlite3.OperationalError:  # killed while the tables were made
            return []
    database.close()
    reports = [Path(uri).parents[1] / "report" / Path(uri).name / "report.json" for (uri,) in rows]
    return ["a recorded blessing without its report" for report in reports if not report.exists()]


def _list_left(folder: Path) -> list[str]:
    found = [path.name for path in (folder / "pipeline").rglob(".*.tmp")]
    return found + _list_names(folder / "tmp")


def _list_hidden(folder: Path) -> list[str]:
    return [name for name in _list_names(folder) if name.startswith(".")]


def _list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _is_json(path: Path) -> bool:
    try:
        value: Any = json.loads(path.read_text())
    except ValueError:
        return False
    return bool(value)
