"""The front door's command about runtimes: which there are, what one is like, which of them take a model.

What passes through: words of a command line come in, text and plain JSON values go out. A target's own
registry answers for it, so that nothing is run. No TensorFlow here, and no registry for the list.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servable.cli_answer import EXIT_DONE, EXIT_FINDINGS, print_json
from servable.errors import BrokenSourceError, CheckError, UnknownSourceError

if TYPE_CHECKING:
    from servable.targets.catalog import Target
    from servable.targets.comparing import Verdict


def add_targets_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `targets` takes."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one target: what it knows and refuses")
    parser.add_argument(
        "--for",
        dest="saved_model",
        metavar="SAVED_MODEL",
        help="what each target makes of this SavedModel, here or at gs://...; nothing is run",
    )


def run_targets(arguments: argparse.Namespace) -> int:
    """Does what was asked of `targets`.

    Returns:
        The exit code: findings when a target that was named does not run the model.

    Raises:
        SettingsError: There is no such target.
        SourceError: There is no SavedModel, or none with a graph to serve.
    """
    from servable.targets.catalog import find_target, list_targets

    name = arguments.name
    targets = list_targets() if name is None else (find_target(name),)
    if arguments.saved_model is not None:
        return _judge(arguments, targets)
    installed = _find_installed(targets)
    data = [_target_as_json(target, installed) for target in targets]
    if name is not None:
        data[0] |= _details_as_json(targets[0])
    if arguments.json:
        print_json(data if name is None else data[0])
        return EXIT_DONE
    from servable.cli_target_tables import write_details, write_list

    if name is None:
        write_list(targets, installed)
    else:
        write_details(targets[0], data[0])
    return EXIT_DONE


def _judge(arguments: argparse.Namespace, targets: Iterable[Target]) -> int:
    from servable.cli_remote import open_source_place
    from servable.cli_target_tables import write_verdict, write_verdicts
    from servable.cli_text import show_progress
    from servable.targets.comparing import judge_all

    with (
        show_progress(enabled=not arguments.json) as progress,
        open_source_place(arguments, arguments.saved_model, with_values=False, progress=progress) as source,
    ):
        verdicts = judge_all(read_served_graph(source.path, name=arguments.saved_model), targets)
    if arguments.json:
        print_json([_verdict_as_json(verdict) for verdict in verdicts])
    elif arguments.name is None:
        write_verdicts(arguments.saved_model, verdicts)
    else:
        write_verdict(arguments.saved_model, verdicts[0])
    return EXIT_DONE if arguments.name is None or verdicts[0].runs else EXIT_FINDINGS


def read_served_graph(saved_model_dir: Path, *, name: str) -> Any:
    """Reads the MetaGraphDef that a server takes.

    Args:
        saved_model_dir: The folder with `saved_model.pb`.
        name: What the user calls it.

    Raises:
        UnknownSourceError: There is no such folder.
        BrokenSourceError: The file is missing or damaged, or no graph in it is tagged {serve}.
    """
    from servable.graphs.saved_model_parts import SERVE_TAG, find_model_file, read_model_file

    if not saved_model_dir.is_dir():
        raise UnknownSourceError(
            "There is no such folder.",
            expected="a SavedModel: a folder with saved_model.pb",
            where=name,
            advice="name the folder itself, such as digits/1",
        )
    graphs = read_model_file(find_model_file(saved_model_dir)).meta_graphs
    for graph in graphs:
        if set(graph.meta_info_def.tags) == {SERVE_TAG}:
            return graph
    raise BrokenSourceError(
        "This SavedModel has no graph that a server takes.",
        expected=f"one whose only tag is {SERVE_TAG}",
        received=", ".join("{" + ", ".join(graph.meta_info_def.tags) + "}" for graph in graphs) or "none",
        where=name,
        advice=f"servable inspect {name}  says what to type to convert it",
    )


def _find_installed(targets: Iterable[Target]) -> frozenset[str]:
    """Names the versions whose runtime is on this machine."""
    from servable.runtime.installed import find_runtime

    found = set()
    for version in {target.version for target in targets}:
        try:
            found.add(find_runtime(version).version)
        except CheckError:
            continue
    return frozenset(found)


def _target_as_json(target: Target, installed: frozenset[str]) -> dict[str, Any]:
    return {
        "name": target.name,
        "tensorflow": target.version,
        "platform": target.platform,
        "refuses_unknown_attributes": target.is_strict,
        "needs_tensorflow_1_form": target.is_v1,
        "runtime_installed": target.version in installed,
    }


def _details_as_json(target: Target) -> dict[str, Any]:
    from servable.cli_target_tables import describe_loader

    registry = target.registry
    return {
        "ops": len(registry.ops),
        "ops_on_cpu": len(registry.kernels.keys() & registry.ops.keys()),
        "wire_dtypes": sorted(target.wire_dtypes),
        "loader": describe_loader(target),
    }


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    from servable.checks.target import report_obstacles

    found = report_obstacles(verdict.obstacles, verdict.target)
    return {
        "target": verdict.target.name,
        "tensorflow": verdict.target.version,
        "loads": verdict.loads,
        "runs": verdict.runs,
        "obstacles": [{"message": finding.message, "where": finding.where} for finding in found],
    }
