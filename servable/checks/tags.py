"""Check `tags`: is there exactly one graph to serve, tagged {serve} and nothing else?

What passes through: the tags of every MetaGraphDef. TensorFlow Serving asks for {serve} and the loader takes
only a graph whose set of tags is the same, so that {serve, gpu} is not found.
"""

from __future__ import annotations

from servable.checks.context import Check, Context, make_error, make_warning
from servable.graphs.saved_model_parts import SERVE_TAG
from servable.report import Report

_NAME = "tags"


def _check_tags(context: Context) -> Report:
    tag_sets = [set(graph.meta_info_def.tags) for graph in context.saved_model.meta_graphs]
    shown = ", ".join("{" + ", ".join(sorted(tags)) + "}" for tags in tag_sets)
    matching = sum(tags == {SERVE_TAG} for tags in tag_sets)
    findings = []
    if matching == 0:
        findings.append(
            make_error(
                _NAME,
                f"no graph is tagged exactly {{serve}}: found {shown}",
                where=str(context.model_path),
                advice="Export again with the tag 'serve' and no other.",
            )
        )
    elif matching > 1:
        findings.append(
            make_error(
                _NAME,
                f"{matching} graphs are tagged {{serve}}, and a server takes the first: found {shown}",
                where=str(context.model_path),
                advice="Export again into an empty folder.",
            )
        )
    elif len(tag_sets) > 1:
        findings.append(
            make_warning(
                _NAME,
                f"there are further graphs that no server loads: found {shown}",
                where=str(context.model_path),
                advice="Leave them out: they are read, checked and copied with each version.",
            )
        )
    return context.make_report(_NAME, findings)


CHECK = Check(_NAME, _check_tags, needs=("layout",))
