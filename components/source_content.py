"""What a conversion reads, pinned down: exact files and the digest of their contents.

What passes through: before a conversion, driver or executor pins a source; the result travels as execution
properties, so that TFX's cache asks for contents, not for paths; after the conversion the executor pins the
same files again and sees whether anybody wrote to them meanwhile. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import servable
from components.options import OPTIONS_SCHEMA
from servable.convert import ConversionOptions
from servable.errors import BrokenSourceError, SettingsError, SourceError
from servable.formats.digest import digest_files
from servable.formats.remote import is_remote
from servable.options_json import list_option_files
from servable.sources.locating.checkpoint_spelling import list_checkpoints, read_step
from servable.sources.resolving import Source, resolve_source
from servable.sources.staging import stage_source

# Execution properties that the driver adds; with them they are part of the cache key.
RESOLVED_SOURCE = "resolved_source"
SOURCE_DIGEST = "source_digest"
OPTIONS_DIGEST = "options_digest"
TOOLCHAIN = "toolchain"
SOURCE_FAULT = "source_fault"

_NO_FILES = "none"


@dataclass(frozen=True, slots=True)
class PinnedSource:
    """One exact model on disk, as it was at one moment.

    Attributes:
        path: Checkpoint prefix, file or directory; never "the newest".
        source_digest: BLAKE3 over names and contents of the model's files, 64 hex digits.
        options_digest: Likewise of the files that the options name; "none" when they name none.
        address: Where it lies on another machine; `path` is then a copy, and good while that is kept.
    """

    path: Path
    source_digest: str
    options_digest: str
    address: str = ""

    @property
    def name(self) -> str:
        """What to call it: its address, else its path."""
        return self.address or str(self.path)

    def to_properties(self) -> dict[str, str]:
        """Gives the execution properties that carry it."""
        return {
            RESOLVED_SOURCE: self.name,
            SOURCE_DIGEST: self.source_digest,
            OPTIONS_DIGEST: self.options_digest,
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self | None:
        """Reads the execution properties; None when no driver made them."""
        values = [properties.get(key) for key in (RESOLVED_SOURCE, SOURCE_DIGEST, OPTIONS_DIGEST)]
        if any(value in (None, "", "None") for value in values):
            return None
        name, source_digest, options_digest = (str(value) for value in values)
        return cls(Path(name), source_digest, options_digest, name if is_remote(name) else "")


@contextmanager
def open_pinned(pinned: PinnedSource) -> Iterator[PinnedSource]:
    """Makes a pinned source readable here.

    Yields:
        The same, with a path of this machine. A copy is removed with the block.

    Raises:
        SourceError: It cannot be fetched.
    """
    if not pinned.address:
        yield pinned
        return
    with stage_source(pinned.address) as staged:
        yield replace(pinned, path=staged.path)


def pin_source(path: Path, options: ConversionOptions, *, address: str = "") -> PinnedSource:
    """Resolves a source to its exact, complete files and digests them.

    Args:
        path: What the user named: a checkpoint directory, a prefix, a file.
        options: Their `step` chooses the checkpoint, the files that they name are digested as well.
        address: Where the exact source lies, when the path is that of a copy.

    Returns:
        The exact source. A checkpoint that is still being written is never taken.

    Raises:
        SourceError: There is nothing complete and known at the path.
        SettingsError: A file that the options name is not there.
    """
    source = resolve_source(path, step=options.source.step)
    return PinnedSource(source.path, digest_source(source), digest_option_files(options), address)


def verify_source(pinned: PinnedSource, options: ConversionOptions) -> None:
    """Makes sure that a pinned source still holds what it held.

    Raises:
        BrokenSourceError: A file was changed, added or removed since.
    """
    try:
        source = resolve_source(pinned.path)
        now = PinnedSource(source.path, digest_source(source), digest_option_files(options), pinned.address)
    except (SourceError, SettingsError) as error:
        raise _make_moved_error(pinned, received=str(error)) from error
    if now != pinned:
        changed = now.source_digest if now.source_digest != pinned.source_digest else now.options_digest
        raise _make_moved_error(pinned, received=f"digest {changed}")


def list_seen_steps(pinned: PinnedSource) -> tuple[int, ...]:
    """Lists the steps that lie beside a pinned checkpoint: a trainer may save faster than a pipeline runs.

    Returns:
        In ascending order, its own included; none where the source has no step, or is a copy of a remote one.
    """
    if pinned.address or read_step(pinned.path) is None:
        return ()
    steps = {read_step(prefix) for prefix in list_checkpoints(pinned.path.parent)}
    return tuple(sorted(step for step in steps if step is not None))


def digest_source(source: Source) -> str:
    """Digests a resolved source's files, named as they lie beside one another."""
    return digest_files(source.files, root=source.root)


def digest_option_files(options: ConversionOptions) -> str:
    """Digests the files that the options name, each under what it is for.

    Raises:
        SettingsError: One of them is not there; all missing ones are listed.
    """
    files = list_option_files(options)
    missing = [f"{label}: {path}" for label, path in files.items() if not path.is_file()]
    if missing:
        raise SettingsError(
            "Files that the options name are not there.",
            expected="readable files",
            received="; ".join(missing),
            advice="check the paths, as the machine sees them on which the component runs",
        )
    # A user may keep such a file behind a link; what is read through it counts.
    targets = {label: path.resolve() for label, path in sorted(files.items())}
    parts = [f"{label}={digest_files([path], root=path.parent)}" for label, path in targets.items()]
    return ";".join(parts) or _NO_FILES


@cache
def describe_toolchain() -> str:
    """Names every version that shapes a result: TFX itself keys its cache on class paths only."""
    versions = [f"tfx-servable {servable.__version__}"]
    versions += [f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras", "tf-keras")]
    return ", ".join([*versions, f"options {OPTIONS_SCHEMA}"])


def _make_moved_error(pinned: PinnedSource, *, received: str) -> BrokenSourceError:
    return BrokenSourceError(
        "The source changed while it was being read.",
        expected=f"digest {pinned.source_digest}, files of the options {pinned.options_digest}",
        received=received,
        where=pinned.name,
        advice="run again when nothing writes there; nothing was kept of this run",
    )
