"""The start of a Kubeflow task: without what TFX's entry point imports for other nodes, 20 s of 22.

What passes through: a task's command line comes in; stand-ins are put where Python looks for modules
(`lean_imports.py`), where the task is one of this project's or TFX's Pusher.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

_CLASS: Final = "--executor_class_path"
_LIGHT: Final = ("components.", "tfx.components.pusher.")
_EVALUATOR: Final = "tfx.components.evaluator.executor"


def lighten_start(arguments: Sequence[str]) -> None:
    """Leaves out what is not needed, before TFX is imported.

    Args:
        arguments: As `task.main` takes them. Executors of other components have everything as they know it.
    """
    if _CLASS not in arguments[:-1]:
        return
    if not arguments[list(arguments).index(_CLASS) + 1].startswith(_LIGHT):
        return
    from pipelines.lean_imports import lighten_imports

    lighten_imports()
    # The entry point asks whether it runs the Evaluator, and has the whole of that imported to ask.
    evaluator = ModuleType(_EVALUATOR)
    vars(evaluator)["Executor"] = type("Executor", (), {"__module__": _EVALUATOR})
    sys.modules.setdefault(_EVALUATOR, evaluator)
    _take_text_in_binary_files()


def _take_text_in_binary_files() -> None:
    """Has local files take what TensorFlow's do: TFX writes its messages as text into binary files."""
    from tfx.dsl.io import filesystem, filesystem_registry
    from tfx.dsl.io.plugins.local import LocalFilesystem

    def open_file(name: str, mode: str = "r") -> Any:
        if mode != "wb":
            return LocalFilesystem.open(name, mode)
        try:
            return _TextOrBytes(io.FileIO(name, "w"))
        except FileNotFoundError as error:
            raise filesystem.NotFoundError from error

    lenient = type("LenientLocalFilesystem", (LocalFilesystem,), {"open": staticmethod(open_file)})
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(lenient, priority=-1)


class _TextOrBytes(io.BufferedWriter):
    def write(self, data: Any, /) -> int:
        return super().write(data.encode() if isinstance(data, str) else data)
