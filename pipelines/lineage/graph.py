"""Lineages as a drawn graph: from the checkpoint, run and settings file to what is served.

What passes through: lineages come in, boxes on a grid go out. One lineage has its checks and its run drawn;
of a history, each row is a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from pipelines.lineage.model_lineage import Lineage, Verdict
from pipelines.rendering.graph import Graph, GraphEdge, GraphNode, Kind

_DIGEST_CHARS = 12


def draw_lineage(lineages: Sequence[Lineage]) -> Graph:
    """Draws the whole way of one model, or of several below one another.

    Args:
        lineages: What `servable lineage` found.
    """
    nodes: list[GraphNode] = []
    edges: list[GraphEdge] = []
    row = 0
    for number, one in enumerate(lineages):
        more_nodes, more_edges = _draw_one(one, f"{number}-", row)
        nodes += more_nodes
        edges += more_edges
        row = max(node.row for node in nodes) + 1
    names = ", ".join(dict.fromkeys(one.model for one in lineages))
    return Graph(f"Lineage of {names}", tuple(nodes), tuple(edges))


def draw_history(lineages: Sequence[Lineage], pipeline: str) -> Graph:
    """Draws the models of a pipeline, the newest first: source, model, what became of it.

    Args:
        lineages: Oldest first.
        pipeline: The pipeline's name.
    """
    nodes: dict[str, GraphNode] = {}
    edges: dict[tuple[str, str], GraphEdge] = {}
    for row, one in enumerate(reversed(lineages)):
        source, model, end = f"s-{one.source_path}-{one.source_digest}", f"m-{one.model_id}", f"e-{row}"
        for node in (
            _make_source(one, source, 0, row),
            _make_model(one, model, 1, row),
            _make_end(one, end, 2, row),
        ):
            nodes.setdefault(node.key, node)
        edges[source, model] = GraphEdge(source, model)
        edges[model, end] = GraphEdge(model, end)
    return Graph(f"History of {pipeline}", tuple(nodes.values()), tuple(edges.values()))


def _draw_one(one: Lineage, prefix: str, row: int) -> tuple[list[GraphNode], list[GraphEdge]]:
    run, source, model, report, end = (prefix + name for name in ("run", "source", "model", "report", "end"))
    first = 1 if one.upstream or one.config_path else 0
    nodes = [
        _make_source(one, source, first, row),
        GraphNode(run, Kind.RUN, "Run", (one.run_id, f"pipeline {one.pipeline}"), first, row + 1),
        _make_model(one, model, first + 1, row),
        _make_report(one, report, first + 2, row),
        _make_end(one, end, first + 3, row),
    ]
    edges = [
        GraphEdge(source, model, "converted"),
        GraphEdge(run, model, "by"),
        GraphEdge(model, report, "checked"),
        GraphEdge(report, end, "pushed" if one.pushed_path else ""),
    ]
    if one.upstream:
        nodes.append(GraphNode(prefix + "up", Kind.SOURCE, "Made by", (one.upstream,), 0, row))
        edges.append(GraphEdge(prefix + "up", source))
    if one.config_path:
        lines = (one.config_path, f"sha256 {one.config_digest[:_DIGEST_CHARS]}")
        nodes.append(GraphNode(prefix + "config", Kind.CONFIG, "Settings", lines, 0, row + 1))
        edges.append(GraphEdge(prefix + "config", run))
    if one.push_run_id and one.push_run_id != one.run_id:
        lines = (one.push_run_id, f"pipeline {one.pipeline}")
        nodes.append(GraphNode(prefix + "later", Kind.RUN, "Later run", lines, first + 2, row + 1))
        edges.append(GraphEdge(prefix + "later", end, "by"))
    return nodes, edges


def _make_source(one: Lineage, key: str, column: int, row: int) -> GraphNode:
    step = "" if one.source_step is None else f", step {one.source_step}"
    skipped = f"skipped: {_join(one.skipped_steps)}" if one.skipped_steps else ""
    title = PurePath(one.source_path).name or one.source_path or "source"
    lines = (f"{one.source_format}{step}", one.source_path, _shorten(one.source_digest), skipped)
    return GraphNode(key, Kind.SOURCE, title, _keep(lines), column, row)


def _make_model(one: Lineage, key: str, column: int, row: int) -> GraphNode:
    target = f"for {one.target}" if one.target else ""
    lines = (one.model_uri, _shorten(one.saved_model_digest), target, one.toolchain)
    return GraphNode(key, Kind.MODEL, f"Model {one.model}", _keep(lines), column, row)


def _make_report(one: Lineage, key: str, column: int, row: int) -> GraphNode:
    kind = Kind.GOOD if one.verdict is Verdict.FIT else Kind.BAD
    lines = (one.blessing_message, str(one.report_path or ""))
    return GraphNode(key, kind, str(one.verdict).capitalize(), _keep(lines), column, row)


def _make_end(one: Lineage, key: str, column: int, row: int) -> GraphNode:
    when = f"{one.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    if one.pushed_path is None:
        title = "Not pushed" if one.verdict is Verdict.FIT else f"Not pushed: {one.verdict}"
        return GraphNode(key, Kind.BAD, title, (when,), column, row)
    bytes_now = ""
    if one.pushed_digest:
        bytes_now = "still the same bytes" if one.is_intact else "CHANGED since it was checked"
    kind = Kind.BAD if one.pushed_digest and one.saved_model_digest and not one.is_intact else Kind.VERSION
    lines = (str(one.pushed_path), when, bytes_now)
    return GraphNode(key, kind, f"Version {one.pushed_version}", _keep(lines), column, row)


def _shorten(digest: str) -> str:
    return f"digest {digest[:_DIGEST_CHARS]}" if digest else ""


def _join(steps: Iterable[int]) -> str:
    return ", ".join(map(str, steps))


def _keep(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for line in lines if line)
