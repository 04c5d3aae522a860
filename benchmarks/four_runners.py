"""The digits example on all four runners, from one settings file: what each step costs, and what it executes.

What passes through: the example's two models are trained once; every runner gets a copy of the trainer's
folder and the same steps; a table of times, executed nodes and pushed versions comes out. Kubeflow's tasks
are the compiled specification's own container commands, replayed as processes: no cluster is needed.

    python -m benchmarks.four_runners --out out/four_runners
    python -m benchmarks.four_runners --runner local --runner beam
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.four_ways_to_run import WAYS, Way
from benchmarks.measuring import draw_table
from benchmarks.trainer_steps import STEPS, prepare_trainings, take_step
from pipelines.settings_file import load_settings
from servable.formats.digest import digest_tree

_REPOSITORY = Path(__file__).resolve().parents[1]
_CONFIG = _REPOSITORY / "configs" / "digits.yaml"


@dataclass(slots=True)
class Row:
    """One step on one runner.

    Attributes:
        elapsed_s: Wall time of the run, start of processes included.
        executed: Nodes that did work.
        cached: Nodes whose earlier result was taken.
        pushed: Versions of both models that lie there afterwards.
    """

    elapsed_s: float
    executed: int
    cached: int
    pushed: int

    def __str__(self) -> str:
        return f"{self.elapsed_s:.0f} s, {self.executed} executed, {self.cached} cached, {self.pushed} pushed"


@dataclass(slots=True)
class Story:
    """All steps on one runner, and the digests of what it pushed in the first."""

    rows: dict[str, Row] = field(default_factory=dict)
    digests: tuple[str, ...] = ()


def run_steps(
    way: Callable[[Path, Path], Way], folder: Path, trainings: Path, *, tell: Callable[[str], None]
) -> Story:
    """Runs every step on one runner.

    Args:
        way: Makes the runner from a settings file and a folder.
        folder: Takes everything of it.
        trainings: What the trainer left at each step.
        tell: Called with each step's row.
    """
    config_path = write_settings(folder)
    settings = load_settings(config_path)
    # What a source is, is seen when a pipeline is compiled.
    take_step(STEPS[0], trainings, folder / "training")
    runner = way(config_path, folder)
    story = Story()
    for step in STEPS:
        take_step(step, trainings, folder / "training")
        if step.is_killed:
            runner.kill_run()
        started = time.monotonic()
        counts = runner.run()
        versions = [path for model in settings.models for path in sorted(model.push_dir.glob("*"))]
        for version in versions:
            if not (version / "saved_model.pb").is_file():
                raise RuntimeError(f"{version} looks finished and is not")
        row = Row(time.monotonic() - started, counts.executed, counts.cached, len(versions))
        story.rows[step.name] = row
        story.digests = story.digests or tuple(digest_tree(version) for version in versions)
        tell(f"{step.name}: {row}")
    return story


def write_settings(folder: Path) -> Path:
    """Writes the example's own settings with every path below a runner's folder.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "digits.yaml"
    path.write_text(_CONFIG.read_text().replace("../out/digits", str(folder)))
    return path


def draw_stories(stories: dict[str, Story]) -> str:
    """Draws the table, and says whether all runners pushed the same bytes."""
    rows = [[step.name, *(str(story.rows[step.name]) for story in stories.values())] for step in STEPS]
    is_same = len({story.digests for story in stories.values()}) == 1
    words = "the same bytes on all of them" if is_same else "NOT the same bytes"
    return f"{draw_table(['step', *stories], rows)}\n\nThe first run pushed {words}."


def _say_step(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs from the command line and prints the table."""
    parser = argparse.ArgumentParser(description="Run the digits example on all four runners.")
    parser.add_argument("--out", type=Path, default=_REPOSITORY / "out" / "four_runners")
    parser.add_argument("--runner", action="append", choices=tuple(WAYS), help="this one; may be repeated")
    options = parser.parse_args(arguments)
    out_dir, names = options.out.absolute(), options.runner or tuple(WAYS)
    there = [name for name in names if (out_dir / name).exists()]
    if there:
        parser.error(f"{out_dir} holds runs of {', '.join(there)} already")
    trainings = prepare_trainings(out_dir / "trainings")
    stories = {}
    for name in names:
        print(f"{name}:", file=sys.stderr)
        stories[name] = run_steps(WAYS[name], out_dir / name, trainings, tell=_say_step)
    print(draw_stories(stories))
    return 0 if len({story.digests for story in stories.values()}) == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
