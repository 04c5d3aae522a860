"""ROOM 2: publishes a finished SavedModel on another machine, `saved_model.pb` last.

What passes through: a folder here and a remote place come in. No store can move a folder in one step, so the
file whose presence means "finished" is sent when all others have arrived. No TensorFlow here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from servable.errors import ExportError, ServableError, SourceError
from servable.formats.remote import RemotePlace
from servable.graphs.saved_model_parts import MODEL_FILE
from servable.model import Progress

_STAGE = "publishing"


def refuse_occupied_place(place: RemotePlace) -> None:
    """Makes sure, before long work, that nothing would be overwritten.

    Raises:
        ExportError: Something is there already.
        SourceError: The place cannot be reached.
    """
    there = place.list_files()
    if there or (place.is_there() and not place.is_dir()):
        raise ExportError(
            "The destination is not empty, and nothing is ever overwritten.",
            expected="a new or empty folder",
            received=", ".join(sorted(there)[:5]) or "a file",
            where=place.address,
            advice="choose another folder, such as the next version number",
        )


def publish_remotely(saved_model_dir: Path, place: RemotePlace, *, progress: Progress | None = None) -> None:
    """Sends a SavedModel.

    Args:
        saved_model_dir: Finished; it stays.
        place: Where to; nothing may be there.
        progress: Told of the bytes sent.

    Raises:
        ExportError: Something is there already, or it could not be sent. What was sent is removed again.
    """
    refuse_occupied_place(place)
    files = sorted(path for path in saved_model_dir.rglob("*") if path.is_file())
    files.sort(key=lambda path: path == saved_model_dir / MODEL_FILE)
    total = sum(path.stat().st_size for path in files)
    done = 0

    def tell(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        if progress is not None:
            progress(_STAGE, min(done, total), total)

    sent: list[RemotePlace] = []
    try:
        for path in files:
            target = place.join(*path.relative_to(saved_model_dir).parts)
            target.make_parents()
            sent.append(target)
            target.send(path, tell)
    except BaseException as error:
        for target in reversed(sent):
            with suppress(ServableError):  # of the last one, nothing may have arrived
                target.remove()
        if not isinstance(error, SourceError):
            raise
        raise ExportError(
            "The SavedModel could not be published; what had been sent is removed again.",
            received=error.received,
            where=error.where,
            advice="check the address and the credentials, and run again",
        ) from error
