"""The parts of a page that only some reports have: from facts to rows.

What passes through: facts come in as a report of any version has them, rows for the template go out. A fact
that is missing, or of another form than expected, is no section: it stays in the list of facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from servable.deploy.requests.outline import outline_request
from servable.report_page.charts import (
    Histogram,
    LatencyRow,
    Scatter,
    draw_histogram,
    draw_latencies,
    draw_scatter,
)
from servable.report_page.metrics_section import MetricsView, view_metrics
from servable.report_page.units import show_bytes, show_number, show_seconds

_MAX_WEIGHTS: Final = 40
_FIGURES: Final = ("mean", "std", "min", "max")
# A target's name and the version that it ends in.
_VERSIONED: Final = re.compile(r"(.+?)[-_](\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class SignatureView:
    """One signature: its ends and an example of a request."""

    name: str
    method: str
    ends: tuple[tuple[str, str, str], ...]  # side, key, type
    request: str
    remark: str


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """One output beside the baseline's."""

    signature: str
    output: str
    sentence: str
    is_outside: bool
    scatter: Scatter | None
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Targets of one platform: version and whether it runs the model, only loads it, or refuses it."""

    platform: str
    verdicts: tuple[tuple[str, str], ...]  # version, "runs", "loads" or "refuses"


@dataclass(frozen=True, slots=True)
class WeightView:
    """One variable."""

    name: str
    type: str
    size: str
    percent: float
    figures: tuple[str, ...]  # mean, std, min, max


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """One runtime that the model was run in."""

    name: str
    state: str
    is_good: bool
    details: str


@dataclass(frozen=True, slots=True)
class Sections:
    """All of them; an empty one is not shown."""

    signatures: list[SignatureView] = field(default_factory=list)
    comparisons: list[ComparisonView] = field(default_factory=list)
    metrics: list[MetricsView] = field(default_factory=list)
    latencies: list[tuple[str, list[LatencyRow]]] = field(default_factory=list)
    runtimes: list[RuntimeView] = field(default_factory=list)
    targets: list[TargetGroup] = field(default_factory=list)
    obstacles: list[tuple[str, str]] = field(default_factory=list)  # in words, names of targets
    weights: list[WeightView] = field(default_factory=list)
    more_weights: int = 0


def make_sections(facts: Mapping[str, Any]) -> tuple[Sections, frozenset[str]]:
    """Makes what can be made of a report's facts.

    Args:
        facts: Of any version.

    Returns:
        The sections, and the names of the facts that they show.
    """
    shown: set[str] = set()

    def read(name: str, make: Callable[[Any], list[Any]], *also: str) -> list[Any]:
        try:
            made = make(facts[name])
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return []
        shown.update((name, *also))
        return made

    cost = facts.get("cost")
    latencies = cost.get("latencies") if isinstance(cost, Mapping) else None
    weights = read("weights", _view_weights)
    sections = Sections(
        signatures=read("signature_specs", _view_signatures, "signatures"),
        comparisons=read("comparisons", _view_comparisons),
        metrics=read("metrics", view_metrics),
        latencies=_view_latencies(latencies) if isinstance(latencies, Mapping) else [],
        runtimes=read("runtimes", _view_runtimes),
        targets=read("compatibility", _group_targets),
        obstacles=read("compatibility", _list_obstacles),
        weights=weights[:_MAX_WEIGHTS],
        more_weights=max(len(weights) - _MAX_WEIGHTS, 0),
    )
    return sections, frozenset(shown)


def _view_signatures(specs: Mapping[str, Any]) -> list[SignatureView]:
    views = []
    for name, spec in specs.items():
        ends = [
            (side, key, _show_type(end))
            for side, group in (("input", spec["inputs"]), ("output", spec["outputs"]))
            for key, end in group.items()
        ]
        request, remark = outline_request(name, spec["method"], spec["inputs"])
        views.append(SignatureView(name, spec["method"], tuple(ends), request, remark))
    return views


def _show_type(spec: Mapping[str, Any]) -> str:
    if spec["shape"] is None:
        return f"{spec['dtype']} [any rank]"
    return f"{spec['dtype']} [{', '.join('?' if size is None else str(size) for size in spec['shape'])}]"


def _view_comparisons(figures: Mapping[str, Any]) -> list[ComparisonView]:
    return [
        ComparisonView(
            signature,
            output,
            _describe_comparison(one),
            one["outside"] > 0,
            draw_scatter(one),
            draw_histogram(one),
        )
        for signature, outputs in figures.items()
        for output, one in outputs.items()
    ]


def _describe_comparison(one: Mapping[str, Any]) -> str:
    quantiles, values = one["errors"]["quantiles"], one["values"]
    if not one["outside"] and not any(one["errors"]["counts"]):
        return f"All {values:,} values are equal."
    tolerance = f"{show_number(one['atol'])} + {show_number(one['rtol'])} * |baseline|"
    return (
        f"{one['outside']:,} of {values:,} values are off by more than {tolerance}. Half are off by at most "
        f"{show_number(quantiles['0.5'])}, 99% by {show_number(quantiles['0.99'])}, the worst by "
        f"{show_number(quantiles['1'])}."
    )


def _view_latencies(latencies: Mapping[str, Any]) -> list[tuple[str, list[LatencyRow]]]:
    try:
        return [(name, draw_latencies(sizes)) for name, sizes in latencies.items() if sizes]
    except (LookupError, TypeError, ValueError, AttributeError):
        return []


def _view_runtimes(runtimes: Mapping[str, Any]) -> list[RuntimeView]:
    return [_view_runtime(version, proof) for version, proof in runtimes.items()]


def _view_runtime(version: str, proof: Mapping[str, Any]) -> RuntimeView:
    name = f"TensorFlow {version}"
    if not proof["installed"]:
        return RuntimeView(name, "not installed", False, "")
    if not proof["loaded"]:
        return RuntimeView(name, "does not load it", False, "")
    ran = f"ran {', '.join(proof['ran'])}" if proof["ran"] else "ran nothing"
    took = f"; loaded in {show_seconds(proof['load_time_s'])}" if proof.get("load_time_s") else ""
    if proof["differing"]:
        return RuntimeView(
            name, "answers otherwise", False, f"in {', '.join(proof['differing'])}; {ran}{took}"
        )
    known = [
        w for outputs in proof.get("worst_difference", {}).values() for w in outputs.values() if w is not None
    ]
    off = f"; worst difference {show_number(max(known))}" if known else ""
    return RuntimeView(name, "loads and runs it", bool(proof["ran"]), f"{ran}{off}{took}")


def _group_targets(rows: list[Mapping[str, Any]]) -> list[TargetGroup]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found = _VERSIONED.fullmatch(row["target"])
        platform, version = found.groups() if found else (row["target"], row["tensorflow"])
        verdict = "runs" if row["runs"] else "loads" if row["loads"] else "refuses"
        groups.setdefault(platform, []).append((version, verdict))
    return [TargetGroup(platform, tuple(verdicts)) for platform, verdicts in groups.items()]


def _list_obstacles(rows: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row["obstacle"]:
            # The message begins with the target's name, which would make each its own.
            message = row["obstacle"].removeprefix(row["target"]).strip()
            groups.setdefault(message, []).append(row["target"])
    return [(message, ", ".join(names)) for message, names in groups.items()]


def _view_weights(weights: list[Mapping[str, Any]]) -> list[WeightView]:
    largest = max((one["size_bytes"] for one in weights), default=0) or 1
    return [
        WeightView(
            one["name"],
            _show_type(one),
            show_bytes(one["size_bytes"]),
            round(100 * one["size_bytes"] / largest, 1),
            tuple(
                "" if one.get(key) is None else show_number(one[key]) for key in ("mean", "std", "min", "max")
            ),
        )
        for one in weights
    ]
