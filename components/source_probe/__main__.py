"""The container command of a probe: Kubeflow's message comes in, parameters go out into its output file.

The same command serves as Vertex AI's check before the cache (`lifecycle.preCacheCheck`): what it writes
there is added to the node's own parameters.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.source_probe.probing import ProbedArtifact, ProbeKind, probe_node
from components.source_probe.staging import find_staged_path
from servable.errors import ServableError

_EXIT_COULD_NOT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: Without the program's name; those of this process by default.

    Returns:
        The exit code: 0, or 2 when there is nothing complete and known to work on.

    Raises:
        OSError: The output file cannot be written.
    """
    parser = argparse.ArgumentParser(prog="python -m components.source_probe", description=__doc__)
    parser.add_argument("kind", choices=[str(kind) for kind in ProbeKind])
    parser.add_argument(
        "--executor_input", required=True, metavar="JSON", help="Kubeflow's ExecutorInput message"
    )
    options = parser.parse_args(arguments)
    message = json.loads(options.executor_input)
    inputs = message.get("inputs", {})
    try:
        found = probe_node(ProbeKind(options.kind), _read_parameters(inputs), _read_artifacts(inputs))
    except ServableError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_COULD_NOT
    for name, value in sorted(found.items()):
        sys.stdout.write(f"{name}: {value}\n")
    output_path = Path(find_staged_path(message["outputs"]["outputFile"]))
    output_path.parent.mkdir(parents=True, exist_ok=True)
    output_path.write_text(json.dumps(_make_output(found, inputs), sort_keys=True), encoding="utf-8")
    return 0


def _read_parameters(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Reads plain values of schema 2.1, else the typed ones of schema 2.0."""
    plain = inputs.get("parameterValues")
    if plain:
        return dict(plain)
    typed: Mapping[str, Mapping[str, Any]] = inputs.get("parameters", {})
    return {name: next(iter(value.values()), None) for name, value in typed.items()}


def _read_artifacts(inputs: Mapping[str, Any]) -> dict[str, list[ProbedArtifact]]:
    return {
        key: [
            ProbedArtifact(find_staged_path(artifact["uri"]), artifact.get("metadata", {}))
            for artifact in listed.get("artifacts", [])
        ]
        for key, listed in inputs.get("artifacts", {}).items()
    }


def _make_output(found: Mapping[str, str], inputs: Mapping[str, Any]) -> dict[str, Any]:
    if inputs.get("parameters") and not inputs.get("parameterValues"):
        return {"parameters": {name: {"stringValue": value} for name, value in found.items()}}
    return {"parameterValues": dict(found)}


if __name__ == "__main__":
    sys.exit(main())
