"""Writes into ML Metadata what many runs of a pipeline would have left there, in a few seconds.

What passes through: a location and a number of runs come in; contexts, executions, artifacts and events go
into the store, in the layout of TFX's portable runners (Local, Beam) or its older one (Airflow). Nothing is
trained, converted or pushed, and no artifact lies where its URI says.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.metadata.store import open_store

_FIRST_VERSION = 1_700_000_000
_STEPS_PER_RUN = 100
# Component class paths, which are the names of the execution types.
_TYPES = {
    "convert": "components.checkpoint_importer.component.CheckpointImporter",
    "validate": "components.saved_model_validator.component.SavedModelValidator",
    "push": "tfx.components.pusher.component.Pusher",
}


@dataclass(frozen=True, slots=True)
class RunStory:
    """What becomes of the runs.

    Attributes:
        runs: How many.
        unchanged_every: Every so many-th run finds nothing new and takes the cache; 0 for none.
        refused_every: Every so many-th run's model is not fit to serve; 0 for none.
        is_legacy: Whether the layout is that of AirflowDagRunner.
    """

    runs: int
    unchanged_every: int = 0
    refused_every: int = 0
    is_legacy: bool = False

    def is_unchanged(self, number: int) -> bool:
        """Says whether a run, counted from 0, finds nothing new."""
        return _falls_on(number, self.unchanged_every) and number > 0

    def is_refused(self, number: int) -> bool:
        """Says whether a run's model is refused."""
        return _falls_on(number, self.refused_every)


def _falls_on(number: int, every: int) -> bool:
    return every > 0 and (number + 1) % every == 0


def write_runs(
    location: Path | str, story: RunStory, *, pipeline: str = "many_runs", model: str = "ranker"
) -> list[str]:
    """Writes runs of a pipeline with one model.

    Args:
        location: Where ML Metadata is kept; it is made when it is missing.
        story: What becomes of them.
        pipeline: Its name.
        model: Its name; the nodes are convert_, validate_ and push_ with it.

    Returns:
        The run ids, oldest first.
    """
    writer = _RunWriter(open_store(location, read_only=False), story, pipeline, model)
    return [writer.write_run(number) for number in range(story.runs)]


