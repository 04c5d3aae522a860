"""Between door and corridor: a conversion's options as plain JSON values, and back.

What passes through: whoever keeps options as text, as TFX's execution properties do, writes and reads them
here, with keys that stay the same from release to release. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servable.convert import ConversionOptions
from servable.errors import SettingsError
from servable.signature import SignatureRequest, read_requests
from servable.sources.options import SourceOptions
from servable.targets.catalog import CURRENT

_KEYS = frozenset(
    {"signatures", "frozen", "source", "inputs", "default_signature", "make_baseline", "target"}
)
_SOURCE_KEYS = frozenset(
    {
        "step",
        "module",
        "architecture",
        "custom_objects",
        "replace_layers",
        "ema",
        "tags",
        "assets",
        "allowed_ops",
        "keep_training_ops",
    }
)


def write_options(options: ConversionOptions) -> dict[str, Any]:
    """Turns options into values that JSON can hold."""
    source = options.source
    return {
        "signatures": write_requests(options.signatures),
        "frozen": dict(options.frozen),
        "source": {
            "step": source.step,
            "module": _write_path(source.module),
            "architecture": _write_path(source.architecture),
            "custom_objects": _write_path(source.custom_objects),
            "replace_layers": dict(source.replace_layers),
            "ema": source.ema,
            "tags": None if source.tags is None else list(source.tags),
            "assets": {name: str(path) for name, path in source.assets.items()},
            "allowed_ops": sorted(source.allowed_ops),
            "keep_training_ops": source.keep_training_ops,
        },
        "inputs": _write_path(options.inputs),
        "default_signature": options.default_signature,
        "make_baseline": options.make_baseline,
        "target": options.target,
    }


def write_requests(requests: Sequence[SignatureRequest]) -> dict[str, dict[str, Any]]:
    """Turns wanted signatures into plain values, in their order: the first may become the default one."""
    return {
        request.name: {
            "inputs": dict(request.inputs),
            "outputs": dict(request.outputs),
            "method": request.method,
        }
        for request in requests
    }


def read_options(data: Mapping[str, Any]) -> ConversionOptions:
    """Reads what `write_options` wrote; keys that are left out have their defaults.

    Raises:
        SettingsError: A key or the target is not known.
        SignatureError: A signature cannot be.
    """
    _refuse_unknown(data, _KEYS, "options")
    source = data.get("source") or {}
    _refuse_unknown(source, _SOURCE_KEYS, "options of the source")
    tags = source.get("tags")
    return ConversionOptions(
        signatures=read_requests(data.get("signatures") or {}),
        frozen=data.get("frozen") or {},
        source=SourceOptions(
            step=source.get("step"),
            module=_read_path(source.get("module")),
            architecture=_read_path(source.get("architecture")),
            custom_objects=_read_path(source.get("custom_objects")),
            replace_layers=source.get("replace_layers") or {},
            ema=source.get("ema", False),
            tags=None if tags is None else tuple(tags),
            assets={name: Path(path) for name, path in (source.get("assets") or {}).items()},
            allowed_ops=frozenset(source.get("allowed_ops") or ()),
            keep_training_ops=source.get("keep_training_ops", False),
        ),
        inputs=_read_path(data.get("inputs")),
        default_signature=data.get("default_signature", "first"),
        make_baseline=data.get("make_baseline", True),
        target=data.get("target", CURRENT),
    )


def list_option_files(options: ConversionOptions) -> dict[str, Path]:
    """Lists the user's files that shape the result beside the source itself, by what they are."""
    source = options.source
    files = {f"asset {name}": path for name, path in source.assets.items()}
    files |= {
        f"layer {name}": Path(place.rpartition(":")[0]) for name, place in source.replace_layers.items()
    }
    single = {
        "module": source.module,
        "architecture": source.architecture,
        "custom objects": source.custom_objects,
        "inputs": options.inputs,
    }
    return files | {label: path for label, path in single.items() if path is not None}


def _refuse_unknown(data: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise SettingsError(
            f"The {what} have unknown keys.",
            expected=", ".join(sorted(known)),
            received=", ".join(unknown),
            advice="write them with write_options of the same release",
        )


def _write_path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _read_path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
