"""ROOM 1: the static look at an HDF5 file before any loader opens it. No TensorFlow here.

What passes through: a whole-model `.h5` file, or the weights inside a `.keras` archive. HDF5 can point
outside itself (external and soft links, external storage, virtual datasets), can declare far more bytes
than it stores, and can name filters that HDF5 would load from a plug-in folder. No trainer writes any of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from servable.errors import BrokenSourceError, UnsafeSourceError

# A compressed dataset of zeros reaches about 1000:1; below the floor a lie about the size does no harm.
MAX_EXPANSION = 1000
EXPANSION_FLOOR_BYTES = 16 << 20
# Each is opened, in about 0.1 ms. Large models have some ten thousand weights.
MAX_OBJECTS = 200_000

# Filters that are built into the HDF5 library or into h5py; any other number makes HDF5 look for a plug-in.
_KNOWN_FILTERS = frozenset(
    {
        h5py.h5z.FILTER_DEFLATE,
        h5py.h5z.FILTER_SHUFFLE,
        h5py.h5z.FILTER_FLETCHER32,
        h5py.h5z.FILTER_SZIP,
        h5py.h5z.FILTER_NBIT,
        h5py.h5z.FILTER_SCALEOFFSET,
        h5py.h5z.FILTER_LZF,
    }
)


@contextmanager
def open_checked_hdf5(source: Path | BinaryIO, *, where: str) -> Iterator[h5py.File]:
    """Opens an HDF5 file for reading after the static look at every object in it.

    Args:
        source: Path or an open binary file.
        where: How messages name the file.

    Yields:
        The open file, closed on leaving.

    Raises:
        BrokenSourceError: The file is not HDF5, is cut short or damaged, or the block meets damage.
        UnsafeSourceError: It reaches outside itself, or declares more than it can hold.
    """
    try:
        file = h5py.File(source, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise _describe_unreadable(error, where) from error
    with file:
        # Whoever reads on meets damage that the look at every object did not: h5py decodes late, and raises
        # any of these.
        try:
            _check_group(file, where)
            yield file
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            raise _describe_unreadable(error, where) from error


def _describe_unreadable(error: Exception, where: str) -> BrokenSourceError:
    text = " ".join(str(error).split())
    if "signature not found" in text:
        problem = "This file is not HDF5."
    elif "truncated" in text:
        problem = "This HDF5 file is cut short."
    else:
        problem = "This HDF5 file is damaged."
    return BrokenSourceError(
        problem,
        expected="a complete HDF5 file as Keras writes it",
        received=text,
        where=where,
        advice="copy the file again from where it was trained and compare the sizes",
    )


def _check_group(root: h5py.Group, where: str) -> None:
    # Objects are told apart by address: hard links may form a circle.
    seen = {_find_address(root)}
    links = 0
    pending = [root]
    while pending:
        group = pending.pop()
        for name in group:
            links += 1
            path = f"{group.name.rstrip('/')}/{name}"
            _check_link(group, name, f"{where}, {path}")
            if links > MAX_OBJECTS:
                raise UnsafeSourceError(
                    "This HDF5 file holds too many objects.",
                    expected=f"at most {MAX_OBJECTS} groups and datasets",
                    where=where,
                    advice="do not use this file; ask whoever made it for one saved by Keras itself",
                )
            item = group[name]
            address = _find_address(item)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_dataset(item, f"{where}, {path}")


def _find_address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _check_link(group: h5py.Group, name: str, where: str) -> None:
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.HardLink):
        return
    target = getattr(link, "filename", "") or getattr(link, "path", "")
    kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
    raise UnsafeSourceError(
        f"This HDF5 file holds {kind}, which reads something other than what was saved here.",
        expected="groups and datasets only, as Keras writes them",
        received=f"{kind} to {target!r}",
        where=where,
        advice="do not use this file; ask whoever made it for one saved by Keras itself",
    )


def _check_dataset(dataset: h5py.Dataset, where: str) -> None:
    if dataset.external or dataset.is_virtual:
        kind = "external storage" if dataset.external else "a virtual dataset"
        raise UnsafeSourceError(
            f"This HDF5 file uses {kind}, which reads other files.",
            expected="datasets stored inside the file",
            received=kind,
            where=where,
            advice="do not use this file; ask whoever made it for one saved by Keras itself",
        )
    plist = dataset.id.get_create_plist()
    for position in range(plist.get_nfilters()):
        number = plist.get_filter(position)[0]
        if number not in _KNOWN_FILTERS:
            raise UnsafeSourceError(
                "This HDF5 file is compressed with a filter that would be loaded from a plug-in.",
                expected="gzip, lzf, szip or no filter",
                received=f"filter number {number}",
                where=where,
                advice="save the model again with Keras itself, which compresses nothing",
            )
    declared_bytes = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored_bytes = dataset.id.get_storage_size()
    if declared_bytes > EXPANSION_FLOOR_BYTES and declared_bytes > MAX_EXPANSION * stored_bytes:
        raise UnsafeSourceError(
            "A dataset of this HDF5 file declares far more bytes than it stores.",
            expected=f"at most {MAX_EXPANSION} times the stored bytes",
            received=f"{declared_bytes} bytes declared, {stored_bytes} stored",
            where=where,
            advice="do not use this file; ask whoever made it for one saved by Keras itself",
        )
