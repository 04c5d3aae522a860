"""What a conversion may use: time, memory, disk, network.

What passes through: the user's limits, or none, and a source come in; numbers for `setrlimit` go out. Only
names and sizes of files are looked at here.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servable.errors import SettingsError

_GIB = 1 << 30
_MAX_FILES = 100_000
_LONGEST_S = 1e6
_LEAST_BYTES = 256 << 20
# Where Linux says how much memory a container may use, in its second and first kind of control groups.
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a conversion may use; None stands for a generous amount that grows with the source.

    Attributes:
        time_limit_s: For all of it, start of TensorFlow included.
        memory_bytes: Data of the process, TensorFlow's own part (about 0.6 GB) included.
        file_bytes: For each file that it writes.
        network: Whether it may go online. Only code of the user's own could want to.

    Raises:
        SettingsError: A limit is out of its range.
    """

    time_limit_s: float | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    network: bool = False

    def __post_init__(self) -> None:
        ranges = (
            ("time_limit_s", self.time_limit_s, 0.0, _LONGEST_S),
            ("memory_bytes", self.memory_bytes, _LEAST_BYTES, float("inf")),
            ("file_bytes", self.file_bytes, 0, float("inf")),
        )
        for name, value, low, high in ranges:
            if value is not None and not low < value <= high:
                raise SettingsError(
                    f"Limit {name} is out of its range.",
                    expected=f"more than {low}" + ("" if high == float("inf") else f", at most {high:.0f}"),
                    received=str(value),
                )


@dataclass(frozen=True, slots=True)
class SettledLimits:
    """The same with every number known."""

    time_limit_s: float
    memory_bytes: int
    file_bytes: int
    network: bool


def settle_limits(limits: Limits, source: Path) -> SettledLimits:
    """Fills in what the user left open.

    Args:
        limits: The user's.
        source: A file, a checkpoint in any spelling or a folder; too large an estimate does no harm.

    Returns:
        By default half an hour and a second for every 10 MB, 4 GiB and twenty times the source in memory but
        never more than 90 % of the machine's, 4 GiB and eight times the source for each file.
    """
    source_bytes = _estimate_bytes(source)
    most_bytes = max(int(0.9 * measure_memory_bytes()), _LEAST_BYTES)
    return SettledLimits(
        time_limit_s=min(limits.time_limit_s or 1800.0 + source_bytes / 1e7, _LONGEST_S),
        memory_bytes=limits.memory_bytes or min(4 * _GIB + 20 * source_bytes, most_bytes),
        file_bytes=limits.file_bytes or 4 * _GIB + 8 * source_bytes,
        network=limits.network,
    )


def measure_memory_bytes() -> int:
    """Gives the memory of the machine, or of the container if that is less."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in _CGROUP_FILES:
        try:
            sizes.append(int(Path(name).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(sizes)


def _estimate_bytes(source: Path) -> int:
    total_bytes = 0
    for path in itertools.islice(_list_files(source), _MAX_FILES):
        try:
            total_bytes += path.stat().st_size
        except OSError:
            continue
    return total_bytes


def _list_files(source: Path) -> Iterator[Path]:
    """A folder's files, or everything beside the source whose name begins as its own does."""
    if source.is_dir():
        for folder, _, names in os.walk(source):
            yield from (Path(folder, name) for name in names)
        return
    try:
        names = os.listdir(source.parent)  # noqa: PTH208 - cheaper than paths, of which most are not wanted
    except OSError:
        return
    stem = source.name.partition(".")[0]
    yield from (source.parent / name for name in names if name.startswith(stem))
