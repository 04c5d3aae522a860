"""Check `variables`: is everything there that the graph restores when a server loads it?

What passes through: what the restore op asks for, and the index of the variables' files. Sizes only; the
values are read by `weights`. The loader itself does not complain when the whole folder is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from servable.checks.context import Check, Context, describe_error, make_error, make_warning
from servable.checks.reach import RESTORE_PURPOSE
from servable.errors import SourceError
from servable.formats.checkpoints.bundle import OBJECT_GRAPH_KEY, check_extents
from servable.graphs.graph import read_const_strings
from servable.report import Finding, Report

_NAME = "variables"
_MAX_SHOWN = 3
_ADVICE = "Export again: the copy is incomplete, or from another export."


def _check_variables(context: Context) -> Report:
    if not context.has_variables:
        return context.make_report(_NAME, [], {"variable_bytes": 0, "variable_tensors": 0})
    where = "variables/variables.index"
    if not (context.saved_model_dir / where).is_file():
        message = "the graph has variables, and their files are missing: every request would fail"
        return context.make_report(_NAME, [make_error(_NAME, message, where=where, advice=_ADVICE)])
    try:
        bundle = context.bundle
        faults = check_extents(bundle)
    except SourceError as error:
        return context.make_report(
            _NAME, [make_error(_NAME, describe_error(error), where=where, advice=_ADVICE)]
        )
    findings = [make_error(_NAME, fault, where=where, advice=_ADVICE) for fault in faults]
    findings += _find_missing(context)
    entries = [entry for key, entry in bundle.entries.items() if key != OBJECT_GRAPH_KEY]
    facts = {
        "variable_bytes": sum(entry.size_bytes for entry in entries),
        "variable_tensors": len(entries),
    }
    return context.make_report(_NAME, findings, facts)


def _find_missing(context: Context) -> Iterator[Finding]:
    asked = set()
    restores = 0
    for placed in context.reach.iterate_nodes(RESTORE_PURPOSE):
        if placed.node.op != "RestoreV2":
            continue
        restores += 1
        origin = context.reach.trace_origin(placed, 1)  # prefix, tensor_names, shape_and_slices
        names = read_const_strings(origin.node) if origin is not None else None
        asked |= {name.decode("utf-8", "replace") for name in names or []}
    if not restores:
        yield make_error(
            _NAME,
            "the graph has variables and nothing that restores them",
            where=f"saver restore op {context.meta_graph.saver_def.restore_op_name!r}",
            advice="Export again with a saver.",
        )
    sizes = {key: entry.size_bytes for key, entry in context.bundle.entries.items()}
    unused = sorted(set(sizes) - asked - {OBJECT_GRAPH_KEY})
    if asked and unused:
        size_bytes = sum(sizes[name] for name in unused)
        yield make_warning(
            _NAME,
            f"the files hold {len(unused)} tensors ({size_bytes} bytes) that the graph never restores",
            where=", ".join(unused[:_MAX_SHOWN]) + (" ..." if len(unused) > _MAX_SHOWN else ""),
            advice="Export without what only training needs, such as an optimizer's slots.",
        )
    for name in sorted(asked - set(sizes)):
        yield make_error(
            _NAME, "a variable that the graph restores is not in the files", where=name, advice=_ADVICE
        )


CHECK = Check(_NAME, _check_variables, needs=("tags",))
