"""Reads ML Metadata in few questions, in both of TFX's layouts.

What passes through: names and ids come in, records go out. TFX's portable runners (Local, Beam) tie an
execution to its pipeline, run and node by contexts; its older stack (Airflow) writes the three into the
execution. Only questions that every version of ML Metadata answers are asked: 1.21 has neither filters nor
lineage subgraphs. Each costs a millisecond or more of a database, so none is asked for every execution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from pipelines.metadata.records import ArtifactRecord, ExecutionRecord, RunRecord, Value
from pipelines.metadata.store import open_store

# More ids in one question would make a statement too long for some servers.
_IDS_PER_QUESTION: Final = 500
_PORTABLE_RUN: Final = "pipeline_run"
_LEGACY_RUN: Final = "run"
# Written by TFX's older stack as properties of the execution, all of them texts.
_LEGACY_NODE: Final = "component_id"
_INPUTS: Final = frozenset({"INPUT", "DECLARED_INPUT"})
_OUTPUTS: Final = frozenset({"OUTPUT", "DECLARED_OUTPUT"})

Ends = tuple[dict[str, ArtifactRecord], dict[str, ArtifactRecord]]


class MetadataReader:
    """Answers questions about one store. Types are read once.

    Args:
        store: `ml_metadata.metadata_store.MetadataStore`, open.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def open(cls, location: Path | str) -> Self:
        """Opens a store to read.

        Raises:
            SettingsError: There is none, or it does not let us in.
        """
        return cls(open_store(location))

    def list_pipelines(self) -> list[str]:
        """Names the pipelines that ran, in the order of their first run."""
        return [context.name for context in sorted(self._list_contexts("pipeline"), key=lambda one: one.id)]

    def read_executions(self, pipeline: str, *, run_id: str | None = None) -> list[ExecutionRecord]:
        """Reads the executions of a pipeline, of one run or of all, oldest first."""
        if run_id is not None:
            runs = self._find_runs(pipeline, run_id)
            executions = {one.id: one for run in runs for one in self._ask_executions(run)}
            records = self._make_records(list(executions.values()), None)
            # Two pipelines may have runs of the same name.
            return [record for record in records if record.pipeline == pipeline]
        context = self._find_context("pipeline", pipeline)
        return [] if context is None else self._make_records(self._ask_executions(context), pipeline)

    def read_executions_by_id(self, ids: Iterable[int]) -> list[ExecutionRecord]:
        """Reads certain executions, whatever their pipeline."""
        executions = self._ask(self._store.get_executions_by_id, ids)
        return self._make_records(executions, None)

    def read_runs(self, pipeline: str) -> dict[str, RunRecord]:
        """Reads what was noted about the runs of a pipeline, by run id."""
        return {
            run_id: RunRecord(run_id, _read_values(context.custom_properties))
            for run_id, context in self._list_runs(pipeline)
        }

    def find_artifacts(self, type_name: str) -> list[ArtifactRecord]:
        """Reads all artifacts of a type, oldest first."""
        if type_name not in self._artifact_types.values():
            return []
        found = self._store.get_artifacts_by_type(type_name)
        return sorted((self._make_artifact(one) for one in found), key=lambda one: one.id)

    def find_makers(self, artifact_ids: Iterable[int]) -> dict[int, int]:
        """Finds which execution made an artifact; those that took it from the cache came later.

        Returns:
            Execution id by artifact id.
        """
        makers: dict[int, int] = {}
        for event in self._ask(self._store.get_events_by_artifact_ids, artifact_ids):
            if self._name_event(event) in _OUTPUTS:
                earlier = makers.get(event.artifact_id, event.execution_id)
                makers[event.artifact_id] = min(earlier, event.execution_id)
        return makers

    def find_users(self, artifact_ids: Iterable[int]) -> dict[int, list[int]]:
        """Finds which executions read an artifact: execution ids, oldest first, by artifact id."""
        users: dict[int, list[int]] = defaultdict(list)
        for event in self._ask(self._store.get_events_by_artifact_ids, artifact_ids):
            if self._name_event(event) in _INPUTS:
                users[event.artifact_id].append(event.execution_id)
        return {artifact_id: sorted(set(ids)) for artifact_id, ids in users.items()}

    def _make_records(self, executions: Sequence[Any], pipeline: str | None) -> list[ExecutionRecord]:
        executions = sorted(executions, key=lambda one: int(one.id))
        ends = self._read_ends([one.id for one in executions])
        portable = [one.id for one in executions if _LEGACY_NODE not in one.properties]
        places = self._place_in_pipeline(portable, pipeline) if pipeline else self._place_each(portable)
        records = []
        for one in executions:
            place = places.get(one.id) or _read_legacy_place(one)
            inputs, outputs = ends[one.id]
            records.append(
                ExecutionRecord(
                    id=one.id,
                    node_id=place[1],
                    run_id=place[2],
                    state=self._state_names[one.last_known_state],
                    finished_ms=one.last_update_time_since_epoch,
                    inputs=inputs,
                    outputs=outputs,
                    type_name=self._execution_types.get(one.type_id, ""),
                    pipeline=place[0],
                )
            )
        return records

    def _place_in_pipeline(self, ids: Sequence[int], pipeline: str) -> dict[int, tuple[str, str, str]]:
        """Asks once for each node and once for each run, or for each execution where those are fewer."""
        if not ids:
            return {}
        runs = [
            one for one in self._list_runs(pipeline) if self._context_types[one[1].type_id] == _PORTABLE_RUN
        ]
        if len(ids) <= len(runs):
            return self._place_each(ids)
        wanted = set(ids)
        nodes = {
            one: context.name.removeprefix(f"{pipeline}.")
            for context in self._list_contexts("node")
            if context.name.startswith(f"{pipeline}.")
            for one in self._ask_ids(context, wanted)
        }
        run_ids = {one: run_id for run_id, context in runs for one in self._ask_ids(context, wanted)}
        return {one: (pipeline, nodes.get(one, ""), run_ids.get(one, "")) for one in ids}

    def _place_each(self, ids: Iterable[int]) -> dict[int, tuple[str, str, str]]:
        places = {}
        for one in ids:
            contexts = self._store.get_contexts_by_execution(one)
            names = {self._context_types[context.type_id]: context.name for context in contexts}
            pipeline = names.get("pipeline", "")
            node = names.get("node", "").removeprefix(f"{pipeline}.")
            places[one] = (pipeline, node, names.get(_PORTABLE_RUN, ""))
        return places

    def _ask_ids(self, context: Any, wanted: set[int]) -> Iterator[int]:
        return (one.id for one in self._ask_executions(context) if one.id in wanted)

    def _ask_executions(self, context: Any) -> list[Any]:
        return list(self._store.get_executions_by_context(context.id))

    def _find_runs(self, pipeline: str, run_id: str) -> list[Any]:
        names = ((_PORTABLE_RUN, run_id), (_LEGACY_RUN, f"{pipeline}.{run_id}"))
        found = [self._find_context(kind, name) for kind, name in names]
        return [context for context in found if context is not None]

    def _list_runs(self, pipeline: str) -> list[tuple[str, Any]]:
        """Lists run ids and contexts. The portable stack makes a run's context a child of its pipeline's."""
        context = self._find_context("pipeline", pipeline)
        if context is None:
            return []
        children = self._store.get_children_contexts_by_context(context.id)
        portable = [one for one in children if self._context_types[one.type_id] == _PORTABLE_RUN]
        prefix = f"{pipeline}."
        legacy = [one for one in self._list_contexts(_LEGACY_RUN) if one.name.startswith(prefix)]
        return [
            *((one.name, one) for one in portable),
            *((one.name.removeprefix(prefix), one) for one in legacy),
        ]

    def _find_context(self, kind: str, name: str) -> Any:
        return self._store.get_context_by_type_and_name(kind, name)

    def _list_contexts(self, kind: str) -> list[Any]:
        return list(self._store.get_contexts_by_type(kind)) if kind in self._context_types.values() else []

    def _read_ends(self, execution_ids: Sequence[int]) -> Mapping[int, Ends]:
        ends: dict[int, Ends] = defaultdict(lambda: ({}, {}))
        events = self._ask(self._store.get_events_by_execution_ids, execution_ids)
        events = [
            event for event in events if self._name_event(event) in _INPUTS | _OUTPUTS and event.path.steps
        ]
        found = self._ask(self._store.get_artifacts_by_id, {event.artifact_id for event in events})
        artifacts = {one.id: self._make_artifact(one) for one in found}
        for event in events:
            side = 0 if self._name_event(event) in _INPUTS else 1
            if event.artifact_id in artifacts:
                ends[event.execution_id][side][event.path.steps[0].key] = artifacts[event.artifact_id]
        return ends

    def _make_artifact(self, artifact: Any) -> ArtifactRecord:
        return ArtifactRecord(
            id=artifact.id,
            type_name=self._artifact_types.get(artifact.type_id, ""),
            uri=artifact.uri,
            properties=_read_values(artifact.custom_properties),
        )

    @staticmethod
    def _ask(question: Callable[[Sequence[int]], Sequence[Any]], ids: Iterable[int]) -> list[Any]:
        numbers = sorted(set(ids))
        parts = (numbers[at : at + _IDS_PER_QUESTION] for at in range(0, len(numbers), _IDS_PER_QUESTION))
        return [answer for part in parts for answer in question(part)]

    def _name_event(self, event: Any) -> str:
        return self._event_names[event.type]

    @cached_property
    def _artifact_types(self) -> dict[int, str]:
        return {one.id: one.name for one in self._store.get_artifact_types()}

    @cached_property
    def _execution_types(self) -> dict[int, str]:
        return {one.id: one.name for one in self._store.get_execution_types()}

    @cached_property
    def _context_types(self) -> dict[int, str]:
        return {one.id: one.name for one in self._store.get_context_types()}

    @cached_property
    def _event_names(self) -> dict[int, str]:
        from ml_metadata.proto import metadata_store_pb2

        return {number: name for name, number in metadata_store_pb2.Event.Type.items()}

    @cached_property
    def _state_names(self) -> dict[int, str]:
        from ml_metadata.proto import metadata_store_pb2

        return {number: name.lower() for name, number in metadata_store_pb2.Execution.State.items()}


def _read_legacy_place(execution: Any) -> tuple[str, str, str]:
    names = ("pipeline_name", _LEGACY_NODE, "run_id")
    pipeline, node, run_id = (execution.properties[name].string_value for name in names)
    return pipeline, node, run_id


def _read_values(properties: Any) -> dict[str, Value]:
    return {
        key: getattr(value, kind)
        for key, value in properties.items()
        if (kind := value.WhichOneof("value")) in ("int_value", "double_value", "string_value")
    }
