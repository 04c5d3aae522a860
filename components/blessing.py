"""What a report means to TFX: blessed or not, in the words that Pusher and Resolver read.

What passes through: a report and the model's identity come in, custom properties go out. Neither TensorFlow
nor TFX here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from servable.report import Report
from servable.targets.catalog import CURRENT, find_target

# Empty marker files beside the properties, as TFX's Evaluator writes them.
BLESSED_FILE = "BLESSED"
NOT_BLESSED_FILE = "NOT_BLESSED"

# How Kubeflow's container entry point is handed the artifacts, names included.
_INVOCATION_FLAG = "--json_serialized_invocation_args"


def describe_blessing(
    report: Report, *, model_id: int, model_uri: str, model_name: str | None = None, target: str = CURRENT
) -> dict[str, str | int]:
    """Turns a report into the custom properties of a ModelBlessing.

    Args:
        report: Of the model's checks.
        model_id: The model artifact's id in ML Metadata; TFX's LatestBlessedModelStrategy compares it.
        model_uri: The model artifact's URI.
        model_name: The model artifact's resource name where ids cannot be trusted, see `find_input_name`.
        target: The runtime that the model was checked for.

    Returns:
        `blessed` (1 or 0), `current_model`, `current_model_id`, `blessing_message` in one sentence,
        `reasons`, one line for each error, and those of `describe_runtimes`.
    """
    return {
        "blessed": int(report.passed),
        "current_model": model_uri,
        "current_model_id": model_name or model_id,
        "blessing_message": report.summarize(),
        "reasons": "\n".join(f"{finding.check}: {finding.message}" for finding in report.errors),
        **describe_runtimes(report, target=target),
    }


def describe_runtimes(report: Report, *, target: str) -> dict[str, str | int]:
    """Names the runtime that a model was checked for, and what became of it in those that it was run in.

    Args:
        report: Of the model's checks.
        target: The runtime that the model is for.

    Returns:
        `target` and `target_version`; where it was run in runtimes other than the installed TensorFlow,
        `proven_runtimes`, the versions that answered as they should to every signature that could be asked,
        and `runtimes`, a JSON object with each version's `loaded`, `ran` and `differing`.
    """
    found = find_target(target)
    properties: dict[str, str | int] = {"target": found.name, "target_version": found.version}
    runtimes = report.facts.get("runtimes") or {}
    if runtimes:
        asked = set(report.facts.get("first_run_times_s") or {})
        asked |= {signature for facts in runtimes.values() for signature in facts["ran"]}
        proven = [
            version
            for version, facts in runtimes.items()
            if asked and set(facts["ran"]) == asked and not facts["differing"]
        ]
        properties["proven_runtimes"] = ", ".join(proven)
        kept = {
            version: {key: facts[key] for key in ("loaded", "ran", "differing")}
            for version, facts in runtimes.items()
        }
        properties["runtimes"] = json.dumps(kept, sort_keys=True)
    return properties


def find_input_name(key: str, argv: Sequence[str] | None = None) -> str | None:
    """Finds the resource name of an input artifact on Kubeflow Pipelines; None on other runners.

    There the id that an executor sees is a 63-bit hash of that name, which is rounded on its way through a
    JSON number, and the compiled resolver compares the name itself. The name stands on the command line only.

    Args:
        key: Input key of the node.
        argv: Command line; that of this process by default.
    """
    arguments = list(sys.argv if argv is None else argv)
    if _INVOCATION_FLAG not in arguments[:-1]:
        return None
    try:
        invocation = json.loads(arguments[arguments.index(_INVOCATION_FLAG) + 1])
        artifacts = invocation["inputs"]["artifacts"][key]["artifacts"]
        return str(artifacts[0]["name"]) or None
    except (ValueError, KeyError, IndexError, TypeError):
        return None
