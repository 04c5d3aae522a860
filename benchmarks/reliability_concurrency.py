"""Two at the same time: runs into one destination, a trainer that writes while it is read, one metadata file.

What passes through: a folder comes in, one row for each kind goes out. Everything is forked from one process
that has imported what is needed (`benchmarks.faults_kill.killing`).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from benchmarks.faults_kill.killing import Stage
from benchmarks.faults_kill.works import CONVERT_WORDS, SETTINGS, digest_dir
from benchmarks.faults_large.making import write_many_tensors
from benchmarks.reliability_disk import CHECKPOINT_DIR
from benchmarks.reliability_rows import FaultRow
from servable.formats.checkpoints.bundle import iter_values, open_bundle

_TENSORS: Final = 200
# Between two versions: some conversions then meet one of them, and some meet two.
_LONGEST_PAUSE_S: Final = 4.0
_MODEL_FILE: Final = "saved_model.pb"


def write_one_destination(stage: Stage, work_dir: Path, *, count: int, reference: str) -> FaultRow:
    """Lets two conversions write to one destination."""
    row = FaultRow("two conversions into one destination")
    for number in range(count):
        (folder := work_dir / f"same-{number}").mkdir()
        out = folder / "out" / "1"

        def convert(_: Path, out: Path = out) -> int:
            from servable.cli import main

            return main(["convert", str(CHECKPOINT_DIR), str(out), "--no-check", *CONVERT_WORDS])

        pids = [stage.start(convert, folder) for _ in range(2)]
        codes = sorted(stage.finish(pid) for pid in pids)
        misses = [] if codes == [0, 2] else [f"exit codes {codes}"]
        if not out.is_dir() or digest_dir(out) != reference:
            misses.append("the destination is not what one run makes")
        if [path.name for path in out.parent.iterdir()] != ["1"]:
            misses.append("something was left")
        row.note_trial(misses)
    return row


def rewrite_while_read(stage: Stage, work_dir: Path, *, count: int) -> FaultRow:
    """Rewrites a checkpoint again and again while it is converted; every value tells its version."""
    row = FaultRow("a checkpoint rewritten while it is read")
    (source_dir := work_dir / "rewritten").mkdir()
    prefix = source_dir / "m"
    write_many_tensors(prefix, _TENSORS)
    words = ["--signature=s", "--input=x=x:0", "--output=y=y:0", "--no-check", "--no-baseline"]
    writer = os.fork()
    if writer == 0:
        _rewrite_for_ever(prefix)
    try:
        for number in range(count):
            (folder := work_dir / f"rewritten-{number}").mkdir()
            out = folder / "1"

            def convert(_: Path, out: Path = out) -> int:
                from servable.cli import main

                return main(["convert", str(prefix), str(out), *words])

            code = stage.finish(stage.start(convert, folder))
            misses = []
            if code == 0:
                versions = _read_versions(out)
                if len(versions) != 1:
                    misses.append(f"a mix of {len(versions)} versions")
            elif code != 2 or out.exists():
                misses.append(f"exit code {code}")
            row.note_trial(misses, "one version" if code == 0 else "refused")
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    return row


def share_metadata(stage: Stage, work_dir: Path, *, count: int) -> FaultRow:
    """Runs two pipelines on one metadata file at the same time."""
    from pipelines.branch_running import import_tfx

    row = FaultRow("two pipelines on one metadata file")
    import_tfx()
    for number in range(count):
        (folder := work_dir / f"metadata-{number}").mkdir()
        pids = []
        for name in ("one", "other"):
            settings = SETTINGS.replace("name: killed", f"name: {name}").replace(
                "root: pipeline", f"root: {name}"
            )
            settings = settings.replace("source: source", f"source: {CHECKPOINT_DIR}")
            path = folder / f"{name}.yaml"
            path.write_text(settings.replace("push: pushed", f"push: pushed-{name}"))

            def run(_: Path, path: Path = path) -> int:
                from pipelines.local import run_local
                from pipelines.settings_file import load_settings

                outcome = run_local(load_settings(path))
                print(*(model.message for model in outcome.models), sep="\n")
                return outcome.exit_code

            pids.append(stage.start(run, folder))
        codes = [stage.finish(pid) for pid in pids]
        pushed = [list(folder.glob(f"pushed-{name}/*/*/{_MODEL_FILE}")) for name in ("one", "other")]
        misses = [] if codes == [0, 0] else [f"exit codes {codes}"]
        if codes == [0, 0] and not all(len(found) == 1 for found in pushed):
            misses.append("a push that is missing")
        row.note_trial(misses)
    return row


def _rewrite_for_ever(prefix: Path) -> NoReturn:
    """Writes version after version, data and index each in one move, as `tf.train.Saver` does."""
    version = 1.0
    pauses = random.Random(1)
    try:
        while True:
            version += 1.0
            time.sleep(pauses.uniform(0.0, _LONGEST_PAUSE_S))
            (scratch := prefix.parent / "writing").mkdir(exist_ok=True)
            write_many_tensors(scratch / "m", _TENSORS, value=version)
            for suffix in (".data-00000-of-00001", ".index"):
                (scratch / f"m{suffix}").replace(f"{prefix}{suffix}")
    finally:
        os._exit(1)


def _read_versions(saved_model_dir: Path) -> set[float]:
    bundle = open_bundle(saved_model_dir / "variables" / "variables")
    return {
        float(value)
        for key, entry in bundle.entries.items()
        if entry.dtype == "float32"
        for values in iter_values(bundle, key)
        for value in np.ravel(values)
    }


def list_rows(stage: Stage, work_dir: Path, *, count: int, reference: str) -> Iterator[FaultRow]:
    """Tries everything, as often as is said."""
    yield write_one_destination(stage, work_dir, count=count, reference=reference)
    yield rewrite_while_read(stage, work_dir, count=2 * count)
    yield share_metadata(stage, work_dir, count=max(1, count // 3))
