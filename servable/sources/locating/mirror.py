"""ROOM 1: a remote folder as it would lie here, with the content of those files only that are needed.

What passes through: a `RemotePlace` comes in. Every file of it stands here with its size and no content, so
that the rules that choose among local checkpoints choose among remote ones too; content comes when it is
asked for, and what was never asked for is removed. No TensorFlow here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from servable.formats.files import require_free_space
from servable.formats.remote import RemotePlace
from servable.model import Progress

_STAGE = "fetching"


class Mirror:
    """One remote folder and its image.

    Attributes:
        place: The remote folder.
        root: Its image.
        sizes: Bytes of each file that is known, by its path here.
    """

    def __init__(self, place: RemotePlace, root: Path, progress: Progress | None) -> None:
        self.place = place
        self.root = root
        self.sizes: dict[Path, int] = {}
        self._fetched: set[Path] = set()
        self._progress = progress
        root.mkdir(parents=True)

    def add_files(self, files: dict[str, int | None], *, below: Path | None = None) -> list[str]:
        """Gives files of a folder their place here, without content.

        Args:
            files: As `RemotePlace.list_files` gives them.
            below: The folder; `root` by default.

        Returns:
            Names of the folders among them; they are made, but stay empty.
        """
        folder = below or self.root
        for name, size in files.items():
            path = folder / name
            if size is None:
                path.mkdir(exist_ok=True)
            elif path not in self.sizes:
                path.touch()
                os.truncate(path, size)  # takes no room on disk
                self.sizes[path] = size
        return [name for name, size in files.items() if size is None]

    def add_tree(self, name: str) -> None:
        """Gives a folder in `root` its place here, with all that is below it."""
        stack = [name]
        while stack:
            inner = stack.pop()
            folder = self.root / inner
            folder.mkdir(exist_ok=True)
            files = self.place.join(*inner.split("/")).list_files()
            stack += [f"{inner}/{child}" for child in self.add_files(files, below=folder)]

    def fetch(self, paths: Iterable[Path]) -> None:
        """Fetches the content of files; those that are not of the mirror, or have theirs, are passed over.

        Raises:
            SourceError: One cannot be read.
            ExportError: The disk has no room for them.
        """
        wanted = sorted({path for path in paths if path in self.sizes} - self._fetched)
        total = sum(self.sizes[path] for path in wanted)
        require_free_space(self.root, total)
        told = self._count(total)
        for path in wanted:
            self._find(path).fetch(path, self.sizes[path], told)
            self._fetched.add(path)

    def fetch_end(self, path: Path, count: int) -> None:
        """Fetches the last bytes of a file, which tell what some formats are."""
        size = self.sizes[path]
        if path not in self._fetched and size >= count:
            with path.open("r+b") as file:
                file.seek(size - count)
                file.write(self._find(path).read_end(size, count))

    def drop(self, paths: Iterable[Path]) -> None:
        """Removes files from here."""
        for path in list(paths):
            path.unlink()
            del self.sizes[path]

    def drop_unfetched(self, *, keep: Iterable[Path] = ()) -> None:
        """Removes what has no content, so that nobody takes it for a file of zeros."""
        self.drop(self.sizes.keys() - self._fetched.union(keep))

    def _find(self, path: Path) -> RemotePlace:
        return self.place.join(*path.relative_to(self.root).parts)

    def _count(self, total: int) -> Callable[[int], None]:
        done = 0

        def tell(size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            if self._progress is not None:
                self._progress(_STAGE, min(done, total), total)

        return tell
