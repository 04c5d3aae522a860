"""The imports that a cached pipeline run needs, alone: recorded in one process, made again in another.

What passes through: a settings file is run and the modules that it took are written down, or such a list is
imported and nothing else is done. Both start as `python -m pipelines` does.

    python -m benchmarks.performance_imports record CONFIG LIST
    python -m benchmarks.performance_imports replay LIST
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path


def record_imports(config: Path, list_path: Path) -> int:
    """Runs a pipeline and writes down what it imported, in order.

    Args:
        config: Settings of a pipeline of which nothing has changed.
        list_path: Takes the names.

    Returns:
        The pipeline's exit code.
    """
    from pipelines.__main__ import main as run_pipelines

    code = run_pipelines(["local", str(config)])
    # What was made without a file of its own, such as a stand-in's parts, cannot be imported anew.
    names = [name for name, module in sys.modules.items() if getattr(module, "__spec__", None) is not None]
    list_path.write_text(json.dumps(names))
    return code


def replay_imports(list_path: Path) -> None:
    """Imports what is on a list."""
    importlib.import_module("pipelines.__main__")
    lean = importlib.import_module("pipelines.lean_imports")
    lean.lighten_imports()
    for name in json.loads(list_path.read_text()):
        with contextlib.suppress(ImportError):  # a part that only its package can name
            importlib.import_module(name)


def main() -> int:
    """Records or replays from the command line."""
    if sys.argv[1] == "record":
        return record_imports(Path(sys.argv[2]), Path(sys.argv[3]))
    replay_imports(Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
