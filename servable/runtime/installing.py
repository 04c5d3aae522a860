"""The runtime's cellar: puts a version of TensorFlow's C++ runtime into the user's cache, and takes it out.

What passes through: a version comes in, an `InstalledRuntime` goes out. Fetched and unpacked beside, renamed
once: a killed installation leaves nothing that looks like a runtime, and of two at once one waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from servable.errors import CheckError
from servable.runtime.elf import weaken_python_symbols
from servable.runtime.fetching import fetch_wheel
from servable.runtime.installed import (
    KNOWN_VERSIONS,
    RECORD_NAME,
    InstalledRuntime,
    check_version,
    find_cache_dir,
    find_runtime,
    fits_version,
    list_runtimes,
)
from servable.runtime.wheels import extract_libraries

_PARTIAL_PREFIX = ".partial-"
_LOCK_NAME = ".lock"


def install_runtime(version: str) -> InstalledRuntime:
    """Installs a runtime, or gives the one that is there already.

    Args:
        version: Such as "1.15.5", or "1.15" for the newest of these.

    Raises:
        SettingsError: That is no version.
        CheckError: There is no such wheel for this kind of machine, no way to it, or it is damaged.
    """
    check_version(version)
    wanted = next((known for known in reversed(KNOWN_VERSIONS) if fits_version(known, version)), version)
    with _lock_cache() as folder:
        there = next((r for r in reversed(list_runtimes()) if fits_version(r.version, wanted)), None)
        if there is not None:
            return there
        with tempfile.TemporaryDirectory(prefix=_PARTIAL_PREFIX, dir=folder) as partial:
            wheel_dir, tree = Path(partial) / "wheel", Path(partial) / "tree"
            wheel_dir.mkdir()
            tree.mkdir()
            wheel = fetch_wheel(wanted, wheel_dir)
            library = extract_libraries(wheel, tree)
            if sys.platform == "linux":
                weaken_python_symbols(library)
            full_version = wheel.name.split("-")[1]
            facts = {"library": library.relative_to(tree).as_posix(), "wheel": wheel.name}
            (tree / RECORD_NAME).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            target = folder / full_version
            if target.exists():
                shutil.rmtree(target)  # not a whole runtime, or it would have been found
            tree.rename(target)
    return find_runtime(full_version)


def remove_runtime(version: str) -> InstalledRuntime:
    """Takes a runtime out of the cache.

    Args:
        version: In full, such as "1.15.5".

    Raises:
        SettingsError: That is no version.
        CheckError: It is not in the cache.
    """
    check_version(version)
    with _lock_cache() as folder:
        runtime = next((r for r in list_runtimes() if r.version == version), None)
        if runtime is None:
            raise CheckError(
                f"The runtime of TensorFlow {version} is not in the cache.",
                expected=", ".join(r.version for r in list_runtimes())
                or "an installed runtime; there is none",
                received=version,
                where=str(folder),
                advice="servable runtimes  lists what is there",
            )
        # Renamed first: what is half removed must not look like a runtime.
        with tempfile.TemporaryDirectory(prefix=_PARTIAL_PREFIX, dir=folder) as partial:
            (folder / version).rename(Path(partial) / version)
    return runtime


@contextlib.contextmanager
def _lock_cache() -> Iterator[Path]:
    """Keeps every other installation out, and removes what a killed one has left."""
    folder = find_cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{_PARTIAL_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield folder
    finally:
        os.close(descriptor)
