"""Outcomes as text for people. Neither TensorFlow nor TFX here."""

from __future__ import annotations

import textwrap

from pipelines.outcome import ModelOutcome, State

_SENTENCES = {
    State.PUSHED: "pushed to {path}",
    State.UNCHANGED: "unchanged, served from {path}",
    State.REFUSED: "NOT PUSHED, it is not fit to serve",
    State.FAILED: "FAILED",
}


def render_outcome(outcome: ModelOutcome) -> str:
    """Writes a model's outcome: what became of it, why, and which nodes worked.

    Args:
        outcome: Of one model.

    Returns:
        A line, and indented lines below it.
    """
    lines = [f"{outcome.model}: {_SENTENCES[outcome.state].format(path=outcome.pushed_path)}"]
    if outcome.message:
        lines.append(textwrap.indent(outcome.message, "  "))
    if outcome.report_path is not None:
        lines.append(f"  report: {outcome.report_path}")
    if outcome.pack_path is not None:
        lines.append(f"  pack: {outcome.pack_path}")
    work = [
        f"{label}: {', '.join(nodes)}"
        for label, nodes in (("executed", outcome.executed), ("cached", outcome.cached))
        if nodes
    ]
    if work:
        lines.append(f"  {'; '.join(work)}")
    return "\n".join(lines)
