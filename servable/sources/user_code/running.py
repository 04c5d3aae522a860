"""ROOM 1: runs a Python file of the user's, and says so.

What passes through: the path behind `--module`, `--custom-objects` or `--replace-layer` comes in, a module
goes out. It is the only code outside this library and the frameworks that the intake ever runs, and it runs
because the user named it; nothing that a model file names comes here.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from servable.errors import ServableError, SettingsError
from servable.report import Finding, Severity


def run_user_file(path: Path, flag: str) -> ModuleType:
    """Runs a Python file under a module name of its own.

    Modules beside it can be imported, as when it is run by hand.

    Args:
        path: The file, `*.py`.
        flag: The option that named it, such as "--module".

    Raises:
        SettingsError: There is no such file, it is no Python, or it fails when it runs.
    """
    if not path.is_file():
        raise SettingsError(
            f"There is no such file for {flag}.",
            expected="a Python file",
            where=str(path),
            advice="check the path",
        )
    resolved = path.resolve()
    name = f"_servable_user_{resolved.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SettingsError(
            f"The file of {flag} is not a Python file.",
            expected="a name that ends in .py",
            received=path.name,
            where=str(path),
            advice="rename it to end in .py",
        )
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look their module up by name while the file runs.
    sys.modules[name] = module
    with tell_failure(path, f"The file of {flag} failed when it was run."):
        spec.loader.exec_module(module)
    return module


def find_function(module: ModuleType, name: str, path: Path, *, returns: str) -> Any:
    """Takes a function out of a user's module.

    Args:
        module: From `run_user_file`.
        name: Such as "build_graph".
        path: The file, for the error.
        returns: What it has to return, for the error.

    Raises:
        SettingsError: There is none of this name, or it is not a function.
    """
    function = getattr(module, name, None)
    if not callable(function):
        offered = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        raise SettingsError(
            f"{path.name} defines no function {name}().",
            expected=f"def {name}(): which returns {returns}",
            received=", ".join(offered) or "no functions",
            where=str(path),
        )
    return function


def note_user_code(path: Path, flag: str) -> Finding:
    """Makes the note that says which file was run, because which option named it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Finding(
        "source", Severity.INFO, f"ran {path.name} (sha256 {digest}), as {flag} says", where=str(path)
    )


@contextlib.contextmanager
def tell_failure(path: Path, problem: str) -> Iterator[None]:
    """Runs the user's code in its block: what it raises becomes one error that names the file and the line.

    Modules beside the file can be imported in the block only, and hide no installed ones.

    Args:
        path: The user's file.
        problem: What failed, in one sentence.

    Raises:
        SettingsError: The code raised; errors of this library pass as they are.
    """
    folder = str(path.resolve().parent)
    is_new = folder not in sys.path
    if is_new:
        sys.path.append(folder)
    try:
        yield
    except ServableError:
        raise
    # The user's code may raise anything, SystemExit included.
    except (Exception, SystemExit) as error:
        line = _find_line(error, path)
        raise SettingsError(
            problem,
            expected="Python that runs on this machine",
            received=f"{type(error).__name__}: {error}",
            where=f"{path}, line {line}" if line else str(path),
            advice=f"try it alone: python {path}",
        ) from error
    finally:
        if is_new and folder in sys.path:
            sys.path.remove(folder)


def _find_line(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path) and error.lineno:
        return error.lineno
    line = 0
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
