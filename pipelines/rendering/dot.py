"""A graph as text for Graphviz. Names of any origin are quoted."""

from __future__ import annotations

from typing import Final

from pipelines.rendering.graph import Graph, Kind
from servable.plain_text import make_plain

_COLOURS: Final = {
    Kind.CONFIG: "#e3e8f0",
    Kind.RUN: "#e3e8f0",
    Kind.SOURCE: "#dfe9fb",
    Kind.MODEL: "#e9e2f8",
    Kind.GOOD: "#d8efe1",
    Kind.BAD: "#f9dcd9",
    Kind.VERSION: "#d8efe1",
}


def render_dot(graph: Graph) -> str:
    """Writes a graph in the language of Graphviz: `dot -Tpng lineage.dot`."""
    lines = [
        f"digraph {_quote(graph.title)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    for node in graph.nodes:
        label = _quote("\n".join((node.title, *node.lines)))
        lines.append(f"  {_quote(node.key)} [label={label}, fillcolor={_quote(_COLOURS[node.kind])}];")
    for edge in graph.edges:
        label = f" [label={_quote(edge.label)}]" if edge.label else ""
        lines.append(f"  {_quote(edge.tail)} -> {_quote(edge.head)}{label};")
    return "\n".join([*lines, "}", ""])


def _quote(text: str) -> str:
    plain = make_plain(text, keep_lines=True).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n", "\\n") + '"'
