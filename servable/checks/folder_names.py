"""Names in a SavedModel's folder: which files a loader reads, and what a server takes for a version.

What passes through: a folder that holds plain files only; findings for `layout` on what nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from servable.checks.context import make_warning
from servable.errors import SourceError
from servable.graphs.saved_model_parts import MODEL_FILES, read_assets
from servable.report import Finding, Severity

_MAX_SHOWN = 5
# What some loader, Keras, TensorFlow Serving or TFX reads; assets and shards are looked at by name.
_READ = re.compile(
    r"(saved_model\.pb(txt)?|keras_metadata\.pb|fingerprint\.pb|model\.tflite|batching_params\.pbtxt"
    r"|assets\.extra/.*|debug/saved_model_debug_info\.pb|variables/variables\.index)"
)
_SHARD = re.compile(r"variables/variables\.data-\d{5}-of-\d{5}")
# A saver's note of its last checkpoints, which exports by hand leave behind.
_HARMLESS = re.compile(r"variables/checkpoint")
# int64, as TensorFlow Serving reads a folder's name (file_system_storage_path_source.cc).
_LARGEST_VERSION = 2**63 - 1


def find_unread_files(check: str, root: Path, meta_graphs: Iterable[Any]) -> Iterator[Finding]:
    """Finds files that no loader reads: leftovers that travel with every copy.

    Args:
        check: Name to put into the findings.
        root: The SavedModel.
        meta_graphs: All of its graphs.
    """
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    shards = [name for name in names if _SHARD.fullmatch(name)]
    known = {f"assets/{asset}" for graph in meta_graphs for asset in _list_assets(graph)}
    # One set of shards has one number of them; what belongs to another one lies here from before.
    totals = sorted({name.rpartition("-")[2] for name in shards})
    stale = shards if "variables/variables.index" not in names else []
    if len(totals) > 1:
        stale = [name for name in shards if not _is_complete(shards, name.rpartition("-")[2])]
    unread = [
        name
        for name in names
        if not (_READ.fullmatch(name) or name in known or (name in shards and name not in stale))
    ]
    for harmless in (True, False):
        found = [name for name in unread if bool(_HARMLESS.fullmatch(name)) is harmless]
        if not found:
            continue
        size_bytes = sum((root / name).stat().st_size for name in found)
        shown = ", ".join(found[:_MAX_SHOWN]) + (" ..." if len(found) > _MAX_SHOWN else "")
        message = f"{len(found)} files ({size_bytes} bytes) are here that no loader reads: {shown}"
        if harmless:
            yield Finding(check, Severity.INFO, message)
        else:
            yield make_warning(check, message, advice="Take them away before the model is handed on.")
    if all((root / name).is_file() for name in MODEL_FILES):
        yield make_warning(
            check, f"of {' and '.join(MODEL_FILES)} loaders read only the first", advice="Keep one of them."
        )


def check_version(check: str, root: Path) -> Iterator[Finding]:
    """Finds a folder that a server would not take for a version."""
    name = root.resolve().name
    if not (name.isascii() and name.isdigit() and int(name) <= _LARGEST_VERSION):
        yield make_warning(
            check,
            f"the folder's name {name!r} is no version: expected a whole number, as in MODEL/1",
            where=str(root),
            advice="Move the model into a folder that is named by a number; servers pass over all others.",
        )


def _is_complete(shards: list[str], total: str) -> bool:
    return sum(name.endswith(f"-of-{total}") for name in shards) == int(total)


def _list_assets(meta_graph: Any) -> list[str]:
    try:
        return [asset.filename for asset in read_assets(meta_graph)]
    except SourceError:
        return []
