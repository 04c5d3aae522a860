"""The room's only door for a pack: `pack_servable` makes of a validated model what platforms want.

What passes through: a SavedModel, the report that it passed and the user's options come in; one folder goes
out, which is there finished or not at all, with descriptors for each platform, a manifest and a bill of
materials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from servable.baseline import Baseline
from servable.deploy.approval import copy_approved, require_approval
from servable.deploy.batching import plan_batches
from servable.deploy.bill_of_materials import describe_materials
from servable.deploy.choosing import PlatformRuntime, choose_runtimes
from servable.deploy.manifest import MANIFEST_FILE, write_manifest
from servable.deploy.next_steps import PackPlace, list_next_steps
from servable.deploy.notes import list_stand_ins, list_unproven
from servable.deploy.options import PackOptions
from servable.deploy.platform_files import StagedModel, write_platform_files
from servable.deploy.platforms import Platform, require_fit
from servable.deploy.signing import SigningKey, find_signature_path, open_signer, sign_folder
from servable.deploy.tf_serving import LINEAGE_FILE, add_lineage
from servable.deploy.warm_up import WARM_UP_FILE, add_warm_up
from servable.errors import DeployError, SettingsError
from servable.formats.files import replace_file, sync_path
from servable.formats.publishing import publish_dir
from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file
from servable.model import Progress
from servable.report import Report
from servable.runtime.outcome import Limits

MODELS_DIR: Final = "models"
REPORT_FILE: Final = "report.json"
MATERIALS_FILE: Final = "bom.cdx.json"
# What every platform can make a name of its own of.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_MAX_VERSION: Final = 2**63 - 1
# Of these the files are uploaded as a folder, and not as an archive.
_FOLDER_PLATFORMS: Final = frozenset({Platform.TF_SERVING, Platform.KSERVE, Platform.VERTEX})


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack.

    Attributes:
        pack_dir: Its folder.
        name: Of the model.
        version: Of its folder.
        platforms: What runs it on each platform, in words.
        files: Name to size in bytes; the manifest, which lists them, is not among them.
        model_digest: Root digest of the checked files.
        root_digest: Root digest of `files`.
        notes: What the user has to know or do.
        next_steps: Commands that upload it and start a service.
        signature_path: Where it was signed.
    """

    pack_dir: Path
    name: str
    version: int
    platforms: Mapping[Platform, str]
    files: Mapping[str, int]
    model_digest: str
    root_digest: str
    notes: tuple[str, ...]
    next_steps: Mapping[Platform, tuple[str, ...]]
    signature_path: Path | None = None


def pack_servable(
    saved_model_dir: Path,
    out_dir: Path,
    *,
    report: Report,
    platforms: Sequence[Platform],
    name: str,
    version: int = 1,
    baseline: Baseline | None = None,
    options: PackOptions | None = None,
    mlmd_uuid: str = "",
    key: SigningKey | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Pack:
    """Packs a model for platforms.

    Args:
        saved_model_dir: The folder with `saved_model.pb`, as it was checked. Nothing in it is changed.
        out_dir: The pack's folder; must not exist, or be empty.
        report: Of `servable.checks.suite.check_servable` on this very model.
        platforms: What it is packed for.
        name: Of the model: letters, digits, hyphens, underscores.
        version: Of its folder; TensorFlow Serving takes the largest.
        baseline: Whose inputs become warm-up requests.
        options: What is particular to a platform.
        mlmd_uuid: Id of the model in ML Metadata, for TensorFlow Serving to publish.
        key: Signs the finished pack; the signature lies beside it.
        limits: Of the runtime that answers warm-up requests.
        progress: Told of the bytes copied and hashed.

    Returns:
        What was made.

    Raises:
        NotApprovedError: The model did not pass its checks, or a platform's version does not run it.
        DeployError: A file is not what was checked, or what was asked for cannot be made of this model.
        SettingsError: A name, a version, an option or the key cannot be.
        ExportError: The folder is not empty, or cannot be written.
        CheckError: TensorFlow's C++ library is not there.

    Example:
        >>> report = check_servable(Path("digits/1"))
        >>> pack = pack_servable(
        ...     Path("digits/1"), Path("pack"), report=report, platforms=[Platform.TF_SERVING], name="digits"
        ... )
        >>> sorted(path.name for path in pack.pack_dir.iterdir())
        ['bom.cdx.json', 'manifest.json', 'models', 'report.json', 'tf-serving']
    """
    options = options or PackOptions()
    approval = require_approval(report)
    _require_name(name, version)
    runtimes = choose_runtimes(platforms, approval.target, options)
    signer = None if key is None else open_signer(key)
    signature_path = find_signature_path(out_dir)
    if signer is not None and signature_path.exists():
        raise DeployError("There is a signature of another pack.", where=str(signature_path))
    with publish_dir(out_dir, what="pack", last_file=MANIFEST_FILE) as pack_dir:
        pack_dir.mkdir()
        has_folder = not _FOLDER_PLATFORMS.isdisjoint(platforms)
        home = pack_dir if has_folder else pack_dir.parent
        staged = StagedModel(
            name,
            version,
            home / MODELS_DIR / name / str(version),
            approval,
            baseline,
            plan_batches(report),
            options,
            limits or Limits(),
            progress,
        )
        copy_approved(saved_model_dir, staged.model_dir, approval, progress=progress)
        meta_graph = _read_served_graph(staged.model_dir)
        require_fit(meta_graph, {runtime.words: runtime.gate for runtime in runtimes.values()})
        notes = [*list_stand_ins(platforms, options), *list_unproven(runtimes, approval)]
        notes += _add_to_model(staged, platforms, mlmd_uuid)
        for platform, runtime in runtimes.items():
            notes += write_platform_files(platform, pack_dir / platform, staged, release=runtime.release)
        _write_records(pack_dir, staged, meta_graph)
        _sync_files(pack_dir)
        facts = _describe_pack(staged, runtimes)
        manifest = write_manifest(pack_dir, facts, progress=progress)
        signature = None if signer is None else sign_folder(pack_dir, signer)
    if signature is not None:
        with replace_file(signature_path) as file:
            file.write(signature)
    place = PackPlace(out_dir, name, version, options)
    return Pack(
        out_dir,
        name,
        version,
        {platform: runtime.words for platform, runtime in runtimes.items()},
        {file: entry["size_bytes"] for file, entry in manifest["files"].items()},
        approval.digest,
        manifest["root_digest"],
        tuple(dict.fromkeys(notes)),
        {
            platform: list_next_steps(platform, place, release=runtime.release)
            for platform, runtime in runtimes.items()
        },
        None if signature is None else signature_path,
    )


def _require_name(name: str, version: int) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            "This name of a model cannot be.",
            expected="a letter, then letters, digits, hyphens or underscores, 63 in all",
            received=repr(name),
        )
    if not 1 <= version <= _MAX_VERSION:
        raise SettingsError("This version cannot be.", expected="1 or more", received=str(version))