class _RunWriter:
    def __init__(self, store: Any, story: RunStory, pipeline: str, model: str) -> None:
        from ml_metadata.proto import metadata_store_pb2

        self._store, self._story, self._pipeline, self._model = store, story, pipeline, model
        self._proto = metadata_store_pb2
        self._types: dict[tuple[str, str], int] = {}
        self._made: dict[str, dict[str, int]] = {}

    def write_run(self, number: int) -> str:
        run_id = f"2026-01-{number // 24 + 1:02d}T{number % 24:02d}:15:00.{number:06d}"
        if self._story.is_legacy:
            run_id = f"scheduled__{run_id}+00:00"
        for stage in ("convert", "validate", "push"):
            self._write_execution(number, stage, run_id)
        if not self._story.is_legacy:
            parent = self._store.get_context_by_type_and_name("pipeline", self._pipeline)
            child = self._store.get_context_by_type_and_name("pipeline_run", run_id)
            tie = self._proto.ParentContext(parent_id=parent.id, child_id=child.id)
            self._store.put_parent_contexts([tie])
        return run_id

    def _write_execution(self, number: int, stage: str, run_id: str) -> None:
        node = f"{stage}_{self._model}"
        is_cached = self._story.is_unchanged(number)
        states = self._proto.Execution
        execution = self._proto.Execution(
            type_id=self._find_type("execution", _TYPES[stage]),
            last_known_state=states.CACHED if is_cached else states.COMPLETE,
        )
        if self._story.is_legacy:
            properties = {
                "pipeline_name": self._pipeline,
                "pipeline_root": "out/pipeline",
                "run_id": run_id,
                "component_id": node,
                "state": "cached" if is_cached else "complete",
            }
            _fill(execution.properties, properties)
        else:
            execution.name = str(uuid.uuid4())
            if not is_cached and stage == "convert":
                _fill(
                    execution.custom_properties, {"source": "training", "source_digest": _digest("s", number)}
                )
        artifacts, edges = self._make_ends(number, stage, run_id, is_cached=is_cached)
        _, ids, _ = self._store.put_lineage_subgraph(
            [execution],
            [artifact for _, artifact in artifacts],
            self._list_contexts(node, run_id),
            edges,
            reuse_context_if_already_exist=True,
        )
        self._made.setdefault(stage, {}).update(
            {key: artifact_id for (key, _), artifact_id in zip(artifacts, ids, strict=True)}
        )

    def _make_ends(
        self, number: int, stage: str, run_id: str, *, is_cached: bool
    ) -> tuple[list[tuple[str, Any]], list[tuple[int, int | None, Any]]]:
        inputs: list[tuple[str, int]] = []
        if stage == "validate":
            inputs = [(key, self._made["convert"][key]) for key in ("model", "baseline")]
        elif stage == "push":
            inputs = [
                ("model", self._made["convert"]["model"]),
                ("model_blessing", self._made["validate"]["blessing"]),
            ]
        edges: list[tuple[int, int | None, Any]] = [
            (0, None, self._make_event("INPUT", key, artifact_id)) for key, artifact_id in inputs
        ]
        if is_cached:
            edges += [
                (0, None, self._make_event("OUTPUT", key, artifact_id))
                for key, artifact_id in self._made[stage].items()
            ]
            return [], edges
        outputs = [
            (key, self._make_artifact(type_name, f"out/pipeline/{stage}/{key}/{number}", properties))
            for key, type_name, properties in self._list_outputs(number, stage)
        ]
        if self._story.is_legacy:
            for key, artifact in outputs:
                artifact.name = f"{stage}_{self._model}:{key}:0:{run_id}"
        edges += [(0, index, self._make_event("OUTPUT", key)) for index, (key, _) in enumerate(outputs)]
        return outputs, edges

    def _list_outputs(self, number: int, stage: str) -> list[tuple[str, str, Mapping[str, str | int]]]:
        refused = self._story.is_refused(number)
        step = (number + 1) * _STEPS_PER_RUN
        if stage == "convert":
            properties: dict[str, str | int] = {
                "source_path": f"training/model.ckpt-{step}",
                "source_format": "tf1-saver",
                "source_step": step,
                "source_digest": _digest("s", number),
                "options_digest": "none",
                "saved_model_digest": _digest("m", number),
                "signatures": "{}",
                "target": "current",
                "target_version": "2.21.0",
                "toolchain": "tfx-servable 0.1.0, tensorflow 2.21.0",
            }
            return [("model", "Model", properties), ("baseline", "InferenceResult", properties)]
        if stage == "validate":
            blessing: dict[str, str | int] = {
                "blessed": int(not refused),
                "blessing_message": "Not fit to serve: 1 error." if refused else "Fit to serve.",
                "current_model_id": self._made["convert"]["model"],
                "reasons": "weights: 3 values are NaN" if refused else "",
            }
            return [
                ("blessing", "ModelBlessing", blessing),
                ("report", "ModelEvaluation", {"errors": int(refused)}),
            ]
        if refused:
            return [("pushed_model", "PushedModel", {"pushed": 0})]
        version = str(_FIRST_VERSION + number)
        pushed: dict[str, str | int] = {
            "pushed": 1,
            "pushed_destination": f"pushed/{self._model}/{version}",
            "pushed_version": version,
        }
        return [("pushed_model", "PushedModel", pushed)]

    def _list_contexts(self, node: str, run_id: str) -> list[Any]:
        names = (
            {
                "pipeline": self._pipeline,
                "run": f"{self._pipeline}.{run_id}",
                "component_run": f"{self._pipeline}.{run_id}.{node}",
            }
            if self._story.is_legacy
            else {"pipeline": self._pipeline, "pipeline_run": run_id, "node": f"{self._pipeline}.{node}"}
        )
        return [
            self._proto.Context(type_id=self._find_type("context", kind), name=name)
            for kind, name in names.items()
        ]

    def _make_artifact(self, type_name: str, uri: str, properties: Mapping[str, str | int]) -> Any:
        artifact = self._proto.Artifact(
            type_id=self._find_type("artifact", type_name), uri=uri, state=self._proto.Artifact.LIVE
        )
        _fill(artifact.custom_properties, properties)
        return artifact

    def _make_event(self, kind: str, key: str, artifact_id: int | None = None) -> Any:
        event = self._proto.Event(type=self._proto.Event.Type.Value(kind), artifact_id=artifact_id)
        event.path.steps.add(key=key)
        event.path.steps.add(index=0)
        return event

    def _find_type(self, kind: str, name: str) -> int:
        if (kind, name) not in self._types:
            message = getattr(self._proto, f"{kind.capitalize()}Type")(name=name)
            if kind == "execution" and self._story.is_legacy:
                for key in ("pipeline_name", "pipeline_root", "run_id", "component_id", "state"):
                    message.properties[key] = self._proto.STRING
            put = getattr(self._store, f"put_{kind}_type")
            self._types[kind, name] = put(message, can_add_fields=True, can_omit_fields=True)
        return self._types[kind, name]


def _fill(properties: Any, values: Mapping[str, str | int]) -> None:
    for key, value in values.items():
        if isinstance(value, int):
            properties[key].int_value = value
        else:
            properties[key].string_value = value


def _digest(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind}{number}".encode()).hexdigest()
