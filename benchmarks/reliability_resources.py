"""Children that hang, starve or crash, bombs, very large graphs and checkpoints, and names in every script.

What passes through: a folder comes in, one row for each goes out. Each is a process of its own, measured by
`benchmarks.measuring`, with a limit on its time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.faults_kill.works import CONVERT_WORDS
from benchmarks.faults_large.making import write_bomb, write_large_graph, write_many_tensors
from benchmarks.faults_readers.readers import ZOO_DIR
from benchmarks.measuring import REPOSITORY_DIR
from benchmarks.reliability_disk import CHECKPOINT_DIR
from benchmarks.reliability_rows import FaultRow

_CUSTOM_DIR: Final = ZOO_DIR / "k2.2.4-custom_layer-a" / "artifact"
_BOMB_BYTES: Final = 3 << 30
_NODES: Final = 200_000
_TENSORS: Final = 50_000
_NAMES: Final = (
    "модель",
    "模型",
    "מודל",
    "نموذج",
    "मॉडल",
    "モデル",
    "μοντέλο",
    "🦊🚀",
    "a b",
    "é́",
    "-m",
    "%s{x}",
)
_MISBEHAVIOUR: Final = {
    "a source whose code hangs": ("import time; time.sleep(3600)", ("--time-limit=60",), "time limit"),
    "a source whose code eats memory": (
        "b = [bytes(range(256)) * 4096 for _ in range(10**5)]",
        ("--memory-limit=2GB",),
        "memory",
    ),
    "a source whose code segfaults": ("import ctypes; ctypes.string_at(0)", (), "crashed"),
    "a source whose code is killed": ("import os; os.kill(os.getpid(), 9)", (), "memory"),
}


def misbehave(work_dir: Path) -> Iterator[FaultRow]:
    """Converts with code of the user's that misbehaves in the child."""
    source = next(path for path in _CUSTOM_DIR.iterdir() if path.suffix in (".h5", ".hdf5"))
    for number, (fault, (code, words, said)) in enumerate(_MISBEHAVIOUR.items()):
        row = FaultRow(fault)
        module = work_dir / f"objects_{number}.py"
        module.write_text(f"{code}\nCUSTOM_OBJECTS = {{}}\n")
        out = work_dir / f"misbehaved-{number}" / "1"
        command = ["convert", str(source), str(out), f"--custom-objects={module}", *words]
        ended, took_s = _run(command, limit_s=600)
        misses = [] if ended.returncode == 2 else [f"exit code {ended.returncode}"]
        misses += [] if said in ended.stderr else [f"no word of {said!r}"]
        misses += ["something was left"] if out.parent.exists() else []
        row.note_trial(misses, f"{took_s:.0f} s")
        yield row


def be_large(work_dir: Path) -> Iterator[FaultRow]:
    """Looks at and converts what is too large in one way or another."""
    for member in ("model.weights.h5", "config.json"):
        row = FaultRow(f"a zip bomb of 3 GB in {member}")
        write_bomb(path := work_dir / f"bomb-{member}.keras", _BOMB_BYTES, member=member)
        for command in (["inspect", str(path)], ["convert", str(path), str(work_dir / "bomb" / "1")]):
            ended, took_s = _run(command, limit_s=300)
            misses = [] if ended.returncode == 2 else [f"exit code {ended.returncode}"]
            row.note_trial(misses, f"{command[0]} {took_s:.1f} s")
        path.unlink()
        yield row
    ends = ["--signature=s", "--input=x=x:0", "--output=y=y:0"]
    write_large_graph(work_dir / "large.pb", _NODES)
    yield _convert_large(f"a graph of {_NODES:,} nodes", work_dir / "large.pb", work_dir / "large", ends)
    write_many_tensors(work_dir / "many", _TENSORS)
    yield _convert_large(
        f"a checkpoint of {_TENSORS:,} tensors", work_dir / "many", work_dir / "many-out", ends
    )


def name_in_every_script(work_dir: Path) -> FaultRow:
    """Converts from and to folders whose names are no plain ASCII, with such signature keys."""
    row = FaultRow("names in every script and emoji: folders, model names, signatures, keys")
    models = work_dir / "names"
    for name in _NAMES:
        shutil.copytree(CHECKPOINT_DIR, models / name)
    words = [word.replace("=images=", "=图像🖼=") for word in CONVERT_WORDS]
    words = [word.replace("--signature=predict", "--signature=предсказать") for word in words]
    ended, took_s = _run(["convert", "--many", str(models), str(work_dir / "named"), *words], limit_s=900)
    row.note_trial([] if ended.returncode == 0 else [f"exit code {ended.returncode}"], f"{took_s:.0f} s")
    for name in _NAMES:
        there = (work_dir / "named" / name / "1" / "saved_model.pb").exists()
        row.note_trial([] if there else [f"not converted: {name}"])
    return row


def _convert_large(fault: str, source: Path, out: Path, ends: Sequence[str]) -> FaultRow:
    row = FaultRow(fault)
    commands = (
        ["inspect", str(source)],
        ["convert", str(source), str(out / "1"), "--no-check", *ends],
        ["check", str(out / "1"), "--target=tensorflow-serving-1.15"],
    )
    for command in commands:
        ended, took_s = _run(command, limit_s=1200)
        # Fit to serve or not is not the question here.
        misses = [] if ended.returncode in (0, 1) else [f"{command[0]}: exit code {ended.returncode}"]
        row.note_trial(misses, f"{command[0]} {took_s:.0f} s")
    return row


def _run(words: Sequence[str], *, limit_s: float) -> tuple[subprocess.CompletedProcess[str], float]:
    began_s = time.monotonic()
    command = [sys.executable, "-m", "servable.cli", *words]
    try:
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=limit_s, cwd=REPOSITORY_DIR
        )
    except subprocess.TimeoutExpired:
        ended = subprocess.CompletedProcess(command, -1, "", f"did not end within {limit_s:g} s")
    return ended, time.monotonic() - began_s
