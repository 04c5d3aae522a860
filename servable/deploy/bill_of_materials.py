"""A bill of materials for a model: CycloneDX 1.6, with what was checked of it.

What passes through: an approval and a pack's name come in, a CycloneDX document goes out as plain values:
the model as a component of type machine-learning-model with its files, what it was made with, and the
checks' figures. It has no time and no random number in it, so that the same model gives the same document.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from servable import __version__
from servable.deploy.approval import Approval

_SPEC_VERSION: Final = "1.6"
# Namespace of the serial numbers, made once from the name of this library.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "tfx-servable")
# Figures of check `cost` and their units.
_COSTS: Final = {
    "latency_p50_s": "s",
    "latency_p99_s": "s",
    "rows_per_s": "rows/s",
    "load_time_s": "s",
    "peak_memory_bytes": "bytes",
    "variable_bytes": "bytes",
}


def describe_materials(name: str, version: int, approval: Approval, *, producer: str) -> dict[str, Any]:
    """Makes a bill of materials.

    Args:
        name: Of the model.
        version: Its folder's.
        approval: What was checked.
        producer: Version of TensorFlow that wrote the SavedModel; may be empty.
    """
    reference = f"{name}@{version}"
    facts = approval.report.facts
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": name,
        "version": str(version),
        "hashes": [{"alg": "SHA-256", "content": approval.digest}],
        "modelCard": {
            "modelParameters": dict(_describe_ends(facts)),
            "quantitativeAnalysis": {"performanceMetrics": list(_list_figures(facts))},
        },
        "properties": list(_list_properties(approval)),
        "components": [
            {
                "type": "file",
                "name": file,
                "bom-ref": f"{reference}/{file}",
                "hashes": [{"alg": "SHA-256", "content": value}],
            }
            for file, value in approval.hashes.items()
        ],
    }
    made_with = []
    if producer:
        made_with.append(
            {
                "type": "framework",
                "bom-ref": f"pkg:pypi/tensorflow@{producer}",
                "name": "tensorflow",
                "version": producer,
                "purl": f"pkg:pypi/tensorflow@{producer}",
            }
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{reference} {approval.digest}')}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "tfx-servable", "version": __version__}]
            },
            "component": model,
        },
        "components": made_with,
        "dependencies": [
            {"ref": reference, "dependsOn": [each["bom-ref"] for each in made_with]},
        ],
    }


def _describe_ends(facts: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    for side in ("inputs", "outputs"):
        formats = [
            f"{name}/{key}: {_write_spec(spec)}"
            for name, signature in (facts.get("signature_specs") or {}).items()
            for key, spec in signature[side].items()
        ]
        yield side, [{"format": text} for text in formats]


def _write_spec(spec: Mapping[str, Any]) -> str:
    if spec["shape"] is None:
        return f"{spec['dtype']} [any rank]"
    return f"{spec['dtype']} [{', '.join('?' if size is None else str(size) for size in spec['shape'])}]"


def _list_figures(facts: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    cost = facts.get("cost") or {}
    for name, unit in _COSTS.items():
        if name in cost:
            yield {"type": name, "value": f"{cost[name]:g} {unit}"}
    for signature, outputs in (facts.get("worst_differences") or {}).items():
        for output, worst in outputs.items():
            # Between the source framework's own answers and the SavedModel's.
            yield {
                "type": "largest absolute difference from the source",
                "slice": f"{signature}/{output}",
                "value": "not a number" if worst is None else f"{worst:g}",
            }


def _list_properties(approval: Approval) -> Iterator[dict[str, str]]:
    report = approval.report
    values = {
        "checked": ", ".join(report.checked),
        "summary": report.summarize(),
        "target": f"{approval.target.name}, TensorFlow {approval.target.version}",
        "proven_runtimes": ", ".join(sorted(approval.proven)),
        **{f"lineage:{key}": str(value) for key, value in (report.facts.get("lineage") or {}).items()},
    }
    for key, value in values.items():
        if value:
            yield {"name": f"servable:{key}", "value": value}
