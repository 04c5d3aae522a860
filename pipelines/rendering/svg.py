"""A graph as an SVG, and as a page around it: one file, no script, readable by day and by night.

What passes through: a graph comes in, text goes out. Names of any origin are escaped; what is too long for
its box is cut in the middle, and whole in the tooltip and in the page's table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from pipelines.rendering.graph import Graph, GraphEdge, GraphNode
from servable.plain_text import make_plain

# In pixels.
_BOX_WIDTH: Final = 236
_GAP_X: Final = 72
_GAP_Y: Final = 26
_MARGIN: Final = 24
_TITLE_HEIGHT: Final = 40
_LINE_HEIGHT: Final = 17
_BOX_PADDING: Final = 13
_ROUND: Final = 7
# What fits into a box, in characters of 13 and 12 pixels.
_TITLE_CHARS: Final = 28
_LINE_CHARS: Final = 31

_STYLE: Final = """
.graph { --ink: #1b2330; --soft: #576374; --paper: #ffffff; --edge: #8a97a8;
  --config: #eef1f5; --run: #eef1f5; --source: #e4edfd; --model: #efe9fb; --good: #e0f3e8; --bad: #fce4e1;
  --version: #e0f3e8; --config-line: #9aa6b6; --run-line: #9aa6b6; --source-line: #2f5fc4;
  --model-line: #6f4bc0; --good-line: #0f6d46; --bad-line: #b3261e; --version-line: #0f6d46; }
@media (prefers-color-scheme: dark) { .graph { --ink: #e4e8ee; --soft: #a9b4c3; --paper: #12151b;
  --edge: #6d7a8c; --config: #242b36; --run: #242b36; --source: #1b2a48; --model: #2b2145; --good: #14352a;
  --bad: #45201d; --version: #14352a; --config-line: #6d7a8c; --run-line: #6d7a8c; --source-line: #86aaf7;
  --model-line: #b39af0; --good-line: #5fd39c; --bad-line: #ff8a80; --version-line: #5fd39c; } }
.graph text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft); }
.graph .heading { font-size: 16px; font-weight: 600; fill: var(--ink); }
.graph .title { font-size: 13px; font-weight: 600; fill: var(--ink); }
.graph .label { font-size: 11px; text-anchor: middle; paint-order: stroke; stroke: var(--paper);
  stroke-width: 4px; }
.graph .paper { fill: var(--paper); }
.graph .edge { fill: none; stroke: var(--edge); stroke-width: 1.5; }
.graph .tip { fill: var(--edge); }
.graph .box { stroke-width: 1.5; }
"""
_KIND_STYLE: Final = ".graph .{0} {{ fill: var(--{0}); stroke: var(--{0}-line); }}"
_PAGE_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 1.5rem; background: #ffffff; color: #1b2330;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 1.5rem; }
th, td { padding: .4rem 1rem .4rem 0; border-top: 1px solid #dce1e8; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { white-space: nowrap; } td { white-space: pre-line; }
@media (prefers-color-scheme: dark) { body { background: #12151b; color: #e4e8ee; }
  th, td { border-color: #303845; } }
"""

Box = tuple[float, float, float]  # left, top, height


def render_svg(graph: Graph) -> str:
    """Draws a graph as an SVG that stands by itself."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _draw(graph) + "\n"


def render_page(graph: Graph) -> str:
    """Draws a graph as a page, with the full text of every box below."""
    rows = "\n".join(
        f"<tr><th>{_clean(node.title)}</th><td>{_clean(chr(10).join(node.lines))}</td></tr>"
        for node in graph.nodes
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_clean(graph.title)}</title>
<style>{_PAGE_STYLE}</style>
</head>
<body>
<div class="scroll">
{_draw(graph)}
</div>
<table>
{rows}
</table>
</body>
</html>
"""


def _draw(graph: Graph) -> str:
    boxes = _place(graph)
    width = max((left for left, _, _ in boxes.values()), default=0.0) + _BOX_WIDTH + _MARGIN
    height = max((top + tall for _, top, tall in boxes.values()), default=_TITLE_HEIGHT) + _MARGIN
    kinds = sorted({node.kind for node in graph.nodes})
    style = _STYLE + "\n".join(_KIND_STYLE.format(kind) for kind in kinds)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{_clean(graph.title)}">',
        f"<style>{style}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>',
        f'<text class="heading" x="{_MARGIN}" y="{_MARGIN + 8}">{_clean(graph.title)}</text>',
        *(_draw_edge(edge, boxes) for edge in graph.edges),
        *(line for node in graph.nodes for line in _draw_node(node, boxes[node.key])),
        "</svg>",
    ]
    return "\n".join(parts)


