"""Files of other machines: object stores and network file systems, by the address that a user types.

What passes through: `gs://bucket/train/model.ckpt-200` comes in; listings and copies go out. fsspec has the
drivers; which credentials they use is theirs to find. Names that a store lists are foreign text: one that
leads out of its folder is refused. No TensorFlow here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from servable.errors import SettingsError, SourceError, UnsafeSourceError

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL_SCHEMES: Final = frozenset({"file", "local"})
# What to install for a scheme; fsspec itself names the rest.
_PACKAGES: Final = {
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "s3": "s3fs",
    "s3a": "s3fs",
    "oss": "ossfs",
    "hdfs": "pyarrow",
    "viewfs": "pyarrow",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "http": "requests aiohttp",
    "https": "requests aiohttp",
    "webhdfs": "requests",
    "sftp": "paramiko",
}

# Told of each piece that has arrived, in bytes.
Told = Callable[[int], None]


def is_remote(text: str) -> bool:
    """Says whether a text is an address of another machine, and not a path of this one."""
    match = _SCHEME.match(text)
    return match is not None and match[1].lower() not in _LOCAL_SCHEMES


def read_local_path(text: str) -> Path:
    """Reads a path of this machine, also in the form `file:///data/model`."""
    match = _SCHEME.match(text)
    if match is None or match[1].lower() not in _LOCAL_SCHEMES:
        return Path(text)
    host, slash, path = text[match.end() :].partition("/")
    if host not in ("", "localhost"):
        raise SettingsError(
            "A file of another machine cannot be opened by a file address.",
            expected="file:///PATH",
            received=text,
            advice="name the file as that machine is reached, such as hdfs://HOST/PATH or sftp://HOST/PATH",
        )
    return Path(slash + unquote(path))


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """One file or folder.

    Attributes:
        address: As the user typed it, without a slash at the end.
        path: What the driver calls it.
        system: The driver, an `fsspec.AbstractFileSystem`.
    """

    address: str
    path: str
    system: Any

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> RemotePlace:
        """The folder that it lies in."""
        return RemotePlace(self.address.rpartition("/")[0], self.path.rpartition("/")[0], self.system)

    def join(self, *names: str) -> RemotePlace:
        """Names what lies below it."""
        return RemotePlace("/".join((self.address, *names)), "/".join((self.path, *names)), self.system)

    def is_dir(self) -> bool:
        """Says whether it is a folder; in an object store, whether anything lies below it."""
        with self._explain():
            return bool(self.system.isdir(self.path))

    def is_there(self) -> bool:
        """Says whether there is a file or folder of this name."""
        with self._explain():
            return bool(self.system.exists(self.path))

    def list_files(self) -> dict[str, int | None]:
        """Lists a folder: name to bytes, None for a folder in it. Nothing where there is no folder.

        Raises:
            SourceError: The place cannot be read.
            UnsafeSourceError: A name leads out of the folder.
        """
        with self._explain():
            try:
                entries = self.system.ls(self.path, detail=True, refresh=True)
            except TypeError:  # not every driver keeps listings that could be refreshed
                entries = self.system.ls(self.path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        found: dict[str, int | None] = {}
        for entry in entries:
            path = str(entry["name"]).rstrip("/")
            if path == self.path.rstrip("/"):
                continue  # an object store may list the folder itself
            name = path.rpartition("/")[2]
            if name in ("", ".", "..") or "\0" in name or "\\" in name:
                raise UnsafeSourceError(
                    "A name in the remote folder leads out of it.",
                    received=repr(path),
                    where=self.address,
                    advice="copy the files that are wanted to a folder of their own",
                )
            found[name] = None if entry["type"] == "directory" else int(entry["size"] or 0)
        return found

    def fetch(self, path: Path, size_bytes: int, told: Told) -> None:
        """Copies a file here.

        Args:
            path: Where to; what is there is replaced when all of it has arrived.
            size_bytes: As it was listed.
            told: Told of each piece.

        Raises:
            SourceError: It cannot be read, or not all of it arrived.
        """
        part = path.with_name(f".{path.name}.part")
        with self._explain():
            self.system.get_file(self.path, str(part), callback=_make_callback(told))
        if part.stat().st_size != size_bytes:
            raise SourceError(
                "A remote file changed while it was fetched.",
                expected=f"{size_bytes} bytes",
                received=f"{part.stat().st_size} bytes",
                where=self.address,
                advice="run again when nothing writes there",
            )
        part.replace(path)

    def read_end(self, size_bytes: int, count: int) -> bytes:
        """Reads the last bytes of a file of a known size."""
        with self._explain():
            return bytes(self.system.cat_file(self.path, start=size_bytes - count, end=size_bytes))

    def send(self, path: Path, told: Told) -> None:
        """Copies a file there.

        Raises:
            SourceError: It cannot be written, or not all of it arrived.
        """
        size_bytes = path.stat().st_size
        with self._explain():
            self.system.put_file(str(path), self.path, callback=_make_callback(told))
            arrived_bytes = int(self.system.info(self.path)["size"] or 0)
        if arrived_bytes != size_bytes:
            raise SourceError(
                "Not all of a file arrived.",
                expected=f"{size_bytes} bytes",
                received=f"{arrived_bytes} bytes",
                where=self.address,
                advice="run again; what arrived is not used",
            )

    def make_parents(self) -> None:
        """Makes the folders above it, where a store has folders."""
        with self._explain():
            self.system.makedirs(self.path.rpartition("/")[0], exist_ok=True)

    def remove(self) -> None:
        """Removes a file."""
        with self._explain():
            self.system.rm_file(self.path)

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        # Drivers raise their own kinds: of HTTP clients, of credentials, of Java.
        except Exception as error:
            raise SourceError(
                "A remote place cannot be reached, or refuses.",
                expected="an address that exists, and credentials where the driver looks for them",
                received=f"{type(error).__name__}: {error}"[:500],
                where=self.address,
                advice='try the driver by itself: python -c "import fsspec; print(fsspec.open(ADDRESS))"',
            ) from error


def open_remote(address: str) -> RemotePlace:
    """Finds the driver for an address; nothing is read yet.

    Raises:
        SettingsError: The scheme is not known, its driver is not installed, or it cannot be started.
    """
    match = _SCHEME.match(address)
    if match is None:
        raise SettingsError("This is no remote address.", expected="SCHEME://PLACE", received=address)
    scheme = match[1].lower()
    try:
        import fsspec  # type: ignore[import-untyped]

        system, path = fsspec.core.url_to_fs(address.rstrip("/"))
    except ImportError as error:
        raise SettingsError(
            f"The driver for {scheme}:// is not installed.",
            received=str(error),
            where=address,
            advice=f"pip install {_PACKAGES.get(scheme, 'fsspec')}",
        ) from error
    # What a driver raises when it cannot start: no credentials, no Java, no such scheme.
    except Exception as error:
        raise SettingsError(
            f"{scheme}:// cannot be opened.",
            expected="gs://, s3://, hdfs://, oss:// or another scheme that fsspec has a driver for",
            received=f"{type(error).__name__}: {error}".partition("\n")[0][:500],
            where=address,
            advice="look at the credentials that the driver wants, and at the spelling",
        ) from error
    return RemotePlace(address.rstrip("/"), str(path).rstrip("/"), system)


def _make_callback(told: Told) -> Any:
    from fsspec.callbacks import Callback  # type: ignore[import-untyped]

    class Telling(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            told(int(inc))

    return Telling()
