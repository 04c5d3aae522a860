"""What differs between two SavedModels, as plain values.

What passes through: the comparisons put changes in, the front door prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from servable.report import Skipped


class Kind(StrEnum):
    """How something differs, seen from the first model."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        section: "signatures", "ops", "variables", "assets" or "answers".
        kind: How it differs.
        where: Signature, op, variable or file.
        before: What the first model has; "" where it has nothing.
        after: What the second one has.
    """

    section: str
    kind: Kind
    where: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class ServableDiff:
    """How two SavedModels differ.

    Attributes:
        first: Path or address of the one.
        second: Of the other.
        changes: Section by section.
        skipped: Sections, or parts of them, that could not be compared, and why.
        facts: Plain JSON values: how much was compared, the worst differences.
    """

    first: str
    second: str
    changes: tuple[Change, ...]
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """True when nothing that was compared differs."""
        return not self.changes

    def summarize(self) -> str:
        """Says the outcome in one sentence."""
        left_out = f"; {len(self.skipped)} not compared" if self.skipped else ""
        if self.is_same:
            return f"The models are the same{left_out}."
        sections = dict.fromkeys(change.section for change in self.changes)
        return f"The models differ in {', '.join(sections)}: {len(self.changes)} differences{left_out}."

    def to_dict(self) -> dict[str, Any]:
        """Turns it into plain JSON values."""
        return {
            "first": self.first,
            "second": self.second,
            "same": self.is_same,
            "summary": self.summarize(),
            "changes": [asdict(change) | {"kind": change.kind.value} for change in self.changes],
            "skipped": [asdict(skip) for skip in self.skipped],
            "facts": dict(self.facts),
        }


def compare_keys(
    section: str, before: Mapping[str, str], after: Mapping[str, str], *, label: str = ""
) -> list[Change]:
    """Compares two mappings from names to what is said of them.

    Args:
        section: Of the changes.
        before: The first model's.
        after: The second one's.
        label: What the names are, such as "variable".

    Returns:
        What was removed, added and changed, by name.
    """
    changes = []
    for name in sorted(before.keys() | after.keys()):
        where = f"{label} {name}".strip()
        if name not in after:
            changes.append(Change(section, Kind.REMOVED, where, before=before[name]))
        elif name not in before:
            changes.append(Change(section, Kind.ADDED, where, after=after[name]))
        elif before[name] != after[name]:
            changes.append(Change(section, Kind.CHANGED, where, before[name], after[name]))
    return changes