def _place(graph: Graph) -> Mapping[str, Box]:
    """Gives every row the height of its tallest box."""
    heights: dict[int, float] = {}
    for node in graph.nodes:
        heights[node.row] = max(heights.get(node.row, 0), _measure(node))
    tops: dict[int, float] = {}
    top = float(_MARGIN + _TITLE_HEIGHT)
    for row in sorted(heights):
        tops[row] = top
        top += heights[row] + _GAP_Y
    return {
        node.key: (_MARGIN + node.column * (_BOX_WIDTH + _GAP_X), tops[node.row], _measure(node))
        for node in graph.nodes
    }


def _measure(node: GraphNode) -> float:
    return 2 * _BOX_PADDING + _LINE_HEIGHT * (1 + len(node.lines)) - 3


def _draw_edge(edge: GraphEdge, boxes: Mapping[str, Box]) -> str:
    (left, top, tall), (head_left, head_top, head_tall) = boxes[edge.tail], boxes[edge.head]
    if left == head_left:  # one below the other
        x, y, end = left + _BOX_WIDTH / 2, top + tall, head_top - 2
        path = f"M{x:g} {y:g}V{end:g}"
        label_x, label_y = x, (y + end) / 2 + 4
    else:
        x, y = left + _BOX_WIDTH, top + tall / 2
        end_x, end_y = head_left - 2, head_top + head_tall / 2
        # Behind boxes in between, a line would be lost: it turns in the gap before its head.
        bend = end_x - _GAP_X / 2
        start = max(x, bend - _GAP_X / 2)
        path = f"M{x:g} {y:g}H{start:g}C{bend:g} {y:g} {bend:g} {end_y:g} {end_x:g} {end_y:g}"
        label_x, label_y = bend - 2, (y + end_y) / 2 - 6
    label = (
        f'<text class="label" x="{label_x:g}" y="{label_y:g}">{_clean(edge.label)}</text>'
        if edge.label
        else ""
    )
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>{label}'


def _draw_node(node: GraphNode, box: Box) -> Iterator[str]:
    left, top, tall = box
    full = _clean("\n".join((node.title, *node.lines)))
    yield f"<g><title>{full}</title>"
    yield (
        f'<rect class="box {node.kind}" x="{left:g}" y="{top:g}" width="{_BOX_WIDTH}" height="{tall:g}" '
        f'rx="{_ROUND}"/>'
    )
    x, y = left + _BOX_PADDING, top + _BOX_PADDING + 10
    yield f'<text class="title" x="{x:g}" y="{y:g}">{_clean(cut_middle(node.title, _TITLE_CHARS))}</text>'
    for number, line in enumerate(node.lines, start=1):
        y = top + _BOX_PADDING + 10 + number * _LINE_HEIGHT
        yield f'<text x="{x:g}" y="{y:g}">{_clean(cut_middle(line, _LINE_CHARS))}</text>'
    yield "</g>"


def cut_middle(text: str, length: int) -> str:
    """Cuts a text in the middle, so that its end stays: of a path, that is what tells."""
    text = make_plain(text)
    if len(text) <= length:
        return text
    head = length // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def _clean(text: str) -> str:
    return escape(make_plain(text, keep_lines=True))
