"""Check `target`: will the runtime that is to serve the model load it and run it?

What passes through: every node, and what the target's own registry of ops says of it; the target need not be
there. Nodes with the same obstacle are one finding, with the first few of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from servable.checks.context import Check, Context, make_error
from servable.report import Finding, Report
from servable.targets.catalog import CURRENT, Target, find_target
from servable.targets.fitting import MisfitKind
from servable.targets.verdict import Obstacle, judge_meta_graph

_NAME = "target"
_MAX_SHOWN = 3

# What comes of an obstacle that does not keep the model from being loaded.
_AT_RUN: Final = {
    MisfitKind.KERNEL.value: "loads the model, but requests fail",
    MisfitKind.UNKNOWN_ATTR.value: "loads the model, but may answer otherwise",
}
_AT_LOAD: Final = "does not load the model"
_OUT_OF_REACH: Final = "loads the model, but cannot be asked"


def describe_effect(obstacle: Obstacle) -> str:
    """Says what becomes of a model that has this obstacle, after the target's name."""
    return _AT_LOAD if obstacle.at_load else _AT_RUN.get(obstacle.kind, _OUT_OF_REACH)


def report_obstacles(obstacles: Iterable[Obstacle], target: Target) -> list[Finding]:
    """Turns obstacles into findings, the nodes with the same one together.

    Args:
        obstacles: In the order of the graph.
        target: The runtime whose they are.

    Returns:
        What keeps the model from being loaded first.
    """
    groups: dict[tuple[str, ...], list[Obstacle]] = {}
    for obstacle in obstacles:
        # The detail names the value of an attribute that is not known, which may differ from node to node.
        about = obstacle.attr if obstacle.kind == MisfitKind.UNKNOWN_ATTR else obstacle.detail
        key = (obstacle.kind, describe_effect(obstacle), obstacle.op, about)
        groups.setdefault(key, []).append(obstacle)
    ordered = sorted(groups.values(), key=lambda group: not group[0].at_load)
    return [_make_finding(group, target) for group in ordered]


def _make_finding(group: list[Obstacle], target: Target) -> Finding:
    first = group[0]
    nodes = f" ({len(group)} {first.op} node{'s' if len(group) > 1 else ''})" if first.op else ""
    return make_error(
        _NAME,
        f"{target.name} {describe_effect(first)}: {first.detail}{nodes}",
        where=_name_places(group),
        advice=_advise(first, target),
    )


def _advise(obstacle: Obstacle, target: Target) -> str:
    again = f"--target {target.name}"
    # What was converted for a target has no obstacle that a conversion could remove.
    if target.name == CURRENT or again in obstacle.advice or not obstacle.at_load:
        return obstacle.advice
    return f"convert the model with {again}, which replaces what can be replaced; or {obstacle.advice}"


def _name_places(group: list[Obstacle]) -> str:
    places = "; ".join(_name_place(obstacle) for obstacle in group[:_MAX_SHOWN])
    more = len(group) - _MAX_SHOWN
    return f"{places}; and {more} more" if more > 0 else places


def _name_place(obstacle: Obstacle) -> str:
    if not obstacle.op:  # of a signature, not of a node
        return obstacle.node
    function = f" in function {obstacle.function}" if obstacle.function else ""
    origin = f", from {obstacle.origin}" if obstacle.origin else ""
    return f"node {obstacle.node}{function}{origin}"


def _check_target(context: Context) -> Report:
    target = find_target(context.policy.target)
    obstacles = judge_meta_graph(context.meta_graph, target)
    facts = {"target": target.name, "target_version": target.version}
    return context.make_report(_NAME, report_obstacles(obstacles, target), facts)


CHECK = Check(_NAME, _check_target, needs=("layout", "tags"))
