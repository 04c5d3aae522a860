"""Check `layout`: are the files there, readable, all inside the folder, and none too many?

What passes through: a folder that nobody has looked at yet. Nothing in it is followed or opened before it is
known to be a plain file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from servable.checks.context import Check, Context, describe_error, make_error, make_warning
from servable.checks.folder_names import check_version, find_unread_files
from servable.errors import SourceError
from servable.graphs.saved_model_parts import MODEL_FILE, MODEL_FILES, read_assets
from servable.report import Finding, Report, Severity

_NAME = "layout"


def _check_layout(context: Context) -> Report:
    root = context.saved_model_dir
    if not root.is_dir():
        return context.make_report(_NAME, [make_error(_NAME, "there is no such folder", where=str(root))])
    findings = list(_find_foreign_files(root))
    if not any((root / name).is_file() for name in MODEL_FILES):
        findings.append(
            make_error(
                _NAME,
                f"the folder has neither {' nor '.join(MODEL_FILES)}",
                where=str(root),
                advice="Name the folder that holds saved_model.pb itself, such as MODEL/1.",
            )
        )
    if context.policy.version_folder:
        findings += check_version(_NAME, root)
    facts = {}
    if not any(
        finding.severity is Severity.ERROR for finding in findings
    ):  # only now is it safe to open anything
        try:
            graphs = context.saved_model.meta_graphs
        except SourceError as error:
            findings.append(make_error(_NAME, describe_error(error), where=str(context.model_path)))
        else:
            if not graphs:
                findings.append(make_error(_NAME, "the file holds no graph", where=str(context.model_path)))
            findings += [f for graph in graphs for f in _check_assets(root, graph)]
            findings += find_unread_files(_NAME, root, graphs)
            facts["saved_model_bytes"] = sum(path.stat().st_size for path in _walk(root) if path.is_file())
    return context.make_report(_NAME, findings, facts)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):  # does not follow links
        yield from (Path(folder) / name for name in sorted([*folders, *files]))


def _find_foreign_files(root: Path) -> Iterator[Finding]:
    home = root.resolve()
    for path in _walk(root):
        where = path.relative_to(root).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not path.resolve().is_relative_to(home):
                yield make_error(
                    _NAME,
                    "a symbolic link leads out of the folder",
                    where=where,
                    advice="Copy the file itself into the SavedModel.",
                )
            elif path.readlink().is_absolute():
                yield make_error(
                    _NAME,
                    "a symbolic link names this folder by its absolute path, so that a copy leads back here",
                    where=where,
                    advice="Copy the file itself into the SavedModel.",
                )
            elif not path.exists():
                yield make_error(_NAME, "a symbolic link leads nowhere", where=where)
        elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            yield make_error(_NAME, "this is neither a file nor a folder", where=where)
        elif stat.S_ISREG(mode) and where.startswith("assets") and MODEL_FILE in where:
            # tfx/components/pusher copies everything but what matches this name, then the graph itself.
            yield make_error(
                _NAME,
                f"the name of an asset contains {MODEL_FILE}, so that TFX's Pusher would leave it out",
                where=where,
                advice="Rename the file and export again.",
            )


def _check_assets(root: Path, meta_graph: Any) -> Iterator[Finding]:
    try:
        assets = read_assets(meta_graph)
    except SourceError as error:
        yield make_error(_NAME, describe_error(error))
        return
    for asset in assets:
        name = PurePosixPath(asset.filename)
        where = f"asset {asset.filename!r}"
        if not asset.filename or name.is_absolute() or ".." in name.parts or "\\" in asset.filename:
            yield make_error(_NAME, "the path of an asset leads out of assets/", where=where)
        elif not (root / "assets" / name).is_file():
            yield make_error(
                _NAME,
                "the graph needs a file that is not in assets/",
                where=where,
                advice="Export again with the file, or copy it there.",
            )
        elif not asset.tensor_info.name:
            yield make_warning(
                _NAME, "an asset belongs to no tensor: the loader won't hand it on", where=where
            )


CHECK = Check(_NAME, _check_layout)
