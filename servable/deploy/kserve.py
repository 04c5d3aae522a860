"""KServe: an InferenceService for its runtime of TensorFlow Serving.

What passes through: names, addresses and a version come in, plain values go out, and YAML of them. The
runtime's version always stands in it, since KServe's own default is an image of 2021 that refuses newer
models; the address is that of the folder above the version's, which TensorFlow Serving polls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from servable.deploy.options import KserveOptions

_API_VERSION: Final = "serving.kserve.io/v1beta1"
_RUNTIME: Final = "kserve-tensorflow-serving"
_FIRST_V2: Final = 2


def describe_inference_service(name: str, *, release: str, options: KserveOptions) -> dict[str, Any]:
    """Describes an InferenceService.

    Args:
        name: Of the model; Kubernetes takes no underscores and no capitals.
        release: Of TensorFlow Serving, the tag of its image.
        options: The user's.

    Returns:
        Plain values, in the order in which people read them.
    """
    resources: dict[str, Any] = {"cpu": options.cpu, "memory": options.memory}
    if options.gpu:
        resources["nvidia.com/gpu"] = options.gpu
        # KServe refuses a GPU without an image for one, and the other way round.
        release = release if release.endswith("-gpu") else f"{release}-gpu"
    metadata: dict[str, Any] = {"name": name_service(name)}
    if options.namespace:
        metadata["namespace"] = options.namespace
    major = "2" if int(release.split(".")[0]) >= _FIRST_V2 else "1"
    predictor: dict[str, Any] = {}
    if options.canary_percent is not None:
        predictor["canaryTrafficPercent"] = options.canary_percent
    predictor["model"] = {
        "modelFormat": {"name": "tensorflow", "version": major},
        "runtime": _RUNTIME,
        "runtimeVersion": release,
        "protocolVersion": "v1",
        "storageUri": f"{options.uri.rstrip('/')}/{name}",
        "resources": {"requests": dict(resources), "limits": dict(resources)},
    }
    return {
        "apiVersion": _API_VERSION,
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


def name_service(name: str) -> str:
    """Makes a name of Kubernetes out of a model's."""
    return name.lower().replace("_", "-")


def write_yaml(value: Mapping[str, Any]) -> str:
    """Writes mappings of texts and numbers as YAML, texts in quotes."""
    return "".join(f"{line}\n" for line in _write_lines(value, 0))


def _write_lines(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from _write_lines(item, depth + 1)
        else:
            # JSON's texts and numbers are YAML's as well.
            yield f"{indent}{key}: {json.dumps(item, ensure_ascii=False)}"
