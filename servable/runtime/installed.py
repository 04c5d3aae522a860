"""The runtimes that this user has: the installed TensorFlow, and older ones in a cache of their own.

What passes through: a version comes in, the path of its C++ library goes out. Nothing is loaded or imported,
and nothing is fetched: `servable.runtime.installing` does that. No TensorFlow here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from servable.errors import CheckError, SettingsError

# The name of the TensorFlow that this library runs with.
CURRENT: Final = "current"
_LIBRARY_NAMES: Final = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
# The newest patch of the versions that serving platforms have, and of those between them.
KNOWN_VERSIONS: Final = (
    "1.12.3",
    "1.14.0",
    "1.15.5",
    "2.3.4",
    "2.4.4",
    "2.6.5",
    "2.7.4",
    "2.11.1",
    "2.15.1",
    "2.16.2",
    "2.18.1",
)
# Written last into a runtime's folder: which file of it is the library, and where it came from.
RECORD_NAME: Final = "runtime.json"
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """One version of TensorFlow's C++ runtime on this machine.

    Attributes:
        version: Such as "1.15.5".
        library: Its C++ library, for `servable.runtime.session.open_session`.
        wheel: File name of the wheel that it came from; "" for the installed TensorFlow.
    """

    version: str
    library: Path
    wheel: str = ""


def find_library() -> Path:
    """Finds TensorFlow's C++ library in the installed package, without importing the package.

    Raises:
        CheckError: TensorFlow is not installed, or is a build without that library.
    """
    spec = importlib.util.find_spec("tensorflow")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in _LIBRARY_NAMES:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
    raise CheckError(
        "TensorFlow's C++ library is not there, so that no model can be run as a server runs it.",
        expected=" or ".join(_LIBRARY_NAMES) + " in the tensorflow package",
        advice="pip install 'tensorflow>=2.21,<2.22'",
    )


def find_cache_dir() -> Path:
    """Gives the folder of installed runtimes, which need not be there yet.

    It is ``runtimes`` under ``$SERVABLE_CACHE_DIR``, else ``$XDG_CACHE_HOME/servable``, else
    ``~/.cache/servable``.
    """
    own, general = os.environ.get("SERVABLE_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).absolute() / "runtimes"
    # The XDG specification has relative paths ignored.
    root = Path(general) if general and Path(general).is_absolute() else Path.home() / ".cache"
    return root / "servable" / "runtimes"


def list_runtimes() -> tuple[InstalledRuntime, ...]:
    """Lists the runtimes in the cache, oldest first. The installed TensorFlow is not among them."""
    folder = find_cache_dir()
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [runtime for name in names if (runtime := _read_runtime(folder / name)) is not None]
    return tuple(sorted(found, key=lambda runtime: order_version(runtime.version)))


def find_runtime(version: str) -> InstalledRuntime:
    """Finds an installed runtime.

    Args:
        version: Such as "1.15.5"; "1.15" for the newest installed of these; "current" for the TensorFlow that
            this library runs with.

    Raises:
        SettingsError: That is no version.
        CheckError: It is not installed.
    """
    if version == CURRENT:
        return find_current()
    check_version(version)
    fitting = [runtime for runtime in list_runtimes() if fits_version(runtime.version, version)]
    if fitting:
        return fitting[-1]
    current = _read_current_version()
    if fits_version(current, version):
        return find_current()
    installed = ", ".join([*(runtime.version for runtime in list_runtimes()), f"{current} ({CURRENT})"])
    raise CheckError(
        f"The runtime of TensorFlow {version} is not installed.",
        expected=f"one of {installed}",
        received=version,
        where=str(find_cache_dir()),
        advice=f"servable runtimes add {version}",
    )


def find_current() -> InstalledRuntime:
    """Gives the runtime of the TensorFlow that is installed beside this library.

    Raises:
        CheckError: There is none.
    """
    return InstalledRuntime(_read_current_version(), find_library())


def measure_bytes(runtime: InstalledRuntime) -> int:
    """Gives the size of a runtime's files in the cache."""
    folder = find_cache_dir() / runtime.version
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def is_version(version: str) -> bool:
    """True for "1.15.5", "1.15" and "current"."""
    return version == CURRENT or _VERSION.fullmatch(version) is not None


def check_version(version: str) -> None:
    """Takes versions of two or three numbers.

    Raises:
        SettingsError: That is no version.
    """
    if not _VERSION.fullmatch(version):
        raise SettingsError(
            "This is no version of a runtime.",
            expected="two or three numbers, such as 2.7 or 2.7.4",
            received=version,
            advice="servable runtimes  lists those that are installed and those that are known",
        )


def fits_version(version: str, wanted: str) -> bool:
    """True when a full version is the one wanted, or of the series wanted ("2.7.4" of "2.7")."""
    return version == wanted or version.startswith(f"{wanted}.")


def order_version(version: str) -> tuple[int, ...]:
    """A key to sort versions by."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


def _read_current_version() -> str:
    try:
        return metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        return "none"


def _read_runtime(folder: Path) -> InstalledRuntime | None:
    """Reads one folder of the cache; anything that is not a whole runtime is none."""
    try:
        facts: Any = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        runtime = InstalledRuntime(folder.name, folder / facts["library"], facts["wheel"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return runtime if _VERSION.fullmatch(folder.name) and runtime.library.is_file() else None
