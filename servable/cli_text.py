"""The front door's voice: what a person reads in the terminal, and the same facts as JSON.

What passes through: values of the rooms come in, text goes out; a plain sentence before every table. Names
from a model file are printed as text, never as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from servable.cli_console import format_bytes, make_console, make_table
from servable.cli_plain import show_lines, show_name
from servable.report import Finding, Report, Severity
from servable.signature import Signature, SignatureRequest, TensorSpec
from servable.targets.catalog import CURRENT, find_target

if TYPE_CHECKING:
    from servable.convert import Conversion
    from servable.model import Progress
    from servable.sources.description import Description

_MAX_ROWS = 40
_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}


def write_description(description: Description) -> None:
    """Prints what `servable inspect` found."""
    console = make_console()
    source = description.source
    version = f", written by version {description.framework_version}" if description.framework_version else ""
    step = f", step {source.step}" if source.step is not None else ""
    path = show_name(description.address or str(source.path))
    console.print(f"{path} is {description.title}{show_name(version)}{step}.")
    size_bytes = sum(file.stat().st_size for file in source.files)
    console.print(f"{len(source.files)} files, {format_bytes(size_bytes)}.")
    for note in description.notes:
        console.print(f"note: {show_lines(note.message)}", style="cyan")
    if description.layers:
        names = (f"{layer.name} ({layer.class_name})" for layer in description.layers)
        console.print(show_name(f"Layers: {', '.join(names)}"))
    if description.variables:
        elements = sum(variable.size for variable in description.variables)
        console.print(f"\n{len(description.variables)} variables, {elements:,} elements:")
        table = make_table("variable", "dtype", "shape")
        for variable in description.variables[:_MAX_ROWS]:
            table.add_row(show_name(variable.name), show_name(variable.dtype), str(list(variable.shape)))
        console.print(table)
        if len(description.variables) > _MAX_ROWS:
            console.print(f"... and {len(description.variables) - _MAX_ROWS} more (--json lists all)")
    _write_ends(console, description)
    for signature in description.signatures:
        console.print(f"\nSignature {show_name(signature.name)}:")
        _write_signature(console, signature)
    if description.next_command:
        console.print("\nNext:")
        console.print(f"  {show_name(description.next_command)}", style="bold", soft_wrap=True)


def describe_as_json(description: Description) -> dict[str, Any]:
    """Gives the facts of `servable inspect` as plain JSON values."""
    candidates = description.candidates
    return {
        "path": description.address or str(description.source.path),
        "kind": description.source.kind.value,
        "title": description.title,
        "framework_version": description.framework_version,
        "step": description.source.step,
        "files": [str(file) for file in description.source.files],
        "variables": [
            {"name": v.name, "dtype": v.dtype, "shape": list(v.shape)} for v in description.variables
        ],
        "layers": [{"name": layer.name, "class": layer.class_name} for layer in description.layers],
        "inputs": _specs_as_json(description.inputs),
        "outputs": _specs_as_json(description.outputs),
        "signatures": [_signature_as_json(signature) for signature in description.signatures],
        "candidates": {
            side: [
                {
                    "tensor": c.tensor,
                    "dtype": c.spec.dtype if c.spec else None,
                    "shape": None if c.spec is None or c.spec.shape is None else list(c.spec.shape),
                    "score": c.score,
                    "reason": c.reason,
                }
                for c in getattr(candidates, side)
            ]
            for side in ("inputs", "outputs", "switches")
        }
        if candidates
        else None,
        "next_command": description.next_command,
        "notes": [_finding_as_json(note) for note in description.notes],
    }


def write_conversion(conversion: Conversion) -> None:
    """Prints what `servable convert` made."""
    console = make_console()
    origin = conversion.origin
    version = f" {origin.framework_version}" if origin.framework_version else ""
    console.print(
        f"Converted {show_name(origin.name)} ({origin.kind}, {origin.framework}{show_name(version)}) "
        f"to {show_name(conversion.address or str(conversion.saved_model_dir))}{_name_target(conversion)}."
    )
    for note in conversion.notes:
        console.print(f"{note.severity}: {show_lines(note.message)}", style=_COLOURS[note.severity])
    for signature in conversion.signatures.values():
        console.print(f"\nSignature {show_name(signature.name)}:")
        _write_signature(console, signature)


def conversion_as_json(conversion: Conversion, report: Report | None) -> dict[str, Any]:
    """Gives a conversion, and the report on it, as plain JSON values."""
    origin = conversion.origin
    return {
        "saved_model": conversion.address or str(conversion.saved_model_dir),
        "saved_model_digest": conversion.digest,
        "target": conversion.target,
        "source": {
            "path": origin.name,
            "kind": origin.kind,
            "framework": origin.framework,
            "framework_version": origin.framework_version,
            "files": [str(file) for file in origin.files],
            "step": origin.step,
            "digest": origin.digest,
        },
        "signatures": [_signature_as_json(signature) for signature in conversion.signatures.values()],
        "baseline": sorted(conversion.baseline.samples),
        "notes": [_finding_as_json(note) for note in conversion.notes],
        "report": report.to_dict() if report is not None else None,
    }


def write_report(report: Report) -> None:
    """Prints a report: the sentence, the checks, the findings."""
    console = make_console()
    console.print()
    console.print(show_lines(report.summarize()), style="green" if report.passed else "red")
    table = make_table("check", "result", "finding")
    for name in report.checked:
        own = [finding for finding in report.findings if finding.check == name]
        if not own:
            table.add_row(name, "[green]passed[/]", "")
        for finding in own:
            text = finding.message + (f" ({finding.where})" if finding.where else "")
            text += f"\nnext: {finding.advice}" if finding.advice else ""
            table.add_row(name, f"[{_COLOURS[finding.severity]}]{finding.severity}[/]", show_lines(text))
    for skip in report.skipped:
        table.add_row(skip.check, "skipped", show_lines(skip.reason))
    console.print(table)


@contextmanager
def show_progress(*, enabled: bool) -> Iterator[Progress | None]:
    """Shows a bar for each long stage, on a terminal only; copies that take no time show none."""
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done_bytes: int, total_bytes: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(show_name(stage), total=total_bytes)
            bars.update(tasks[stage], completed=done_bytes, total=total_bytes)

        yield update


def _name_target(conversion: Conversion) -> str:
    if conversion.target == CURRENT:
        return ""
    return f" for {conversion.target}, TensorFlow {find_target(conversion.target).version}"


def _write_ends(console: Console, description: Description) -> None:
    for title, specs in (("Inputs", description.inputs), ("Outputs", description.outputs)):
        if specs:
            console.print(f"\n{title}:")
            for name, spec in specs.items():
                console.print(f"  {show_name(name)}: {show_name(str(spec))}")
    if description.candidates is None or description.signatures:
        return
    for title, candidates in (
        ("Candidate inputs", description.candidates.inputs),
        ("Candidate outputs, likeliest first", description.candidates.outputs),
        ("Training switches", description.candidates.switches),
    ):
        if candidates:
            console.print(f"\n{title}:")
            for candidate in candidates:
                shown = f" {candidate.spec}" if candidate.spec else ""
                console.print(show_name(f"  {candidate.tensor}{shown}: {candidate.reason}"))


def _write_signature(console: Console, signature: Signature | SignatureRequest) -> None:
    table = make_table("", "key", "type", "tensor")
    sides: tuple[tuple[str, Mapping[str, TensorSpec | str]], ...] = (
        ("input", {**signature.inputs}),
        ("output", {**signature.outputs}),
    )
    for side, ends in sides:
        for key, end in ends.items():
            if isinstance(end, TensorSpec):
                table.add_row(side, show_name(key), show_name(str(end)), show_name(end.tensor))
            else:
                table.add_row(side, show_name(key), "", show_name(end))
    console.print(table)


def _signature_as_json(signature: Signature | SignatureRequest) -> dict[str, Any]:
    sides: dict[str, Any] = {}
    for side, ends in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        sides[side] = {
            key: _spec_as_json(end) if isinstance(end, TensorSpec) else {"tensor": end}
            for key, end in ends.items()
        }
    return {"name": signature.name, "method": signature.method, **sides}


def _specs_as_json(specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    return {name: _spec_as_json(spec) for name, spec in specs.items()}


def _spec_as_json(spec: TensorSpec) -> dict[str, Any]:
    shape = None if spec.shape is None else list(spec.shape)
    return {"dtype": spec.dtype, "shape": shape, "tensor": spec.tensor}


def _finding_as_json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "message": finding.message,
        "where": finding.where,
        "advice": finding.advice,
    }
