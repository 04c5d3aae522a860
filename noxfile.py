"""The sessions that people run: `nox -l` lists them. digits is the worked example.

All share one environment, `.venv`, installed from the lock of the Python that fits this machine. Airflow has
one of its own, `.venv-airflow`, from a lock of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import nox
import uv

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
LANES = ("3.11", "3.12", "3.13")
# What `bench` measures, and its module.
BENCHMARKS = {
    "performance": "performance",
    "reliability": "reliability",
    "checkpoint": "large_checkpoint",
    "examples": "many_examples",
    "runners": "four_runners",
    "serving": "serving",
    "history": "history_time",
}
# The compiled parts of TFX 1.21 are published for this glibc and newer; Python 3.11 has older ones.
NEW_GLIBC = (2, 39)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and what its locks are made from.

    Attributes:
        venv: Its folder.
        lock_prefix: Of its locks' names in `requirements`; the lane follows.
        inputs: Files with requirements.
        extras: Of `pyproject.toml`; left empty, all but those of another environment.
    """

    venv: Path
    lock_prefix: str
    inputs: tuple[str, ...]
    extras: tuple[str, ...] = ()

    def get_lock_path(self, lane: str) -> Path:
        """Gives the lock for a Python such as "3.11"."""
        return ROOT / "requirements" / f"{self.lock_prefix}py{lane.replace('.', '')}.txt"


MAIN = Environment(ROOT / ".venv", "", ("pyproject.toml",))
# Airflow 2.11 holds back what other extras want newer.
AIRFLOW = Environment(
    ROOT / ".venv-airflow",
    "airflow-",
    ("pyproject.toml", "requirements/airflow.in"),
    extras=("tfx", "airflow", "examples"),
)


@nox.session
def digits(session: nox.Session) -> None:
    """Train two real models on handwritten digits, convert, validate, push and ask them."""
    _run(session, "-m", "examples.digits.run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, in several processes; with words of pytest's own, in one."""
    # Each process imports TensorFlow and TFX for itself, in up to 3 GB.
    parallel = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", "--no-loadscope-reorder")
    _run(session, "-m", "pytest", *(session.posargs or parallel))


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
    """Print a table of figures: `-- performance`, the default, or another of BENCHMARKS, with its words."""
    name = session.posargs[0] if session.posargs[:1] and session.posargs[0] in BENCHMARKS else "performance"
    words = session.posargs[1:] if session.posargs[:1] == [name] else session.posargs
    _run(session, "-m", f"benchmarks.{BENCHMARKS[name]}", *words)


@nox.session
def stock(session: nox.Session) -> None:
    """Put the components between TFX's own, on both of its local runners, and into a user's own script."""
    files = ("tests/examples/test_stock_story.py", "tests/pipelines/test_users_pipeline_alone.py")
    _run(session, "-m", "pytest", *files, "--stock", "-s", *session.posargs)


@nox.session
def vendors(session: nox.Session) -> None:
    """Have packs read by the vendors' own clients, each in an environment of its own."""
    session.env["SERVABLE_VENDOR_CLIENTS"] = "1"
    _run(session, "-m", "pytest", "tests/servable/deploy", *session.posargs)


@nox.session
def databases(session: nox.Session) -> None:
    """Run two pipelines at once on SQLite, MariaDB and PostgreSQL; the servers must be installed."""
    session.env["TEST_DATABASES"] = "1"
    _run(session, "-m", "pytest", "tests/pipelines/databases", "-s", *session.posargs)


@nox.session
def airflow(session: nox.Session) -> None:
    """The tests of Airflow's DAGs, in Airflow's own environment."""
    words = session.posargs or ("tests/pipelines", "-m", "airflow")
    _run(session, "-m", "pytest", *words, environment=AIRFLOW)


@nox.session
def kubeflow(session: nox.Session) -> None:
    """Replay the pipeline compiled for Kubeflow without a cluster, every task in a process of its own."""
    session.env["TEST_KUBEFLOW"] = "1"
    _run(session, "-m", "pytest", *(session.posargs or ("tests/pipelines/test_kubeflow_replay.py", "-s")))


@nox.session
def lock(session: nox.Session) -> None:
    """Make the locks anew from pyproject.toml."""
    for environment, lane in itertools.product((MAIN, AIRFLOW), LANES):
        platform = "x86_64-manylinux_2_28" if lane == "3.11" else "x86_64-manylinux_2_40"
        target = str(environment.get_lock_path(lane).relative_to(ROOT))
        flags = ("--no-header", "--no-emit-index-url", "--generate-hashes", "--quiet")
        where = ("--python-version", lane, "--python-platform", platform, "-o", target)
        extras = [f"--extra={name}" for name in environment.extras or _list_main_extras()]
        _run_uv(session, "pip", "compile", *environment.inputs, *extras, *flags, *where)


def _list_main_extras() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [name for name in project["optional-dependencies"] if name != "airflow"]


def _run(session: nox.Session, *words: str, environment: Environment = MAIN) -> None:
    _prepare(session, environment)
    # nox itself may run from a folder on PYTHONPATH, which must not shadow the environment.
    python = str(environment.venv / "bin" / "python")
    session.run(python, *words, env={"PYTHONPATH": None}, external=True)


def _prepare(session: nox.Session, environment: Environment) -> None:
    """Makes the environment, or leaves it as it is when neither lock nor Python has changed."""
    lane, interpreter = _find_python()
    lock_path = environment.get_lock_path(lane)
    wanted = hashlib.sha256(lock_path.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = environment.venv / "installed-lock"
    if stamp.is_file() and stamp.read_text() == f"{lane} {wanted}":
        return
    python = ("--python", str(environment.venv / "bin" / "python"))
    _run_uv(session, "venv", "--clear", "--python", interpreter, str(environment.venv))
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
