"""What was validated is what is packed: the gate between a report and a pack.

What passes through: a report and a SavedModel come in; what the report vouches for goes out, and the
model's files are copied, each of them hashed on its way and compared with what was checked.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servable.errors import DeployError, NotApprovedError
from servable.formats.digest import list_tree
from servable.formats.file_hashes import Change, digest_hashes, find_changes, iterate_chunks
from servable.model import Progress
from servable.report import Report
from servable.targets.catalog import CURRENT, Target, find_target

_STAGE: Final = "copying"
# Without it nobody has seen the model answer.
_INDISPENSABLE: Final = "serving_load"
_MAX_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Approval:
    """What a report vouches for.

    Attributes:
        report: That the model passed.
        hashes: File to sha256, as they were checked.
        digest: Of all of them together.
        target: That the model was checked for.
        proven: Versions of TensorFlow in whose own runtime it has answered.
    """

    report: Report
    hashes: Mapping[str, str]
    digest: str
    target: Target
    proven: frozenset[str]


def require_approval(report: Report) -> Approval:
    """Takes a report only from a model that is fit to serve.

    Raises:
        NotApprovedError: The model did not pass, or nobody has seen it answer, or the report does not say
            which files it is about.
    """
    reason = ""
    files = report.facts.get("files")
    if not report.passed:
        reason = report.summarize()
    elif _INDISPENSABLE not in report.checked:
        reason = f"a report without check {_INDISPENSABLE}"
    elif not files:
        reason = "a report that does not say which files were checked"
    elif digest_hashes(files["sha256"]) != files["digest"]:
        reason = "a report whose hashes of files contradict each other"
    if reason or not files:
        raise NotApprovedError(
            "Only a model that was found fit to serve is packed.",
            expected="a report of all checks that the model has passed",
            received=reason,
            where=report.subject,
            advice=f"servable check {report.subject}  says what is wrong with it",
        )
    target = find_target(str(report.facts.get("target", CURRENT)))
    return Approval(report, dict(files["sha256"]), files["digest"], target, _list_proven(report))


def _list_proven(report: Report) -> frozenset[str]:
    runtimes = report.facts.get("runtimes") or {}
    proven = {version for version, facts in runtimes.items() if facts["ran"] and not facts["differing"]}
    # "tensorflow 2.21.0 (C++ loader)": where the checks themselves have run it.
    words = str(report.facts.get("runtime", "")).split()
    return frozenset({*proven, *words[1:2]})


def copy_approved(
    saved_model_dir: Path, out_dir: Path, approval: Approval, *, progress: Progress | None = None
) -> None:
    """Copies a model whose every byte is what was checked.

    Args:
        saved_model_dir: The model.
        out_dir: Must not exist.
        approval: Of this model.
        progress: Told of the bytes copied.

    Raises:
        DeployError: A file is another one than was checked, or is missing, or was not there; it is named.
        SourceError: The folder holds what no model may, or cannot be read.
    """
    paths = {path.relative_to(saved_model_dir).as_posix(): path for path in list_tree(saved_model_dir)}
    _refuse_changes(saved_model_dir, dict.fromkeys(paths, ""), dict.fromkeys(approval.hashes, ""))
    total_bytes = sum(path.stat().st_size for path in paths.values())
    done_bytes, found = 0, {}
    for name in sorted(paths):
        copy = out_dir / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        sha256 = hashlib.sha256()
        with copy.open("xb") as file:
            for chunk in iterate_chunks(paths[name]):
                sha256.update(chunk)
                file.write(chunk)
                done_bytes += len(chunk)
                if progress is not None:
                    progress(_STAGE, min(done_bytes, total_bytes), total_bytes)
        found[name] = sha256.hexdigest()
    try:
        _refuse_changes(saved_model_dir, found, approval.hashes)
    except DeployError:
        shutil.rmtree(out_dir)
        raise


def _refuse_changes(saved_model_dir: Path, now: Mapping[str, str], before: Mapping[str, str]) -> None:
    changes = find_changes(before, now)
    if not changes:
        return
    raise DeployError(
        "The model is not the one that was checked.",
        expected="every file as it was when the checks began",
        received=describe_changes(changes),
        where=str(saved_model_dir),
        advice=f"servable check {saved_model_dir}  and pack it with that report",
    )


def describe_changes(changes: Mapping[str, Change]) -> str:
    """Names files that are not as they were, in one line."""
    shown = ", ".join(f"{name} ({change})" for name, change in list(changes.items())[:_MAX_SHOWN])
    return shown + (f" and {len(changes) - _MAX_SHOWN} more" if len(changes) > _MAX_SHOWN else "")