def _read_served_graph(model_dir: Path) -> Any:
    graphs = read_model_file(find_model_file(model_dir)).meta_graphs
    # Check `tags` has found one.
    return next(graph for graph in graphs if set(graph.meta_info_def.tags) == {SERVE_TAG})


def _add_to_model(staged: StagedModel, platforms: Sequence[Platform], mlmd_uuid: str) -> Iterator[str]:
    """Adds what TensorFlow Serving looks for in the version's folder; what was checked is left alone."""
    if set(platforms) <= {Platform.EAS}:
        return
    for path, is_wanted in ((WARM_UP_FILE, staged.baseline is not None), (LINEAGE_FILE, bool(mlmd_uuid))):
        if is_wanted and path.as_posix() in staged.approval.hashes:
            yield f"{path.as_posix()} of the checked model was kept"
    if mlmd_uuid and LINEAGE_FILE.as_posix() not in staged.approval.hashes:
        add_lineage(staged.model_dir, mlmd_uuid)
    if WARM_UP_FILE.as_posix() in staged.approval.hashes:
        return
    names = set(staged.approval.report.facts.get("signature_specs") or {})
    if staged.baseline is None or names.isdisjoint(staged.baseline.samples):
        yield "no warm-up requests for TensorFlow Serving: there is no baseline of the model's signatures"
        return
    made = add_warm_up(staged.model_dir, staged.baseline, limits=staged.limits)
    if made.faults:
        raise DeployError(
            "The model does not answer the warm-up requests for TensorFlow Serving.",
            received="; ".join(made.faults),
            advice="check the model with this baseline, or pack it without one",
        )
    yield "the warm-up requests hold rows of the baseline: look whether they may leave your hands"


def _write_records(pack_dir: Path, staged: StagedModel, meta_graph: Any) -> None:
    (pack_dir / REPORT_FILE).write_text(staged.approval.report.to_json() + "\n", encoding="utf-8")
    materials = describe_materials(
        staged.name,
        staged.version,
        staged.approval,
        producer=meta_graph.meta_info_def.tensorflow_version,
    )
    text = json.dumps(materials, indent=2, sort_keys=True)
    (pack_dir / MATERIALS_FILE).write_text(text + "\n", encoding="utf-8")


def _describe_pack(staged: StagedModel, runtimes: Mapping[Platform, PlatformRuntime]) -> dict[str, Any]:
    return {
        "name": staged.name,
        "version": staged.version,
        "model": {"digest": staged.approval.digest, "sha256": dict(staged.approval.hashes)},
        "target": staged.approval.target.name,
        "platforms": {platform.value: runtime.words for platform, runtime in runtimes.items()},
    }


def _sync_files(pack_dir: Path) -> None:
    for path in pack_dir.rglob("*"):
        if path.is_file():
            sync_path(path)
