"""Puts the records of a pipeline together to lineages: what became of each model that was made.

What passes through: executions, oldest first, and notes about runs come in; lineages go out. A model that was
pushed twice has two. Pure values here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipelines.lineage.config import CONFIG_DIGEST, CONFIG_PATH, CONFIG_TEXT
from pipelines.lineage.model_lineage import Lineage, Verdict, find_pushed_path
from pipelines.metadata.records import ArtifactRecord, ExecutionRecord, RunRecord

# What a converter of this project writes on its Model, and nobody else does.
_OWN: Final = "saved_model_digest"
_PREFIXES: Final = ("push_", "validate_", "convert_")
_STAGE_DIRS: Final = 3  # <root>/<node>/<key>/<execution>


@dataclass(frozen=True, slots=True)
class _Stage:
    """A model and what is known of its checks."""

    maker: ExecutionRecord | None
    model: ArtifactRecord
    check: ExecutionRecord | None = None


def trace_executions(
    executions: Sequence[ExecutionRecord], runs: Mapping[str, RunRecord] | None = None
) -> tuple[Lineage, ...]:
    """Traces every model: one lineage for each time that it was pushed or refused, else one by itself.

    Args:
        executions: Of one pipeline, oldest first.
        runs: Notes about its runs, by run id.

    Returns:
        Oldest first. Nothing was looked at on disk but reports of stopped checks.
    """
    tracer = _Tracer(executions, runs or {})
    pushes = [item for item in tracer.done if "pushed_model" in item.outputs]
    lineages = [tracer.trace_push(push) for push in pushes]
    pushed_ids = {lineage.model_id for lineage in lineages}
    for maker in tracer.done:
        for artifact in maker.outputs.values():
            is_own = artifact.type_name == "Model" and _OWN in artifact.properties
            if is_own and artifact.id not in pushed_ids:
                lineages.append(tracer.trace_unfinished(maker, artifact))
    return tuple(sorted(lineages, key=lambda one: (one.finished_at, one.model_id)))


def name_model(node_id: str) -> str:
    """Reads a model's name from a node's: "push_ranker" is of "ranker"."""
    for prefix in _PREFIXES:
        if node_id.startswith(prefix):
            return node_id.removeprefix(prefix)
    return node_id


class _Tracer:
    def __init__(self, executions: Iterable[ExecutionRecord], runs: Mapping[str, RunRecord]) -> None:
        # A cached execution only repeats the artifacts of the one that made them.
        self.done = [item for item in executions if item.state == "complete"]
        self._runs = runs
        self._makers = {
            artifact.id: item for item in reversed(self.done) for artifact in item.outputs.values()
        }
        self._checks: dict[int, list[ExecutionRecord]] = defaultdict(list)
        for item in executions:
            is_check = item.state == "failed" or any(
                artifact.type_name == "ModelBlessing" for artifact in item.outputs.values()
            )
            if is_check and "model" in item.inputs and "model_blessing" not in item.inputs:
                self._checks[item.inputs["model"].id].append(item)

    def trace_push(self, push: ExecutionRecord) -> Lineage:
        blessing = push.inputs.get("model_blessing")
        check = None if blessing is None else self._makers.get(blessing.id)
        model = push.inputs.get("model")
        if model is None and check is not None:
            model = check.inputs.get("model")  # the Pusher took the copy with warm-up requests
        pushed = push.outputs["pushed_model"]
        if model is None:
            model = ArtifactRecord(0, "Model", "", {})
        return self._make(
            _Stage(self._makers.get(model.id), model, check),
            name=name_model(push.node_id),
            end=push,
            pushed=pushed,
        )

    def trace_unfinished(self, maker: ExecutionRecord, model: ArtifactRecord) -> Lineage:
        checks = self._checks[model.id]
        stage = _Stage(maker, model, checks[-1] if checks else None)
        return self._make(stage, name=name_model(maker.node_id), end=None, pushed=None)

    def _make(
        self, stage: _Stage, *, name: str, end: ExecutionRecord | None, pushed: ArtifactRecord | None
    ) -> Lineage:
        model, check = stage.model, stage.check
        blessing = None
        # Of a failed attempt, TFX's older stack keeps what it would have made.
        if check is not None and check.state == "complete":
            blessing = next((one for one in check.outputs.values() if one.type_name == "ModelBlessing"), None)
        step = model.properties.get("source_step")
        last = end or check or stage.maker
        run_id = stage.maker.run_id if stage.maker else ""
        notes = self._runs.get(run_id) or RunRecord(run_id)
        return Lineage(
            model=name,
            source_path=model.get_text("source_path") or model.uri,
            source_format=model.get_text("source_format") or "not converted here",
            source_step=None if step is None else int(step),
            source_digest=model.get_text("source_digest"),
            toolchain=model.get_text("toolchain"),
            model_uri=model.uri,
            saved_model_digest=model.get_text(_OWN),
            target=_name_target(model),
            blessed=blessing is not None and blessing.get_flag("blessed"),
            blessing_message=_explain(check, blessing),
            report_uri=_find_report(model, check),
            pushed_path=None if pushed is None else find_pushed_path(pushed),
            pushed_digest="",
            finished_at=datetime.fromtimestamp((last.finished_ms if last else 0) / 1000, tz=UTC),
            verdict=_judge(check, blessing),
            pushed_version="" if pushed is None else _read_version(pushed),
            pipeline=last.pipeline if last else "",
            run_id=run_id,
            push_run_id=end.run_id if end else "",
            config_path=notes.get_text(CONFIG_PATH),
            config_digest=notes.get_text(CONFIG_DIGEST),
            config_text=notes.get_text(CONFIG_TEXT),
            model_id=model.id,
            upstream=self._name_upstream(stage),
            seen_steps=_read_steps(model.get_text("seen_steps")),
        )

    def _name_upstream(self, stage: _Stage) -> str:
        if stage.maker is None:
            return ""
        source = stage.maker.inputs.get("source_model")
        is_own = _OWN in stage.model.properties
        first = self._makers.get(source.id) if source else None if is_own else stage.maker
        names: dict[str, None] = {}
        waiting = [first] if first else []
        while waiting:
            item = waiting.pop(0)
            if _name_node(item) not in names:
                names[_name_node(item)] = None
                before = (self._makers.get(artifact.id) for artifact in item.inputs.values())
                waiting += [one for one in before if one is not None]
        return " <- ".join(names)


def _name_node(execution: ExecutionRecord) -> str:
    return f"{execution.node_id} ({execution.type_name.rpartition('.')[2]})"


def _name_target(model: ArtifactRecord) -> str:
    target = model.get_text("target")
    return f"{target} (TensorFlow {model.get_text('target_version')})" if target else ""


def _judge(check: ExecutionRecord | None, blessing: ArtifactRecord | None) -> Verdict:
    if blessing is not None:
        return Verdict.FIT if blessing.get_flag("blessed") else Verdict.REFUSED
    if check is not None and check.state == "failed":
        return Verdict.STOPPED
    return Verdict.UNCHECKED


def _explain(check: ExecutionRecord | None, blessing: ArtifactRecord | None) -> str:
    if blessing is not None:
        return blessing.get_text("blessing_message")
    if check is not None and check.state == "failed":
        return f"the node {check.node_id} ended with an error"
    return ""


def _find_report(model: ArtifactRecord, check: ExecutionRecord | None) -> str:
    if check is None:
        return ""
    if check.state == "complete":
        return check.outputs["report"].uri if "report" in check.outputs else ""
    # A node that is set to fail keeps its report beside the place that TFX removes: components/rejection.py.
    parents = Path(model.uri).parents
    if len(parents) < _STAGE_DIRS:
        return ""
    kept = parents[_STAGE_DIRS - 1] / check.node_id / "report" / f"{check.id}-rejected"
    return str(kept) if kept.is_dir() else ""


def _read_version(pushed: ArtifactRecord) -> str:
    path = find_pushed_path(pushed)
    return pushed.get_text("pushed_version") or (path.name if path else "")


def _read_steps(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(part) for part in text.split(",") if part.strip().isdecimal()))
