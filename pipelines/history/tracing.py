"""History: every model that a pipeline made, and what became of it.

What passes through: where ML Metadata is kept and a pipeline's name come in; lineages, oldest first, go out,
with the steps that no run converted. Nothing that was pushed is read. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.lineage.model_lineage import Lineage
from pipelines.lineage.tracing import trace_executions
from pipelines.metadata.reading import MetadataReader
from servable.errors import SettingsError


def trace_history(location: Path | str, pipeline: str) -> tuple[Lineage, ...]:
    """Traces every model of a pipeline.

    Args:
        location: Where ML Metadata is kept.
        pipeline: The pipeline's name.

    Returns:
        Oldest first: one for each push and each refusal, and one for a model that came to neither.

    Raises:
        SettingsError: There is no store, or it does not let us in.

    Example:
        >>> trace_history(Path("out/digits/metadata.sqlite"), "digits")[-1].pushed_version
        '1795704797'
    """
    return trace_pipeline(MetadataReader.open(location), pipeline)


def trace_pipeline(reader: MetadataReader, pipeline: str) -> tuple[Lineage, ...]:
    """Does what `trace_history` does, in a store that is open."""
    return find_skipped(trace_executions(reader.read_executions(pipeline), reader.read_runs(pipeline)))


def choose_pipeline(location: Path | str, name: str | None) -> str:
    """Takes the pipeline that was named, or the only one of a store.

    Raises:
        SettingsError: There are several, or none of that name.
    """
    names = MetadataReader.open(location).list_pipelines()
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        raise SettingsError(
            "ML Metadata has no such pipeline." if name else "ML Metadata has several pipelines, or none.",
            expected=", ".join(names) or "a pipeline that ran",
            received=name or "no name",
            where=str(location),
            advice="name one with --pipeline",
        )
    return name


def find_skipped(
    lineages: Sequence[Lineage], present: Mapping[str, Iterable[int]] | None = None
) -> tuple[Lineage, ...]:
    """Finds the steps that appeared between two conversions and were converted by neither.

    A trainer that saves faster than the pipeline runs leaves them; the next run takes the newest. They are
    known from what lay in the source's folder when a model was converted, and from what lies there now.

    Args:
        lineages: Oldest first.
        present: Steps that lie in the source's folder now, by model.

    Returns:
        The same, with `skipped_steps`.
    """
    converted: dict[str, set[int]] = defaultdict(set)
    known: dict[str, set[int]] = defaultdict(set)
    for one in lineages:
        known[one.model] |= {*one.seen_steps, *(present or {}).get(one.model, ())}
        if one.source_step is not None:
            converted[one.model].add(one.source_step)
    before: dict[str, int] = {}
    found = []
    for one in lineages:
        step = one.source_step
        if step is not None:
            # Before the first conversion there was no run that could have been late.
            last = before.get(one.model, step)
            between = {other for other in known[one.model] if last < other < step}
            found.append(replace(one, skipped_steps=tuple(sorted(between - converted[one.model]))))
            before[one.model] = max(last, step)
        else:
            found.append(one)
    return tuple(found)


def list_steps(source: Path | str) -> tuple[int, ...]:
    """Lists the steps of the checkpoints that lie in a source's folder now; none of a remote one."""
    from servable.sources.locating.checkpoint_spelling import list_checkpoints, read_step

    if isinstance(source, str) or not source.is_dir():
        return ()
    steps = {read_step(prefix) for prefix in list_checkpoints(source)}
    return tuple(sorted(step for step in steps if step is not None))
