"""The front door's long arm: sources, files and destinations on other machines.

What passes through: words of a command line that are addresses (`gs://...`) are fetched, and stand as paths
of this machine from then on; what is told to the user has the addresses again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from servable.errors import ServableError
from servable.export.remote_publishing import publish_remotely, refuse_occupied_place
from servable.formats.remote import RemotePlace, is_remote, open_remote, read_local_path
from servable.model import Progress
from servable.report import Finding, Report
from servable.sources.staging import Staged, stage_file, stage_source

if TYPE_CHECKING:
    from servable.convert import Conversion
    from servable.sources.description import Description

_FILE_OPTIONS = ("module", "architecture", "custom_objects", "inputs", "policy")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a command writes.

    Attributes:
        out_dir: On this machine.
        place: Where it is to be published; None when it stays.
    """

    out_dir: Path
    place: RemotePlace | None = None

    @property
    def renamed(self) -> tuple[str, str] | None:
        """The folder here and the address that it stands for."""
        return None if self.place is None else (str(self.out_dir), self.place.address)

    def publish(self, *, progress: Progress | None = None) -> None:
        """Sends what was written to where it belongs.

        Raises:
            ExportError: Something is there already, or it could not be sent.
        """
        if self.place is not None:
            publish_remotely(self.out_dir, self.place, progress=progress)


@contextmanager
def open_destination(out: str) -> Iterator[Destination]:
    """Makes room for what goes to another machine; a destination on this one is taken as it is.

    Raises:
        SettingsError: The driver is not installed.
        ExportError: Something is there already.
    """
    if not is_remote(out):
        yield Destination(read_local_path(out))
        return
    place = open_remote(out)
    refuse_occupied_place(place)
    with tempfile.TemporaryDirectory(prefix="servable-out-") as scratch:
        destination = Destination(Path(scratch).resolve() / (place.name or "1"), place)
        try:
            yield destination
        except ServableError as error:
            error.where = error.where.replace(str(destination.out_dir), place.address)
            raise


@contextmanager
def open_source_place(
    arguments: argparse.Namespace, source: str, *, with_values: bool = True, progress: Progress | None = None
) -> Iterator[Staged]:
    """Fetches what the words of a command name on other machines.

    Args:
        arguments: Its options that name files have paths of this machine afterwards.
        source: What is read.
        with_values: Whether the variables of a checkpoint are needed.
        progress: Told of the bytes fetched.

    Yields:
        The source. Copies are removed with the block.

    Raises:
        SettingsError: A driver is not installed.
        SourceError: A place cannot be read, or holds no source.
    """
    with ExitStack() as stack:
        _stage_options(arguments, stack, progress)
        step = getattr(arguments, "step", None)
        yield stack.enter_context(stage_source(source, step=step, with_values=with_values, progress=progress))


def name_conversion(conversion: Conversion, source: Staged, destination: Destination) -> Conversion:
    """Puts the addresses into a conversion."""
    return replace(
        conversion,
        origin=replace(conversion.origin, address=source.address),
        notes=(*source.notes, *_name_findings(conversion.notes, source.renamed)),
        address="" if destination.place is None else destination.place.address,
    )


def name_description(description: Description, source: Staged) -> Description:
    """Puts the address into a description."""
    return replace(
        description,
        address=source.address,
        next_command=source.name_remotely(description.next_command),
        notes=_name_findings((*source.notes, *description.notes), source.renamed),
    )


def name_report(report: Report, renamed: tuple[str, str] | None) -> Report:
    """Puts the address of what was checked into a report."""
    if renamed is None:
        return report
    findings = _name_findings(report.findings, renamed)
    return replace(report, subject=report.subject.replace(*renamed), findings=findings)


def _name_findings(findings: tuple[Finding, ...], renamed: tuple[str, str] | None) -> tuple[Finding, ...]:
    if renamed is None:
        return findings
    return tuple(
        replace(f, message=f.message.replace(*renamed), where=f.where.replace(*renamed)) for f in findings
    )


def _stage_options(arguments: argparse.Namespace, stack: ExitStack, progress: Progress | None) -> None:
    def stage(address: str) -> str:
        return str(stack.enter_context(stage_file(address, progress=progress)))

    for option in _FILE_OPTIONS:
        if (text := getattr(arguments, option, None)) is not None:
            setattr(arguments, option, Path(stage(str(text))))
    if getattr(arguments, "asset", None):
        arguments.asset = {name: stage(text) for name, text in arguments.asset.items()}
    if getattr(arguments, "replace_layer", None):
        parts = {name: text.rpartition(":") for name, text in arguments.replace_layer.items()}
        arguments.replace_layer = {
            n: f"{stage(file)}:{f}" if file else f for n, (file, _, f) in parts.items()
        }
