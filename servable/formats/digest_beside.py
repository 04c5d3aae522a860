"""A digest that is read beside other work, since it takes all of a source, also what is not kept.

What passes through: files come in at once, their digest goes out when somebody asks for it. Reading and
hashing large pieces let other threads of Python run.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, TimeoutError
from pathlib import Path
from typing import Final

from servable.formats.digest import digest_files
from servable.model import Progress

_PROGRESS_S: Final = 0.1


class PendingDigest:
    """A thread that reads files for `digest_files`; nobody waits for it unless they ask for the digest."""

    def __init__(self, files: Iterable[Path], *, root: Path) -> None:
        """Begins to read.

        Args:
            files: As `digest_files` takes them.
            root: The folder that they lie in.
        """
        self._future: Future[str] = Future()
        self._stopped = threading.Event()
        self._news: tuple[str, int, int] | None = None
        threading.Thread(target=self._read, args=(tuple(files), root), name="digest", daemon=True).start()

    def read(self, progress: Progress | None = None) -> str:
        """Waits for the digest.

        Args:
            progress: Told of the bytes that have been read, from the calling thread.

        Returns:
            BLAKE3, 64 hex digits.

        Raises:
            UnsafeSourceError: As `digest_files`.
            BrokenSourceError: Likewise.
        """
        while progress is not None and not self._future.done():
            with contextlib.suppress(TimeoutError):
                self._future.exception(_PROGRESS_S)
            if self._news is not None:
                progress(*self._news)
        return self._future.result()

    def stop(self) -> None:
        """Ends the reading, when nobody will ask."""
        self._stopped.set()

    def _read(self, files: tuple[Path, ...], root: Path) -> None:
        try:
            self._future.set_result(digest_files(files, root=root, progress=self._note))
        except BaseException as error:  # it is raised again where the digest is asked for
            self._future.set_exception(error)

    def _note(self, stage: str, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise CancelledError
        self._news = (stage, done, total)
