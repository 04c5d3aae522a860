"""The front door's words about packs, and the same facts as JSON.

What passes through: a pack or the report on one comes in, text goes out. Names are printed as text, never as
markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from servable.cli_console import format_bytes, make_console, make_table
from servable.cli_plain import show_lines, show_name

if TYPE_CHECKING:
    from servable.deploy.packing import Pack
    from servable.report import Report


def write_pack(pack: Pack) -> None:
    """Prints a pack: its files, what to know, what to type next, and a sentence."""
    console = make_console()
    table = make_table("file", "size")
    for name, size_bytes in pack.files.items():
        table.add_row(show_name(name), format_bytes(size_bytes))
    console.print(table)
    for note in pack.notes:
        console.print(f"note: {show_lines(note)}", style="cyan")
    for platform, commands in pack.next_steps.items():
        console.print(f"\nNext, {show_name(pack.platforms[platform])}:")
        for command in commands:
            console.print(f"  {show_name(command)}", style="bold", soft_wrap=True)
    words = ", ".join(pack.platforms.values())
    size = format_bytes(sum(pack.files.values()))
    console.print(
        f"\nPacked {show_name(pack.name)} version {pack.version} for {show_name(words)}: "
        f"{len(pack.files)} files, {size}, in {show_name(str(pack.pack_dir))}.",
        style="green",
    )
    if pack.signature_path is not None:
        console.print(f"Signed: {show_name(str(pack.signature_path))}.", style="green")


def write_verification(report: Report) -> None:
    """Prints whether a pack is what was made, and else its files that are not."""
    console, facts = make_console(), report.facts["pack"]
    subject = show_name(report.subject)
    if report.passed:
        signed = " Its signature holds." if "signature" in report.checked else ""
        console.print(
            f"{subject} is what was packed: {facts['files']} files, to the byte.{signed}", style="green"
        )
        return
    console.print(f"{subject} is not what was packed.", style="red")
    table = make_table("file", "finding")
    for finding in report.errors:
        table.add_row(show_name(finding.where), f"[red]{show_lines(finding.message)}[/]")
    console.print(table)
    console.print(f"next: {show_lines(report.errors[0].advice)}")


def pack_as_json(pack: Pack) -> dict[str, Any]:
    """Gives a pack's facts as plain JSON values."""
    return {
        "pack": str(pack.pack_dir),
        "name": pack.name,
        "version": pack.version,
        "platforms": {platform.value: words for platform, words in pack.platforms.items()},
        "files": dict(pack.files),
        "model_digest": pack.model_digest,
        "root_digest": pack.root_digest,
        "notes": list(pack.notes),
        "next": {platform.value: list(commands) for platform, commands in pack.next_steps.items()},
        "signature": None if pack.signature_path is None else str(pack.signature_path),
    }
