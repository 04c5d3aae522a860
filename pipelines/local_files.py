"""TFX's local file system without TensorFlow, and just as TensorFlow answers it.

What passes through: paths, modes and contents. TFX has a plugin of its own that hands all to Python, and
fails where other code of TFX relies on TensorFlow's ways: text for a file opened as bytes, a file that nobody
closes, the size of a file under TensorFlow's name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MethodType, TracebackType
from typing import Any, Self

from tfx.dsl.io import filesystem
from tfx.dsl.io.plugins.local import LocalFilesystem


class LocalFile:
    """A file as `tf.io.gfile.GFile` is one: text may be written as bytes, and it closes itself."""

    def __init__(self, path: str | bytes, mode: str) -> None:
        """Opens it.

        Raises:
            NotFoundError: TFX's own; there is no such file or folder.
        """
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        try:
            self._file: Any = open(path, mode, **text)  # type: ignore[call-overload]  # noqa: PTH123, SIM115
        except FileNotFoundError as error:
            raise filesystem.NotFoundError() from error
        self._is_binary = "b" in mode

    def write(self, data: str | bytes) -> int:
        """Writes text as UTF-8, and bytes."""
        if self._is_binary and isinstance(data, str):
            return int(self._file.write(data.encode()))
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__dict__["_file"], name)
        if not callable(value):
            return value
        # Of `open(path).read()` only the method is left when it is called, and has to hold the file.
        return MethodType(lambda self, *words: getattr(self._file, name)(*words), self)

    def __iter__(self) -> Any:
        return iter(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __del__(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()


@dataclass(frozen=True, slots=True)
class FileStatistics:
    """What `tf.io.gfile.stat` tells.

    Attributes:
        length: Size in bytes.
        mtime_nsec: When it was last written, in nanoseconds since 1970.
        is_directory: Whether it is a folder.
    """

    length: int
    mtime_nsec: int
    is_directory: bool


class LocalFiles(LocalFilesystem):  # type: ignore[misc]
    """To be registered in the place of TFX's own plugins for local paths."""

    @staticmethod
    def open(name: str | bytes, mode: str = "r") -> LocalFile:
        """Opens a file, as `tf.io.gfile.GFile` does."""
        return LocalFile(name, mode)

    @staticmethod
    def stat(path: str | bytes) -> FileStatistics:
        """Tells size and time of a file.

        Raises:
            NotFoundError: TFX's own; there is no such file.
        """
        facts = LocalFilesystem.stat(path)
        return FileStatistics(facts.st_size, facts.st_mtime_ns, os.path.isdir(path))  # noqa: PTH112 - bytes too
