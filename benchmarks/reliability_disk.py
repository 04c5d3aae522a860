"""Full, read-only and failing disks: a clear error each time, nothing half-published, no source touched.

What passes through: a folder comes in, one row for each kind of fault goes out. Local disks are small tmpfs
mounts, which only an administrator can make; without the right to, those rows say so. The remote store is
`benchmarks.faults_disk.failing_store`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.faults_disk.failing_store import PROTOCOL, register_store
from benchmarks.faults_kill.killing import Stage
from benchmarks.faults_kill.works import CONVERT_WORDS, digest_dir
from benchmarks.faults_readers.readers import ZOO_DIR
from benchmarks.reliability_rows import FaultRow
from servable.errors import ExportError, SourceError
from servable.export.remote_publishing import publish_remotely
from servable.formats.remote import open_remote
from servable.sources.staging import stage_source

CHECKPOINT_DIR: Final = ZOO_DIR / "tf1.15-cnn_bn-a" / "artifact"
SAVED_MODEL_DIR: Final = ZOO_DIR / "tf1.12-sm_predict_images-a" / "artifact" / "saved" / "1"
_MODEL_FILE: Final = "saved_model.pb"
_SIZES_KIB: Final = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 128, 256)
_INODES: Final = tuple(range(2, 12))
_SLOW_S: Final = 0.02
_MAX_CALLS: Final = 500


def fail_remote(*, stays_broken: bool) -> Iterator[FaultRow]:
    """Lets a store fail at each call of a fetch and of a publication, one after the other."""
    after = "from call n on" if stays_broken else "at call n"
    for error in (OSError, TimeoutError, PermissionError):
        store = register_store(raises=error)
        source = f"{PROTOCOL}://bucket/train"
        _fill(store())
        row = FaultRow(f"remote source, {error.__name__} {after}")
        for number in range(1, _MAX_CALLS):
            store.reset(fails_at=number, stays_broken=stays_broken)
            try:
                with stage_source(source) as staged:
                    fetched = digest_dir(staged.path.parent) == digest_dir(CHECKPOINT_DIR)
                row.note_trial([] if fetched else ["not all was fetched"], "fetched in spite of it")
            except SourceError as found:
                row.note_trial([] if found.where.startswith(PROTOCOL) else ["an error without its place"])
            if store.calls < number:
                break
        yield row
        row = FaultRow(f"remote destination, {error.__name__} {after}")
        for number in range(1, _MAX_CALLS):
            store.reset()
            place = open_remote(f"{PROTOCOL}://bucket/served/{number}")
            store.reset(fails_at=number, stays_broken=stays_broken)
            misses = []
            try:
                publish_remotely(SAVED_MODEL_DIR, place)
                is_published = True
            except (ExportError, SourceError):
                is_published = False
            is_over = store.calls < number
            store.reset()
            files = [name for name in store.store if name.startswith(f"/bucket/served/{number}/")]
            has_model = f"/bucket/served/{number}/{_MODEL_FILE}" in files
            wanted = sum(path.is_file() for path in SAVED_MODEL_DIR.rglob("*"))
            if has_model and len(files) != wanted:
                misses.append("looks finished and is not")
            if is_published and not has_model:
                misses.append("said to be published and is not")
            if not is_published and files and not stays_broken:
                misses.append("something was left")
            row.note_trial(misses)
            if is_over:
                break
        yield row


def be_slow() -> FaultRow:
    """Fetches from and publishes to a slow store."""
    store = register_store()
    _fill(store())
    store.reset(delay_s=_SLOW_S)
    row = FaultRow(f"slow remote store, {_SLOW_S * 1000:.0f} ms a call")
    with stage_source(f"{PROTOCOL}://bucket/train") as staged:
        whole = digest_dir(staged.path.parent) == digest_dir(CHECKPOINT_DIR)
    row.note_trial([] if whole else ["not all was fetched"], f"{store.calls} calls to fetch")
    store.reset(delay_s=_SLOW_S)
    publish_remotely(SAVED_MODEL_DIR, open_remote(f"{PROTOCOL}://bucket/served/1"))
    row.note_trial([], f"{store.calls} calls to publish")
    store.reset()
    return row


def fill_disks(stage: Stage, work_dir: Path) -> Iterator[FaultRow]:
    """Converts to disks that are full after some kibibytes, have room for some files, or are read-only."""
    disks = {
        "disk full after 4 to 256 KiB": [f"size={size}k" for size in _SIZES_KIB],
        "no room for one more file, 2 to 11": [f"size=8m,nr_inodes={count}" for count in _INODES],
        "read-only destination": ["size=8m,ro"],
    }
    for number, (fault, options) in enumerate(disks.items()):
        row = FaultRow(fault)
        for option in options:
            (folder := work_dir / f"disk-{number}-{len(list(work_dir.iterdir()))}").mkdir()
            try:
                with _mount(folder / "out", option) as out:
                    row.note_trial(*_convert_to(stage, folder, out))
            except PermissionError:
                row.notes["needs the right to mount"] += 1
                break
        yield row


def _fill(store: Any) -> None:
    for path in CHECKPOINT_DIR.iterdir():
        store.pipe_file(f"/bucket/train/{path.name}", path.read_bytes())


def _convert_to(stage: Stage, folder: Path, out: Path) -> tuple[list[str], str]:
    before = digest_dir(CHECKPOINT_DIR)

    def convert(_: Path) -> int:
        from servable.cli import main

        return main(["convert", str(CHECKPOINT_DIR), str(out / "m" / "1"), "--no-check", *CONVERT_WORDS])

    code = stage.finish(stage.start(convert, folder))
    text = (folder / "log").read_text(errors="replace")
    misses = []
    if code not in (0, 2):
        misses.append(f"exit code {code}")
    if code == 2:
        if list(out.iterdir()):
            misses.append("something was left")
        if "servable: " not in text or "Traceback" in text:
            misses.append("no clear message")
    if digest_dir(CHECKPOINT_DIR) != before:
        misses.append("the source was touched")
    return misses, "converted" if code == 0 else "refused"


@contextmanager
def _mount(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise PermissionError("tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
