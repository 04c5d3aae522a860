"""Finds which model a served version is: by where it was pushed, by its number, or by its bytes.

What passes through: a directory or a version's number and a place of ML Metadata come in, lineages go out. A
version that was copied or moved is known by the digest of what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.history.tracing import trace_pipeline
from pipelines.lineage.model_lineage import Lineage, digest_each_way, look_at_pushed
from pipelines.metadata.reading import MetadataReader
from servable.errors import ServableError


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A lineage, and how it was found.

    Attributes:
        lineage: With what lies at its destination now.
        note: What a person should know about the match, "" when it lies where it was pushed.
    """

    lineage: Lineage
    note: str = ""


def find_version(
    location: Path | str, wanted: str, *, pipeline: str | None = None, model: str | None = None
) -> tuple[FoundVersion, ...]:
    """Finds what was pushed as a version.

    Args:
        location: Where ML Metadata is kept.
        wanted: A version directory, here or as it was when it was pushed, or a version's number.
        pipeline: Looks only at this one.
        model: Looks only at this one.

    Returns:
        At least one. Several, when models share a version's number, or one was pushed several times.

    Raises:
        ServableError: Nothing that was pushed matches.
        SourceError: The directory cannot be read.
    """
    reader = MetadataReader.open(location)
    place = Path(wanted)
    if wanted.isdecimal() and not place.is_dir():
        found = _trace(reader, "PushedModel", {"pushed_version": {wanted}})
        matches = [FoundVersion(one) for one in found if one.pushed_version == wanted]
    else:
        matches = _find_place(reader, place)
    matches = [
        match
        for match in matches
        if pipeline in (None, match.lineage.pipeline) and model in (None, match.lineage.model)
    ]
    if not matches:
        raise ServableError(
            "ML Metadata knows no model that was pushed as this version.",
            expected="a version directory of a pipeline with this metadata, a copy of one, or its number",
            received=wanted,
            where=str(location),
            advice="look at the versions there are with `servable history`, or name another metadata",
        )
    return tuple(matches)


def _find_place(reader: MetadataReader, place: Path) -> list[FoundVersion]:
    resolved = place.resolve()
    pushed = reader.find_artifacts("PushedModel")
    destinations = {one.get_text("pushed_destination") for one in pushed if one.get_flag("pushed")}
    same = {text for text in destinations if Path(text).resolve() == resolved}
    found = _trace(reader, "PushedModel", {"pushed_destination": same}) if same else []
    matches = [FoundVersion(look_at_pushed(one)) for one in found if str(one.pushed_path) in same]
    if not place.is_dir() or any(match.lineage.is_intact for match in matches):
        return matches
    digests = set(digest_each_way(place))
    others = _trace(reader, "Model", {"saved_model_digest": digests})
    for one in others:
        if one.saved_model_digest in digests:
            lineage = look_at_pushed(one)
            matches.append(FoundVersion(lineage, f"{place} holds the same bytes as this model"))
    return matches


def _trace(reader: MetadataReader, type_name: str, wanted: dict[str, Iterable[str]]) -> list[Lineage]:
    """Traces the pipelines that made such artifacts, and no others."""
    ids = [
        one.id
        for one in reader.find_artifacts(type_name)
        if all(one.get_text(key) in values for key, values in wanted.items())
    ]
    makers = reader.read_executions_by_id(reader.find_makers(ids).values())
    pipelines = sorted({maker.pipeline for maker in makers})
    return [one for name in pipelines for one in trace_pipeline(reader, name)]
