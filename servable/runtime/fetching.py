"""The runtime: has pip fetch a wheel of TensorFlow, from wherever the user's pip is set to.

What passes through: a version comes in, a wheel in a folder goes out. It is never installed, and no code of
it runs. No TensorFlow here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from servable.errors import CheckError
from servable.runtime.installed import KNOWN_VERSIONS, fits_version, order_version

# The newest Python that a version has wheels for, by the first version of which that is so. Where that is
# wrong, the others are tried.
_PYTHONS = (
    ((2, 16), "3.12"),
    ((2, 12), "3.11"),
    ((2, 5), "3.9"),
    ((2, 2), "3.8"),
    ((1, 13), "3.7"),
    ((0, 0), "3.6"),
)
# The same C++ library without what it has for GPUs, a third of the size; not there for old versions.
_SMALL_PACKAGE, _PACKAGE = "tensorflow-cpu", "tensorflow"
# What pip says where the index has no such wheel or package; after the second words it only means that nobody
# answered.
_NOT_THERE, _NO_ANSWER = "No matching distribution found", "Retrying ("
_TIME_LIMIT_S = 3600.0
_SHOWN_LINES = 3


def fetch_wheel(version: str, folder: Path) -> Path:
    """Fetches the wheel of a version for this kind of machine.

    Args:
        version: Such as "1.15.5", or "1.15" for the newest of these.
        folder: Where the wheel is put.

    Raises:
        CheckError: There is no pip, no such wheel, or no way to it.
    """
    _require_pip()
    answer = ""
    for package, requirement, python in _list_attempts(version):
        answer = _download(f"{package}=={requirement}", python, folder)
        wheels = sorted(folder.glob("*.whl"))
        if not answer and wheels:
            return wheels[0]
        if _NOT_THERE not in answer or _NO_ANSWER in answer:
            break
    raise CheckError(
        f"No wheel of TensorFlow {version} could be fetched for this kind of machine.",
        expected=f"such as {', '.join(KNOWN_VERSIONS)}",
        # Of a version that is not there, what comes before lists all others.
        received="\n".join(answer.splitlines()[-1 if _NO_ANSWER not in answer else -_SHOWN_LINES :]),
        advice="look at the version, at the network, and at  python -m pip config list",
    )


def _require_pip() -> None:
    try:
        # Not by looking for its module: setuptools takes that for the beginning of an import of pip.
        metadata.version("pip")
    except metadata.PackageNotFoundError as error:
        raise CheckError(
            "Runtimes are fetched with pip, which is not there.",
            expected="the package pip",
            where=sys.executable,
            advice="install pip, such as with  uv pip install pip",
        ) from error


def _list_attempts(version: str) -> Iterator[tuple[str, str, str]]:
    """Gives package, version and Python, the likeliest first."""
    exact = next((known for known in reversed(KNOWN_VERSIONS) if fits_version(known, version)), version)
    is_series = exact.count(".") == 1
    pythons = [python for since, python in _PYTHONS if order_version(exact)[:2] >= since]
    pythons += [python for _, python in reversed(_PYTHONS) if python not in pythons]
    # The newest of a series is told by the package that has all of them.
    packages = (_PACKAGE,) if is_series else (_SMALL_PACKAGE, _PACKAGE)
    requirement = f"{exact}.*" if is_series else exact
    first, *others = pythons
    for package in packages:
        yield package, requirement, first
    for python in others:
        yield _PACKAGE, requirement, python


def _download(requirement: str, python: str, folder: Path) -> str:
    """Runs pip; gives "" or what it complained about."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", timeout=_TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer from pip after {_TIME_LIMIT_S:g} s"
    if done.returncode == 0:
        return ""
    return done.stderr.strip() or f"pip ended with exit code {done.returncode}"
