"""TensorFlow Serving's own files: which models it serves, how it joins requests, where a version comes from.

What passes through: names and plans come in, text goes out: `models.config` is a ModelServerConfig and
`batching_parameters.txt` a BatchingParameters, both in protobuf's text form. EAS's image mode, KServe,
SageMaker and OpenVINO Model Server take the same folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from google.protobuf.text_encoding import CEscape

from servable.deploy.batching import BatchPlan

MODELS_CONFIG_FILE: Final = "models.config"
BATCHING_FILE: Final = "batching_parameters.txt"
# servables/tensorflow/machine_learning_metadata.cc publishes its content, as it is, with the model's version.
LINEAGE_FILE: Final = Path("assets.extra") / "mlmd_uuid"


def write_models_config(name: str, version: int, *, base_dir: str, labels: Sequence[str] = ()) -> str:
    """Writes what ``--model_config_file`` takes.

    Args:
        name: Of the model.
        version: Its folder's.
        base_dir: Folder on the server with one folder for each model.
        labels: Names for this version. A server takes them only for a version that it has loaded, unless it
            is told ``--allow_version_labels_for_unavailable_models``.
    """
    lines = [
        "model_config_list {",
        "  config {",
        f"    name: {_quote(name)}",
        f"    base_path: {_quote(base_dir.rstrip('/') + '/' + name)}",
        '    model_platform: "tensorflow"',
        "    model_version_policy { latest { num_versions: 1 } }",
        *(f"    version_labels {{ key: {_quote(label)} value: {version} }}" for label in labels),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def write_batching_parameters(plan: BatchPlan, *, threads: int | None = None) -> str:
    """Writes what ``--batching_parameters_file`` takes, together with ``--enable_batching``.

    Args:
        plan: With sizes.
        threads: That run batches; the server's own choice is one for each core.
    """
    lines = [
        f"max_batch_size {{ value: {plan.sizes[-1]} }}",
        f"batch_timeout_micros {{ value: {round(plan.wait_s * 1e6)} }}",
        *((f"num_batch_threads {{ value: {threads} }}",) if threads is not None else ()),
        *(f"allowed_batch_sizes: {size}" for size in plan.sizes),
    ]
    return "\n".join(lines) + "\n"


def add_lineage(version_dir: Path, uuid: str) -> None:
    """Puts the id of a model in ML Metadata beside it, for the server to publish.

    Args:
        version_dir: A copy of the SavedModel that may be changed.
        uuid: Any text. The server publishes it to the last byte, so that no line end is written.
    """
    path = version_dir / LINEAGE_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(uuid, encoding="utf-8")


def _quote(text: str) -> str:
    return f'"{CEscape(text.encode(), as_utf8=True)}"'
