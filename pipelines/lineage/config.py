"""Notes in ML Metadata which settings file a run was made with, so that lineage leads back to it.

What passes through: a run and its settings file come in; the file's path, digest and text go into the context
of the run. They are no execution properties: those are part of TFX's cache key, and a comment that was mended
in the file would convert every model again. The text may be kept: it names passwords, it does not hold them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from pipelines.metadata.store import open_store

CONFIG_PATH: Final = "config_path"
CONFIG_DIGEST: Final = "config_digest"
CONFIG_TEXT: Final = "config_text"

_MAX_BYTES: Final = 2**20


def note_config(
    location: Path | str, pipeline: str, *, run_id: str, config_path: Path, is_legacy: bool = False
) -> None:
    """Notes the settings file of a run; doing it twice changes nothing.

    Args:
        location: Where ML Metadata is kept.
        pipeline: The pipeline's name.
        run_id: The run's id.
        config_path: The settings file.
        is_legacy: Whether TFX's older stack (Airflow) runs it. That stack makes the context of the run with
            its first node, so that this is called after a node ran; with the portable stack, before or after.

    Raises:
        OSError: The file cannot be read.
        SettingsError: The store does not let us in.
    """
    data = config_path.read_bytes()[:_MAX_BYTES]
    notes = {
        CONFIG_PATH: str(config_path.resolve()),
        CONFIG_DIGEST: digest_config(data),
        CONFIG_TEXT: data.decode("utf-8", errors="replace"),
    }
    store = open_store(location, read_only=False)
    kind, name = ("run", f"{pipeline}.{run_id}") if is_legacy else ("pipeline_run", run_id)
    context = store.get_context_by_type_and_name(kind, name)
    if context is None:
        if is_legacy:
            return
        context = _make_context(store, kind, name)
    for key, text in notes.items():
        context.custom_properties[key].string_value = text
    _put(store, context, kind, notes)


def digest_config(data: bytes) -> str:
    """Digests a settings file: sha256, as `sha256sum` writes it."""
    return hashlib.sha256(data).hexdigest()


def _make_context(store: Any, kind: str, name: str) -> Any:
    from ml_metadata.proto import metadata_store_pb2

    context_type = metadata_store_pb2.ContextType(name=kind)
    type_id = store.put_context_type(context_type, can_add_fields=True, can_omit_fields=True)
    return metadata_store_pb2.Context(type_id=type_id, name=name)


def _put(store: Any, context: Any, kind: str, notes: dict[str, str]) -> None:
    from ml_metadata import errors

    try:
        store.put_contexts([context])
    except errors.AlreadyExistsError:  # a node that began meanwhile made it
        context = store.get_context_by_type_and_name(kind, context.name)
        for key, text in notes.items():
            context.custom_properties[key].string_value = text
        store.put_contexts([context])
