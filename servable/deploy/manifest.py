"""A pack's manifest: what lies in it, to the byte, and whether it still does.

What passes through: a finished folder comes in, `manifest.json` with the sha256 of every file goes out, and
a root digest over all of them; later a folder and its manifest come in, and a report goes out. A manifest
says what changed; only a signature says that nobody changed the manifest as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from servable import __version__
from servable.errors import DeployError, SourceError
from servable.formats.file_hashes import Change, digest_hashes, find_changes, hash_tree
from servable.model import Progress
from servable.report import Finding, Report, Severity

MANIFEST_FILE: Final = "manifest.json"
_SCHEMA_VERSION: Final = 1
_CHECK: Final = "manifest"
_ADVICE: Final = "Take the pack again from where it was made; do not upload this one."


def write_manifest(
    pack_dir: Path, facts: Mapping[str, Any], *, progress: Progress | None = None
) -> dict[str, Any]:
    """Hashes every file of a pack and writes the manifest, which is the last file.

    Args:
        pack_dir: Finished but for it.
        facts: What else the manifest says, as plain JSON values.
        progress: Told of the bytes read.

    Returns:
        What was written: `facts`, `files` (name to `sha256` and `size_bytes`) and `root_digest`.
    """
    hashes = hash_tree(pack_dir, progress=progress)
    manifest = {
        "schema_version": _SCHEMA_VERSION,
        "made_by": f"tfx-servable {__version__}",
        **facts,
        "files": {
            name: {"sha256": value, "size_bytes": (pack_dir / name).stat().st_size}
            for name, value in hashes.items()
        },
        "root_digest": digest_hashes(hashes),
    }
    text = json.dumps(manifest, indent=2, sort_keys=True)
    (pack_dir / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(pack_dir: Path) -> dict[str, Any]:
    """Reads a pack's manifest.

    Raises:
        DeployError: There is none, or it is none of this library's.
    """
    path = pack_dir / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["schema_version"] == _SCHEMA_VERSION
        hashes = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        if not known or not isinstance(manifest["root_digest"], str) or not hashes:
            raise ValueError(f"schema_version {manifest['schema_version']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeployError(
            "This folder is no pack, or its manifest is damaged.",
            expected=f"{MANIFEST_FILE} as servable pack writes it",
            received=repr(error),
            where=str(path),
            advice="name the folder that servable pack has made",
        ) from error
    found: dict[str, Any] = manifest
    return found


def verify_manifest(pack_dir: Path, *, progress: Progress | None = None) -> Report:
    """Looks whether a pack is what its manifest says.

    Args:
        pack_dir: The pack.
        progress: Told of the bytes read.

    Returns:
        One error for each file that was changed, is missing or was not there. `facts` has the root digest.

    Raises:
        DeployError: There is no manifest.
    """
    manifest = read_manifest(pack_dir)
    before = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    findings: list[Finding] = []
    try:
        now = hash_tree(pack_dir, progress=progress)
    except SourceError as error:
        findings.append(Finding(_CHECK, Severity.ERROR, error.problem, error.where, _ADVICE))
    else:
        del now[MANIFEST_FILE]
        findings += [_make_finding(name, change) for name, change in find_changes(before, now).items()]
    if digest_hashes(before) != manifest["root_digest"]:
        message = "the root digest is not that of the files that the manifest lists"
        findings.append(Finding(_CHECK, Severity.ERROR, message, MANIFEST_FILE, _ADVICE))
    facts = {"root_digest": manifest["root_digest"], "files": len(before)}
    return Report(str(pack_dir), checked=(_CHECK,), findings=tuple(findings), facts={"pack": facts})


def _make_finding(name: str, change: Change) -> Finding:
    messages = {
        Change.CHANGED: "this file was changed after it was packed",
        Change.MISSING: "this file is missing",
        Change.EXTRA: "this file was not packed",
    }
    return Finding(_CHECK, Severity.ERROR, messages[change], name, _ADVICE)
