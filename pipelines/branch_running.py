"""Runs the models' branches one beside the other, on whatever runner takes a compiled pipeline.

What passes through: `Settings` and a runner's way to run come in, every branch is run under one run id, a
`RunOutcome` goes out. TFX is imported when something is run, not before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.conversion import Branch, create_pipeline
from pipelines.lineage.config import note_config
from pipelines.metadata.records import read_executions
from pipelines.metadata.store import open_store
from pipelines.outcome import ModelOutcome, RunOutcome, describe_outcome, find_newest_version, must_push_again
from pipelines.settings import ModelSettings, Settings

# A newest version that lies further ahead is not one of a moment ago: `describe_outcome` tells of it.
_CLOCK_WAIT_S = 2

RunCompiled = Callable[[Any], None]


def run_branches(
    settings: Settings,
    run_compiled: RunCompiled,
    *,
    report_model: Callable[[ModelOutcome], None] | None = None,
) -> RunOutcome:
    """Runs the branches, as many at once as the settings have workers.

    A branch that fails does not keep the others from running: each is compiled as a pipeline of its own with
    the same name, which shares node ids, cache and metadata with the pipeline of all.

    Args:
        settings: What to run.
        run_compiled: Runs a pipeline in TFX's intermediate representation, its run id filled in.
        report_model: Called with each model's outcome, in the order of the settings.

    Returns:
        What was done for each model. A branch that failed is told there, not raised.

    Raises:
        OSError: The directories of metadata or artifacts cannot be made.
        SettingsError: ML Metadata cannot be opened.
    """
    settings.pipeline.root.mkdir(parents=True, exist_ok=True)
    run_id = datetime.now().isoformat()
    # Before TFX is imported: a server that is down, or a wrong password, is told at once.
    open_store(settings.pipeline.metadata, read_only=False)
    outcomes = []
    for outcome in _run_models(settings, run_compiled, run_id):
        if report_model is not None:
            report_model(outcome)
        outcomes.append(outcome)
    return RunOutcome(run_id, tuple(outcomes))


def _note_config(settings: Settings, run_id: str) -> None:
    """Notes the settings of a run, once TFX has made it a child of its pipeline."""
    if settings.config_path is not None:
        where, name = settings.pipeline.metadata, settings.pipeline.name
        note_config(where, name, run_id=run_id, config_path=settings.config_path)


def _run_models(settings: Settings, run_compiled: RunCompiled, run_id: str) -> Iterator[ModelOutcome]:
    workers = min(settings.pipeline.workers, len(settings.models))
    if workers == 1:
        for model in settings.models:
            yield _run_model(settings, model, run_compiled, run_id)
        return
    # Importing TFX is not safe from two threads at once.
    import_tfx()
    # Threads will do: what takes long runs in processes of its own, or in C++.
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda model: _run_model(settings, model, run_compiled, run_id), settings.models)


def import_tfx() -> None:
    """Imports what a run needs of TFX, for who wants to run in threads or forks."""
    from tfx.components.pusher import component  # noqa: F401
    from tfx.dsl.compiler import compiler  # noqa: F401
    from tfx.orchestration.local import local_dag_runner  # noqa: F401


def _run_model(
    settings: Settings, model: ModelSettings, run_compiled: RunCompiled, run_id: str
) -> ModelOutcome:
    branch = settings.select(model.name)
    push_node = Branch.from_model(model).push
    error: Exception | None = None
    try:
        _run_branch(branch, run_compiled, run_id)
        _note_config(settings, run_id)
        pushes = [item for item in _read(branch) if item.node_id == push_node]
        if must_push_again(next((item for item in pushes if item.run_id == run_id), None), pushes):
            # Within one run ML Metadata has one execution per node, so this is a run of its own.
            run_id = f"{run_id}-push-again"
            _run_branch(branch, run_compiled, run_id, uncached_node=push_node)
            _note_config(settings, run_id)
    except Exception as raised:
        # TFX re-raises whatever an executor raised, and a failed branch must not take the others with it.
        error = raised
    return describe_outcome(model, _read_of_run(branch, run_id), error=error)


def _read(settings: Settings) -> list[Any]:
    return read_executions(settings.pipeline.metadata, settings.pipeline.name)


def _read_of_run(settings: Settings, run_id: str) -> list[Any]:
    metadata = settings.pipeline.metadata
    if isinstance(metadata, Path) and not metadata.is_file():
        return []
    return read_executions(metadata, settings.pipeline.name, run_id=run_id)


def _run_branch(
    settings: Settings, run_compiled: RunCompiled, run_id: str, *, uncached_node: str | None = None
) -> None:
    pipeline = create_pipeline(settings)
    for model in settings.models:
        _wait_for_version(model)

    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration.portable import runtime_parameter_utils

    compiled = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    for node in compiled.nodes:
        if node.pipeline_node.node_info.id == uncached_node:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    run_compiled(compiled)


def _wait_for_version(model: ModelSettings) -> None:
    """Lets the clock pass the newest version's number.

    TFX's Pusher numbers versions by whole seconds and takes an existing directory for its own work of an
    earlier attempt: a second push within one second would push nothing and say that it did.
    """
    newest = find_newest_version(model.push_dir)
    if newest is not None and 0 <= (ahead_s := int(newest.name) - int(time.time())) <= _CLOCK_WAIT_S:
        time.sleep(ahead_s + 1)
