"""One model's lineage as text for people. Neither TensorFlow nor TFX here."""

from __future__ import annotations

from pathlib import Path

from pipelines.lineage.config import digest_config
from pipelines.lineage.model_lineage import Lineage, Verdict
from servable.plain_text import make_plain


def render_one(lineage: Lineage) -> str:
    """Writes the way of one model, from its source to what lies at its destination now.

    Args:
        lineage: `pushed_digest` says what lies there.

    Returns:
        A line, and indented lines below it, free of what would act on a terminal.
    """
    step = "" if lineage.source_step is None else f", step {lineage.source_step}"
    rows = [
        ("source", f"{lineage.source_path} ({lineage.source_format}{step})"),
        ("", f"digest {lineage.source_digest}" if lineage.source_digest else ""),
        ("made by", lineage.upstream),
        ("skipped", describe_skipped(lineage)),
        ("converted", lineage.model_uri),
        ("", f"digest {lineage.saved_model_digest}" if lineage.saved_model_digest else ""),
        ("by", lineage.toolchain),
        ("for", lineage.target),
        ("checked", lineage.blessing_message or str(lineage.verdict)),
        ("", str(lineage.report_path or "")),
        ("pushed", describe_push(lineage)),
        ("run", _describe_run(lineage)),
        ("config", describe_config(lineage)),
    ]
    title = f"{lineage.model}, {lineage.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [title, *(f"  {label:<10} {text}" for label, text in rows if text)]
    return "\n".join(make_plain(line) for line in lines)


def describe_push(lineage: Lineage) -> str:
    """Says where a model was pushed, and what lies there now."""
    if lineage.pushed_path is None:
        return "no" if lineage.verdict is Verdict.FIT else "no, it was not found fit to serve"
    if not lineage.pushed_digest:
        return f"{lineage.pushed_path} (no longer there)"
    if not lineage.saved_model_digest:
        return f"{lineage.pushed_path} (another component made it: its bytes were not noted)"
    state = "still the same bytes" if lineage.is_intact else "CHANGED since it was checked"
    return f"{lineage.pushed_path} ({state})"


def describe_skipped(lineage: Lineage) -> str:
    """Names the steps that were never converted, "" for none."""
    if not lineage.skipped_steps:
        return ""
    return f"step {', '.join(map(str, lineage.skipped_steps))}: newer ones were there before the next run"


def describe_config(lineage: Lineage) -> str:
    """Names the settings file of the run, and whether it is still what it was."""
    if not lineage.config_path:
        return ""
    path = Path(lineage.config_path)
    try:
        is_same = digest_config(path.read_bytes()) == lineage.config_digest
        state = "unchanged since" if is_same else "changed since; --json has its text of then"
    except OSError:
        state = "no longer there; --json has its text"
    return f"{path} (sha256 {lineage.config_digest[:12]}, {state})"


def _describe_run(lineage: Lineage) -> str:
    name = f"{lineage.run_id} of pipeline {lineage.pipeline}" if lineage.run_id else ""
    later = lineage.push_run_id
    return f"{name}; pushed again by {later}" if later and later != lineage.run_id else name
