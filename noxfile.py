"""The sessions that people run: digits (the worked example), tests, lint, zoo, targets, faults, fuzz, bench.

All share one environment, `.venv`, installed from the lock of the Python that fits this machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import nox
import uv

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
VENV = ROOT / ".venv"
LANES = ("3.11", "3.12", "3.13")
# The compiled parts of TFX 1.21 are published for this glibc and newer; Python 3.11 has older ones.
NEW_GLIBC = (2, 39)


@nox.session
def digits(session: nox.Session) -> None:
    """Train two real models on handwritten digits, convert, validate, push and ask them."""
    _run(session, "-m", "examples.digits.run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests."""
    _run(session, "-m", "pytest", *session.posargs)


@nox.session
def zoo(session: nox.Session) -> None:
    """Convert every model file of old and new runtimes, and print how many of each kind pass."""
    _run(session, "-m", "pytest", "tests/zoo", *session.posargs)


@nox.session
def targets(session: nox.Session) -> None:
    """Write every model file for every runtime, ask that very runtime, and print the table (half an hour)."""
    versions = ("1.12.3", "1.14.0", "1.15.5", "2.3.4", "2.4.4", "2.6.5", "2.7.4", "2.11.1")
    _run(session, "-m", "servable.cli", "runtimes", "add", *versions)
    _run(session, "-m", "pytest", "tests/targets", "--every-case", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Harm good SavedModels in a hundred ways, and print which check found each."""
    _run(session, "-m", "pytest", "tests/faults", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Convert 2,000 damaged model files, and print what became of each kind."""
    _run(session, "-m", "pytest", "tests/fuzz", "-s", *(session.posargs or ("--fuzz-files=2000",)))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and the contracts between rooms."""
    _run(session, "-m", "ruff", "check", ".")
    _run(session, "-m", "ruff", "format", "--check", ".")
    _run(session, "-m", "mypy")
    _run(session, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


@nox.session
def bench(session: nox.Session) -> None:
    """Memory and time beside cp and plain TensorFlow; with `-- examples`, of labelled examples."""
    is_of_examples = session.posargs[:1] == ["examples"]
    script = "many_examples" if is_of_examples else "large_checkpoint"
    _run(session, "-m", f"benchmarks.{script}", *session.posargs[is_of_examples:])


@nox.session
def lock(session: nox.Session) -> None:
    """Make the locks anew from pyproject.toml."""
    for lane in LANES:
        platform = "x86_64-manylinux_2_28" if lane == "3.11" else "x86_64-manylinux_2_40"
        target = f"requirements/py{lane.replace('.', '')}.txt"
        flags = ("--no-header", "--no-emit-index-url", "--generate-hashes", "--all-extras", "--quiet")
        where = ("--python-version", lane, "--python-platform", platform, "-o", target)
        _run_uv(session, "pip", "compile", "pyproject.toml", *flags, *where)


def _run(session: nox.Session, *words: str) -> None:
    _prepare(session)
    # nox itself may run from a folder on PYTHONPATH, which must not shadow the environment.
    session.run(str(VENV / "bin" / "python"), *words, env={"PYTHONPATH": None}, external=True)


def _prepare(session: nox.Session) -> None:
    """Makes the environment, or leaves it as it is when neither lock nor Python has changed."""
    lane, interpreter = _find_python()
    lock_path = ROOT / "requirements" / f"py{lane.replace('.', '')}.txt"
    wanted = hashlib.sha256(lock_path.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / "installed-lock"
    if stamp.is_file() and stamp.read_text() == f"{lane} {wanted}":
        return
    python = ("--python", str(VENV / "bin" / "python"))
    _run_uv(session, "venv", "--clear", "--python", interpreter, str(VENV))
    _run_uv(session, "pip", "sync", *python, str(lock_path))
    _run_uv(session, "pip", "install", *python, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    stamp.write_text(f"{lane} {wanted}")


def _find_python() -> tuple[str, str]:
    """Finds the newest Python that this machine's glibc allows; the running one where it will do."""
    lanes = LANES if _read_glibc() >= NEW_GLIBC else LANES[:1]
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in lanes:
        return running, sys.executable
    found = {lane: shutil.which(f"python{lane}") for lane in reversed(lanes)}
    for lane, path in found.items():
        if path is not None:
            return lane, path
    message = f"this machine needs Python {' or '.join(lanes)}, and none was found on PATH"
    raise RuntimeError(message)


def _read_glibc() -> tuple[int, ...]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):
        return NEW_GLIBC  # not a glibc system
    return tuple(int(part) for part in version.split(".")) if name == "glibc" else NEW_GLIBC


def _run_uv(session: nox.Session, *words: str) -> None:
    env = {"PYTHONPATH": None, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": None, "VIRTUAL_ENV": None}
    session.run(uv.find_uv_bin(), *words, env=env, external=True)
