"""A drawn graph as values, and the one door through which it becomes a file.

What passes through: `lineage/graph.py` places boxes on a grid and ties them with arrows; the suffix of the
file's name decides whether an SVG, a page or a text for Graphviz is written. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from servable.errors import SettingsError


class Kind(StrEnum):
    """What a box stands for, which is also its colour."""

    CONFIG = "config"
    RUN = "run"
    SOURCE = "source"
    MODEL = "model"
    GOOD = "good"
    BAD = "bad"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A box.

    Attributes:
        key: Its name for arrows.
        kind: What it stands for.
        title: Its first line.
        lines: What stands below, of any length; what is too long for the box is cut in the drawing.
        column: From the left, counted from 0.
        row: From the top, counted from 0.
    """

    key: str
    kind: Kind
    title: str
    lines: tuple[str, ...]
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An arrow from what came first to what came of it.

    Attributes:
        tail: Key of the first box.
        head: Key of the second box.
        label: What happened between them.
    """

    tail: str
    head: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes and arrows.

    Attributes:
        title: What is drawn.
        nodes: No two with the same key.
        edges: Between them.
    """

    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


def write_graph(graph: Graph, path: Path) -> None:
    """Draws a graph into a file that needs nothing else to be looked at.

    Args:
        graph: What to draw.
        path: Ends with .svg, .html or .dot.

    Raises:
        SettingsError: It ends otherwise.
        OSError: It cannot be written.
    """
    from pipelines.rendering.dot import render_dot
    from pipelines.rendering.svg import render_page, render_svg

    renderers = {".svg": render_svg, ".html": render_page, ".dot": render_dot}
    render = renderers.get(path.suffix.lower())
    if render is None:
        raise SettingsError(
            "The graph cannot be drawn into such a file.",
            expected=" or ".join(f"*{suffix}" for suffix in renderers),
            received=path.name,
            advice="name the file by what is to be drawn",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(graph), encoding="utf-8")
