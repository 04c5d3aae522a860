"""Lineage: from the source's digest to the pushed model, as ML Metadata recorded it.

What passes through: `python -m pipelines lineage CONFIG` asks, plain values and a text come out. TFX is not
imported, so the answer takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.conversion import Branch
from pipelines.records import ArtifactRecord, ExecutionRecord, read_executions
from pipelines.settings import Settings
from servable.formats.digest import digest_tree


@dataclass(frozen=True, slots=True)
class Lineage:
    """The way of one model from its source to the place where it was pushed, or refused.

    Attributes:
        model: Name in the settings.
        source_path: Exact prefix or file that was read.
        source_format: Its kind, such as "tf1-saver".
        source_step: Training step, where the source has one.
        source_digest: sha256 over names and contents of the source's files.
        toolchain: Versions that converted it.
        model_uri: The Model artifact.
        saved_model_digest: sha256 of the SavedModel's tree when it was written.
        target: The runtime that it is for and its TensorFlow; "" where an older release did not say.
        blessed: Whether it was found fit to serve.
        blessing_message: Why, in one sentence.
        report_uri: Directory with `report.html` and `report.json`.
        pushed_path: Version directory that a server loads; None when nothing was pushed.
        pushed_digest: sha256 of what lies there now, "" when nothing does.
        finished_at: When it was pushed or refused.
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

    @property
    def is_intact(self) -> bool:
        """True when what was pushed still is, byte for byte, what was converted and checked."""
        return bool(self.pushed_digest) and self.pushed_digest == self.saved_model_digest


def trace_lineage(settings: Settings) -> tuple[Lineage, ...]:
    """Traces every push and every refusal of the models in the settings, oldest first.

    Args:
        settings: Their pipeline names the metadata; what lies at the destinations is digested.

    Raises:
        SettingsError: The pipeline has not run yet.
    """
    executions = read_executions(settings.pipeline.metadata, settings.pipeline.name)
    # A cached execution only repeats the artifacts of the one that made them.
    makers = {
        artifact.id: execution
        for execution in executions
        if execution.state == "complete"
        for artifact in execution.outputs.values()
    }
    lineages = []
    for model in settings.models:
        node_id = Branch.from_name(model.name).push
        pushes = [item for item in executions if item.node_id == node_id and item.state == "complete"]
        lineages += [_trace_push(model.name, push, makers) for push in pushes]
    return tuple(sorted(lineages, key=lambda lineage: lineage.finished_at))


def _trace_push(name: str, push: ExecutionRecord, makers: dict[int, ExecutionRecord]) -> Lineage:
    model, blessing, pushed = (
        push.inputs["model"],
        push.inputs["model_blessing"],
        push.outputs["pushed_model"],
    )
    report = makers[blessing.id].outputs["report"]
    step = model.properties.get("source_step")
    pushed_path = find_pushed_path(pushed)
    return Lineage(
        model=name,
        source_path=model.get_text("source_path"),
        source_format=model.get_text("source_format"),
        source_step=None if step is None else int(step),
        source_digest=model.get_text("source_digest"),
        toolchain=model.get_text("toolchain"),
        model_uri=model.uri,
        saved_model_digest=model.get_text("saved_model_digest"),
        target=_name_target(model),
        blessed=blessing.get_flag("blessed"),
        blessing_message=blessing.get_text("blessing_message"),
        report_uri=report.uri,
        pushed_path=pushed_path,
        pushed_digest=digest_tree(pushed_path) if pushed_path is not None and pushed_path.is_dir() else "",
        finished_at=datetime.fromtimestamp(push.finished_ms / 1000, tz=UTC),
    )


def _name_target(model: ArtifactRecord) -> str:
    target = model.get_text("target")
    return f"{target} (TensorFlow {model.get_text('target_version')})" if target else ""


def find_pushed_path(pushed: ArtifactRecord) -> Path | None:
    """Reads from a PushedModel artifact where the model was pushed; None when it was refused."""
    return Path(pushed.get_text("pushed_destination")) if pushed.get_flag("pushed") else None


def render_lineage(lineages: tuple[Lineage, ...]) -> str:
    """Writes lineages for people, one paragraph each."""
    if not lineages:
        return "Nothing was pushed or refused yet."
    return "\n\n".join(_render_one(lineage) for lineage in lineages)


def _render_one(lineage: Lineage) -> str:
    step = "" if lineage.source_step is None else f", step {lineage.source_step}"
    rows = [
        ("source", f"{lineage.source_path} ({lineage.source_format}{step})"),
        ("", f"sha256 {lineage.source_digest}"),
        ("converted", lineage.model_uri),
        ("", f"sha256 {lineage.saved_model_digest}"),
        ("by", lineage.toolchain),
        *([("for", lineage.target)] if lineage.target else []),
        ("checked", lineage.blessing_message),
        ("", str(Path(lineage.report_uri) / "report.html")),
        ("pushed", _describe_push(lineage)),
    ]
    title = f"{lineage.model}, {lineage.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    return "\n".join([title, *(f"  {label:<10} {text}" for label, text in rows)])


def _describe_push(lineage: Lineage) -> str:
    if lineage.pushed_path is None:
        return "no, it was not found fit to serve"
    if not lineage.pushed_digest:
        return f"{lineage.pushed_path} (no longer there)"
    state = "still the same bytes" if lineage.is_intact else "CHANGED since it was checked"
    return f"{lineage.pushed_path} ({state})"
