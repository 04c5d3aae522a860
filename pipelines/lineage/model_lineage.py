"""Lineage: from the source's digest to the pushed model, as ML Metadata recorded it.

What passes through: `python -m pipelines lineage CONFIG` asks, plain values and a text come out. TFX is not
imported, so the answer takes a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pipelines.metadata.records import ArtifactRecord
from pipelines.settings import Settings
from servable.formats.digest import HASHERS, digest_tree


class Verdict(StrEnum):
    """What the checks said of a model."""

    FIT = "fit to serve"
    REFUSED = "not fit to serve"
    STOPPED = "checks failed"  # the node of the checks ended with an error
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The way of one model from its source to the place where it was pushed, or refused.

    Attributes:
        model: Name in the settings.
        source_path: Exact prefix or file that was read.
        source_format: Its kind, such as "tf1-saver".
        source_step: Training step, where the source has one.
        source_digest: Digest over names and contents of the source's files.
        toolchain: Versions that converted it.
        model_uri: The Model artifact.
        saved_model_digest: Digest of the SavedModel's tree when it was written.
        target: The runtime that it is for and its TensorFlow; "" where an older release did not say.
        blessed: Whether it was found fit to serve.
        blessing_message: Why, in one sentence.
        report_uri: Directory with `report.html` and `report.json`; "" where none was made.
        pushed_path: Version directory that a server loads; None when nothing was pushed.
        pushed_digest: Digest of what lies there now, "" when nothing does, or nobody has looked.
        finished_at: When it was pushed or refused; when it was converted, where neither happened.
        verdict: What the checks said.
        pushed_version: Its number; "" when nothing was pushed.
        pipeline: Name in ML Metadata.
        run_id: The run that converted it.
        push_run_id: The run that pushed or refused it; "" where none did.
        config_path: The settings file of that run; "" where it was not noted.
        config_digest: sha256 of that file then.
        config_text: Its text.
        model_id: The Model artifact's id in ML Metadata.
        upstream: What made the source, where a node of the pipeline did, such as "Trainer (Trainer)".
        seen_steps: Steps that lay beside the one that was converted, in ascending order, itself included.
        skipped_steps: Steps that appeared since the conversion before and were never converted.
    """

    model: str
    source_path: str
    source_format: str
    source_step: int | None
    source_digest: str
    toolchain: str
    model_uri: str
    saved_model_digest: str
    target: str
    blessed: bool
    blessing_message: str
    report_uri: str
    pushed_path: Path | None
    pushed_digest: str
    finished_at: datetime
    verdict: Verdict = Verdict.UNCHECKED
    pushed_version: str = ""
    pipeline: str = ""
    run_id: str = ""
    push_run_id: str = ""
    config_path: str = ""
    config_digest: str = ""
    config_text: str = ""
    model_id: int = 0
    upstream: str = ""
    seen_steps: tuple[int, ...] = ()
    skipped_steps: tuple[int, ...] = ()

    @property
    def is_intact(self) -> bool:
        """True when what was pushed still is, byte for byte, what was converted and checked."""
        return bool(self.pushed_digest) and self.pushed_digest == self.saved_model_digest

    @property
    def report_path(self) -> Path | None:
        """The page of the checks."""
        return Path(self.report_uri) / "report.html" if self.report_uri else None


def trace_lineage(settings: Settings) -> tuple[Lineage, ...]:
    """Traces every push and every refusal of the models in the settings, oldest first.

    Args:
        settings: Their pipeline names the metadata; what lies at the destinations is digested.

    Raises:
        SettingsError: The pipeline has not run yet.
    """
    from pipelines.history.tracing import trace_history

    names = {model.name for model in settings.models}
    entries = trace_history(settings.pipeline.metadata, settings.pipeline.name)
    return tuple(look_at_pushed(entry) for entry in entries if entry.model in names)


def look_at_pushed(lineage: Lineage) -> Lineage:
    """Digests what lies at the destination now."""
    if lineage.pushed_path is None or not lineage.pushed_path.is_dir():
        return lineage
    return replace(lineage, pushed_digest=digest_pushed(lineage.pushed_path, lineage.saved_model_digest))


def digest_pushed(folder: Path, expected: str) -> str:
    """Digests a pushed model. What was added to it for the server does not count, as long as it is beside it.

    Args:
        folder: The version directory.
        expected: Digest of the SavedModel as it was converted, by this version or an older one.
    """
    return expected if expected in digest_each_way(folder) else digest_tree(folder)


def digest_each_way(folder: Path) -> Iterator[str]:
    """Digests a version without and with what was added for the server, and then as older records have it."""
    from components.served_model import digest_model

    for make_hasher, digest in itertools.product(HASHERS, (digest_model, digest_tree)):
        yield digest(folder, make_hasher=make_hasher)


def find_pushed_path(pushed: ArtifactRecord) -> Path | None:
    """Reads from a PushedModel artifact where the model was pushed; None when it was refused."""
    return Path(pushed.get_text("pushed_destination")) if pushed.get_flag("pushed") else None


def render_lineage(lineages: tuple[Lineage, ...]) -> str:
    """Writes lineages for people, one paragraph each."""
    from pipelines.lineage.text import render_one

    if not lineages:
        return "Nothing was pushed or refused yet."
    return "\n\n".join(render_one(lineage) for lineage in lineages)
