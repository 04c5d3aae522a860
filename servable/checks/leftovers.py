"""What training left in a graph: optimizers, gradients, queues, savers, and paths of the trainer's machine.

What passes through: the nodes of one graph and what a server runs them for; findings for `ops`. What is on
the path of a request weighs more than what is only carried along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from servable.checks import op_groups
from servable.checks.context import make_error, make_warning
from servable.checks.reach import INIT_PURPOSE, RESTORE_PURPOSE, GraphReach, PlacedNode
from servable.graphs.graph import find_ancestors, read_const_strings
from servable.graphs.op_classes import CHECKPOINT_READING_OPS, CHECKPOINT_WRITING_OPS
from servable.report import Finding, Severity

_MAX_SHOWN = 3
# A list with more texts than this is a vocabulary, in which anything may stand.
_MAX_TEXTS = 16
# Where people's files lie on Linux, macOS and Windows, and in the buckets of a cloud.
_PATH = re.compile(
    rb"(/(home|root|Users|tmp|var|data\d*|mnt|media|opt|srv|usr|workspace|content|scratch|gpfs|nfs|work|dev)/"
    rb"|[A-Za-z]:[\\/](?=\w)|(file|gs|s3|s3a|oss|hdfs|viewfs)://)[^\s\0]+"
)
_SAVER_OPS = CHECKPOINT_READING_OPS | CHECKPOINT_WRITING_OPS


def find_leftovers(check: str, reach: GraphReach, meta_graph_saver: str) -> Iterator[Finding]:
    """Finds what no server runs and what a trainer had need of.

    Args:
        check: Name to put into the findings.
        reach: The graph.
        meta_graph_saver: Tensor that saves the variables, which the loader's own saver has as well.
    """
    savers = find_ancestors(reach.nodes, [meta_graph_saver] if meta_graph_saver else [])
    idle = [
        placed for placed in reach.iterate_all() if (placed.place, placed.node.name) not in reach.purposes
    ]
    for what, is_such in _GROUPS:
        found = [placed for placed in idle if is_such(placed.node.op)]
        if found:
            # A loader makes a function's nodes only when it is called: these cost nothing but their bytes.
            is_heavy = not all(placed.place for placed in found)
            yield Finding(
                check,
                Severity.WARNING if is_heavy else Severity.INFO,
                f"the graph carries {len(found)} nodes of {what} along, which no server runs",
                _show([placed.where for placed in found]),
                "Export only what the signatures need." if is_heavy else "",
            )
    # A function may be another saver's way to write; only those of the graph itself are told apart.
    strays = [
        placed.where
        for placed in idle
        if placed.node.op in _SAVER_OPS and not placed.place and placed.node.name not in savers
    ]
    if strays:
        message = f"the graph carries {len(strays)} nodes of other savers than the loader's along"
        yield Finding(check, Severity.INFO, message, _show(strays))


def find_served_gradients(check: str, reach: GraphReach) -> Iterator[Finding]:
    """Finds ops that compute gradients at each request."""
    for name in reach.roots:
        if name in (INIT_PURPOSE, RESTORE_PURPOSE):
            continue
        found = [placed for placed in reach.iterate_nodes(name) if _is_gradient(placed.node.op)]
        if found:
            ops = ", ".join(sorted({placed.node.op for placed in found})[:_MAX_SHOWN])
            yield make_warning(
                check,
                f"{ops} computes gradients at each request of signature {name}",
                where=_show([placed.where for placed in found]),
                advice="Name an output that lies before the training step.",
            )


def find_paths(check: str, reach: GraphReach, home: Path) -> Iterator[Finding]:
    """Finds texts of the graph that are paths: where a model is served, nothing lies there.

    Args:
        check: Name to put into the findings.
        reach: The graph.
        home: The SavedModel's own folder, which no text may name.
    """
    own = str(home.resolve()).encode()
    served: dict[str, list[str]] = {}
    for placed in reach.iterate_all():
        texts = read_const_strings(placed.node) or []
        if not 0 < len(texts) <= _MAX_TEXTS or _is_asset(placed, reach):
            continue
        # As a whole path and not the beginning of a longer name beside it.
        if any(text == own or text.startswith(own + b"/") for text in texts):
            yield make_error(
                check,
                "a text of the graph leads back to this very folder, which the served model has left",
                where=placed.where,
                advice="Make the file an asset, and export again.",
            )
        elif (placed.place, placed.node.name) in reach.purposes:
            for text in texts:
                if _PATH.fullmatch(text):
                    served.setdefault(text.decode("utf-8", "replace"), []).append(placed.where)
    for path, places in list(served.items())[:_MAX_SHOWN]:
        yield make_warning(
            check,
            f"the text {path!r} looks like a path of the trainer's machine, and a server uses it",
            where=_show(places),
            advice="Make the file an asset, if it is one.",
        )


def _is_asset(placed: PlacedNode, reach: GraphReach) -> bool:
    return not placed.place and f"{placed.node.name}:0" in reach.asset_tensors


def _show(places: list[str]) -> str:
    more = f" and {len(places) - _MAX_SHOWN} more" if len(places) > _MAX_SHOWN else ""
    return ", ".join(places[:_MAX_SHOWN]) + more


def _is_optimizer(op: str) -> bool:
    return op.startswith(op_groups.OPTIMIZER_PREFIXES)


def _is_queue(op: str) -> bool:
    return op in op_groups.INPUT_PIPELINE_OPS or op.startswith("QueueEnqueue") or op in op_groups.QUEUES


def _is_gradient(op: str) -> bool:
    return op in op_groups.GRADIENT_OPS or op.endswith(("Grad", "GradV2", "GradV3", "GradGrad"))


_GROUPS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("an optimizer", _is_optimizer),
    ("an input pipeline", _is_queue),
    ("gradients", _is_gradient),
)
