"""Differences of two SavedModels' variables and assets, in constant memory.

What passes through: two bundles are read side by side, a chunk of each at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from servable.checks.comparison import compare_arrays
from servable.checks.differences.changes import Change, Kind, compare_keys
from servable.checks.tolerances import Tolerance
from servable.formats.checkpoints.bundle import (
    OBJECT_GRAPH_KEY,
    BundleEntry,
    TensorBundle,
    iter_values,
    open_bundle,
)
from servable.formats.file_hashes import hash_file
from servable.formats.files import require_inside
from servable.model import Progress
from servable.report import Skipped

_EXACT: Final = Tolerance(0.0, 0.0)
_ASSET_DIRS: Final = ("assets", "assets.extra")
_STAGE: Final = "variables"


def open_variables(saved_model_dir: Path) -> TensorBundle | None:
    """Opens the variables of a SavedModel; None where it has none.

    Raises:
        BrokenSourceError: Their files are damaged.
    """
    prefix = saved_model_dir / "variables" / "variables"
    return open_bundle(prefix) if prefix.with_name("variables.index").is_file() else None


def compare_variables(
    before: TensorBundle | None, after: TensorBundle | None, *, progress: Progress | None
) -> tuple[list[Change], list[Skipped], dict[str, Any]]:
    """Compares names, dtypes, shapes and every value.

    Args:
        before: Of the first model.
        after: Of the second one.
        progress: Told how many bytes are done.

    Returns:
        Changes, what could not be compared, and how many variables are equal.

    Raises:
        BrokenSourceError: Values are damaged.
    """
    entries = [_list_entries(bundle) for bundle in (before, after)]
    texts = [{key: _describe(entry) for key, entry in found.items()} for found in entries]
    changes = compare_keys("variables", *texts, label="variable")
    skipped: list[Skipped] = []
    common = [key for key in entries[0] if texts[0][key] == texts[1].get(key)]
    total = sum(entries[0][key].size_bytes for key in common)
    done, equal, worst_of_all = 0, 0, 0.0
    for key in common:
        assert before is not None
        assert after is not None
        if _list_extents(entries[0][key]) != _list_extents(entries[1][key]):
            skipped.append(Skipped(_STAGE, f"variable {key} is cut into other slices"))
            continue
        count, worst = _compare_values(before, after, key)
        if count:
            text = "no number" if worst is None else f"{worst:.3g}"
            note = f"{count} of {_count(entries[0][key])} values differ, max abs difference {text}"
            changes.append(Change("variables", Kind.CHANGED, f"variable {key}", texts[0][key], note))
            worst_of_all = max(worst_of_all, worst or 0.0)
        equal += not count
        done += entries[0][key].size_bytes
        if progress is not None:
            progress(_STAGE, done, total)
    facts = {"compared": len(common) - len(skipped), "equal": equal, "worst_difference": worst_of_all}
    return changes, skipped, facts


def compare_assets(before: Path, after: Path) -> list[Change]:
    """Compares the files that come with two models, by their content.

    Raises:
        UnsafeSourceError: A link leads out of a model's folder.
        BrokenSourceError: A file cannot be read.
    """
    digests = [dict(_digest_assets(folder)) for folder in (before, after)]
    return compare_keys("assets", *digests, label="file")


def _list_entries(bundle: TensorBundle | None) -> dict[str, BundleEntry]:
    if bundle is None:
        return {}
    return {key: entry for key, entry in bundle.entries.items() if key != OBJECT_GRAPH_KEY}


def _describe(entry: BundleEntry) -> str:
    return f"{entry.dtype} [{', '.join(map(str, entry.shape))}]"


def _list_extents(entry: BundleEntry) -> list[Any]:
    return [part.extents for part in entry.slices]


def _count(entry: BundleEntry) -> int:
    return int(np.prod(entry.shape, dtype=np.int64))


def _compare_values(before: TensorBundle, after: TensorBundle, key: str) -> tuple[int, float | None]:
    """Counts the values that differ, and measures the worst; None where that is no number."""
    count, worst, is_number = 0, 0.0, True
    for left, right in _pair_chunks(before, after, key):
        difference = compare_arrays(left, right, _EXACT)
        if difference.message:
            same = left == right
            if left.dtype.kind not in "OSU":
                same |= (left != left) & (right != right)
            count += int(left.size - np.count_nonzero(same))
            is_number &= difference.worst is not None
            worst = max(worst, difference.worst or 0.0)
    return count, worst if is_number else None


def _pair_chunks(
    before: TensorBundle, after: TensorBundle, key: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Gives both models' values in pieces of the same size: strings come in pieces of the same bytes."""
    streams = [iter_values(bundle, key) for bundle in (before, after)]
    rest: list[np.ndarray | None] = [None, None]
    while True:
        for side, stream in enumerate(streams):
            if rest[side] is None:
                rest[side] = next(stream, None)
        left, right = rest
        if left is None or right is None:
            return
        size = min(left.size, right.size)
        yield left[:size], right[:size]
        rest = [values[size:] if values.size > size else None for values in (left, right)]


def _digest_assets(saved_model_dir: Path) -> Iterator[tuple[str, str]]:
    for name in _ASSET_DIRS:
        for path in sorted((saved_model_dir / name).rglob("*")):
            if not path.is_dir():
                require_inside(path, saved_model_dir)
                digest = hash_file(path)
                size = f"{path.stat().st_size} bytes, sha256 {digest[:16]}"
                yield path.relative_to(saved_model_dir).as_posix(), size
