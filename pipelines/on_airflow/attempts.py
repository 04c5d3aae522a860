"""Attempts of a node in ML Metadata, as TFX's older stack (Airflow) writes them: one execution each.

What passes through: a store of ML Metadata comes in; what a failed or killed attempt left is marked and
cleared away, so that the next one can register. TFX is not imported.

That stack knows one execution a node and run, found by a context of type `component_run`. An execution of an
earlier attempt keeps its row; its context gets another name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

COMPONENT_RUN: Final = "component_run"
PIPELINE_RUN: Final = "run"
# As TFX writes them into the property `state`, beside ML Metadata's own field.
FINAL_STATES: Final = ("complete", "cached", "failed")


# Removes what an execution has written, by the URI of its node's directory and the execution's id. TFX makes
# `<root>/<node>/<output key>/<execution id>` before it registers the artifacts, which thus do not tell all.
RemoveOutputs = Callable[[str, int], None]


def fail_attempt(store: Any, context_name: str, remove_outputs: RemoveOutputs) -> bool:
    """Marks a node's latest attempt as failed, if it has begun and not ended.

    Args:
        store: `ml_metadata.MetadataStore`.
        context_name: "<pipeline>.<run>.<node>".
        remove_outputs: Removes its directories; that there are none is no fault.

    Returns:
        Whether there was such an attempt.
    """
    from ml_metadata.proto import metadata_store_pb2

    context = store.get_context_by_type_and_name(COMPONENT_RUN, context_name)
    if context is None:
        return False
    begun = [
        execution
        for execution in store.get_executions_by_context(context.id)
        if execution.properties["state"].string_value not in FINAL_STATES
    ]
    for execution in begun:
        root, node_id = (execution.properties[key].string_value for key in ("pipeline_root", "component_id"))
        remove_outputs(f"{root.rstrip('/')}/{node_id}", int(execution.id))
        for artifact in _read_outputs(store, execution.id):
            # Only what this attempt made: a cached result belongs to the attempt that made it.
            if artifact.state != metadata_store_pb2.Artifact.LIVE:
                artifact.state = metadata_store_pb2.Artifact.ABANDONED
                artifact.custom_properties["state"].string_value = "abandoned"
                store.put_artifacts([artifact])
        execution.properties["state"].string_value = "failed"
        execution.last_known_state = metadata_store_pb2.Execution.FAILED
        store.put_executions([execution])
    return bool(begun)


def retire_attempt(store: Any, context_name: str, remove_outputs: RemoveOutputs) -> None:
    """Makes room for another attempt of a node in the same run.

    Args:
        store: `ml_metadata.MetadataStore`.
        context_name: "<pipeline>.<run>.<node>"; that of an earlier attempt then ends with ".attempt-<id>".
        remove_outputs: Removes the directories of an attempt that has begun and not ended.
    """
    fail_attempt(store, context_name, remove_outputs)
    context = store.get_context_by_type_and_name(COMPONENT_RUN, context_name)
    if context is None:
        return
    executions = store.get_executions_by_context(context.id)
    last_id = max((int(execution.id) for execution in executions), default=0)
    context.name = f"{context_name}.attempt-{last_id}"
    store.put_contexts([context])


def find_attempt(store: Any, run_context_name: str, node_id: str) -> int | None:
    """Finds a node's newest successful execution in a run.

    Args:
        store: `ml_metadata.MetadataStore`.
        run_context_name: "<pipeline>.<run>".
        node_id: Of the node.

    Returns:
        The execution's id; None when the node has not succeeded.
    """
    context = store.get_context_by_type_and_name(PIPELINE_RUN, run_context_name)
    if context is None:
        return None
    return max(
        (
            int(execution.id)
            for execution in store.get_executions_by_context(context.id)
            if execution.properties["component_id"].string_value == node_id
            and execution.properties["state"].string_value in ("complete", "cached")
        ),
        default=None,
    )


def _read_outputs(store: Any, execution_id: int) -> list[Any]:
    from ml_metadata.proto import metadata_store_pb2

    events = store.get_events_by_execution_ids([execution_id])
    ids = [event.artifact_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT]
    return list(store.get_artifacts_by_id(ids)) if ids else []
