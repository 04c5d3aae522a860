"""Makes the data files that `registry` reads: ``python -m servable.targets.dump_registry 1.15.5``.

What passes through: the C++ library of an installed runtime (`servable runtimes add 1.15.5`) comes in, what
it says of its ops and of its kernels for a CPU goes out. One version a process, for two libraries of
TensorFlow do not bear each other.
"""

from __future__ import annotations

import ctypes
import lzma
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from servable.formats.protos import KernelList, OpList
from servable.runtime.child.library import open_library
from servable.runtime.installed import find_runtime
from servable.targets.registry import DATA_DIR, KERNELS_SUFFIX, OPS_SUFFIX

# Kernels for every device are registered as of this one from TensorFlow 1.15 on.
_DEVICES: Final = frozenset({"CPU", "DEFAULT"})


class _Buffer(ctypes.Structure):
    """TF_Buffer of tensorflow/c/tf_buffer.h."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


def dump_registry(version: str, out_dir: Path) -> tuple[Path, Path]:
    """Writes what a runtime says of itself.

    Args:
        version: In full, such as "1.15.5".
        out_dir: Folder of the two files.

    Returns:
        Their paths: ops, and kernels.

    Raises:
        CheckError: The runtime is not installed.
    """
    library = open_library(str(find_runtime(version).library))
    ops = OpList.FromString(_read_buffer(library.TF_GetAllOpList))
    # A runtime says it in another order each time.
    ops = OpList(op=sorted(ops.op, key=lambda op: op.name))
    kernels = KernelList.FromString(_read_buffer(library.TF_GetAllRegisteredKernels, library.TF_NewStatus()))
    return (
        _write(ops, out_dir / f"{version}{OPS_SUFFIX}"),
        _write(_select_kernels(kernels), out_dir / f"{version}{KERNELS_SUFFIX}"),
    )


def _read_buffer(function: Any, *arguments: Any) -> bytes:
    function.restype, function.argtypes = ctypes.POINTER(_Buffer), [ctypes.c_void_p for _ in arguments]
    buffer = function(*arguments).contents
    return ctypes.string_at(buffer.data, buffer.length)


def _select_kernels(kernels: Any) -> Any:
    selected = KernelList()
    for kernel in sorted(kernels.kernel, key=lambda kernel: (kernel.op, str(kernel.constraint))):
        # A label marks what is only taken where a graph asks for it.
        if kernel.device_type in _DEVICES and not kernel.label:
            selected.kernel.add(op=kernel.op, device_type="CPU", constraint=kernel.constraint)
    return selected


def _write(message: Any, path: Path) -> Path:
    data = message.SerializeToString(deterministic=True)
    path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    return path


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the files of one version into the package."""
    (version,) = sys.argv[1:] if argv is None else argv
    for path in dump_registry(version, DATA_DIR):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
