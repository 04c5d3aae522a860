"""The child's start: makes a package of the folder that was run, and nothing else importable.

What passes through: nothing.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    sys.path[0] = str(folder.parent)
    answering = importlib.import_module(f"{folder.name}.answering")
    # What lies beside this folder shall not be taken for a module of the standard library.
    del sys.path[0]
    answering.main()
