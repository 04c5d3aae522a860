"""TensorFlow's C library, of any version from 1.12 on: opened, and its functions with their types.

What passes through: a path comes in, an object with the functions of the C API goes out, and `StatusError`s.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

# Numbers of enum DataType (tensorflow/core/framework/types.proto).
STRING = 7
WITHOUT_VALUES = frozenset({20, 21})  # DT_RESOURCE, DT_VARIANT
# google.rpc codes as in tsl_status.h.
INVALID_ARGUMENT = 3
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12

PTR, INT, INT64, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
DEALLOCATOR = ctypes.CFUNCTYPE(None, PTR, SIZE, PTR)

# Function name to result type and argument types, from tensorflow/c/{c_api,tf_tensor,tf_tstring}.h.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_Version": (ctypes.c_char_p, []),
    "TF_NewStatus": (PTR, []),
    "TF_GetCode": (INT, [PTR]),
    "TF_Message": (ctypes.c_char_p, [PTR]),
    "TF_DeleteStatus": (None, [PTR]),
    "TF_NewGraph": (PTR, []),
    "TF_NewSessionOptions": (PTR, []),
    "TF_SetConfig": (None, [PTR, ctypes.c_char_p, SIZE, PTR]),
    "TF_LoadSessionFromSavedModel": (PTR, [PTR, PTR, ctypes.c_char_p, PTR, INT, PTR, PTR, PTR]),
    "TF_GraphOperationByName": (PTR, [PTR, ctypes.c_char_p]),
    "TF_OperationNumOutputs": (INT, [PTR]),
    "TF_SessionRun": (None, [PTR, PTR, PTR, PTR, INT, PTR, PTR, INT, PTR, INT, PTR, PTR]),
    "TF_AllocateTensor": (PTR, [INT, PTR, INT, SIZE]),
    "TF_NewTensor": (PTR, [INT, PTR, INT, PTR, SIZE, DEALLOCATOR, PTR]),
    "TF_DeleteTensor": (None, [PTR]),
    "TF_TensorType": (INT, [PTR]),
    "TF_NumDims": (INT, [PTR]),
    "TF_Dim": (INT64, [PTR, INT]),
    "TF_TensorByteSize": (SIZE, [PTR]),
    "TF_TensorData": (PTR, [PTR]),
}
# Strings have had three forms; `strings` says which of these functions a version has.
_STRING_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_StringInit": (None, [PTR]),
    "TF_StringCopy": (None, [PTR, ctypes.c_char_p, SIZE]),
    "TF_StringGetDataPointer": (PTR, [PTR]),
    "TF_StringGetSize": (SIZE, [PTR]),
    "TF_StringDealloc": (None, [PTR]),
}


class StatusError(Exception):
    """What the C API answered instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def open_library(path: str) -> Any:
    """Opens TensorFlow's library, and the one of its framework beside it.

    Raises:
        OSError: It cannot be loaded.
        AttributeError: It is not TensorFlow's.
    """
    # The framework first and by its path: LD_LIBRARY_PATH might lead to another version's.
    folders = (Path(path).parent, Path(path).parent.parent)
    found = (file for folder in folders for file in sorted(folder.glob("libtensorflow_framework.so*")))
    framework = next(found, None)
    if framework is not None:
        _load(str(framework))
    library = _load(path)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    for name, (result, arguments) in _STRING_FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is not None:
            function.restype, function.argtypes = result, arguments
    return library


def _load(path: str) -> Any:
    # Not by ctypes alone, which would resolve every function at once: up to 2.14 the library has those of its
    # Python module too, which refer to another Python than this one. PyDLL keeps the interpreter's lock
    # meanwhile, as an import of that module would.
    loader: Any = ctypes.PyDLL(None)
    loader.dlopen.restype, loader.dlopen.argtypes = PTR, [ctypes.c_char_p, INT]
    loader.dlerror.restype, loader.dlerror.argtypes = ctypes.c_char_p, []
    handle = loader.dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_LOCAL)
    if not handle:
        reason = loader.dlerror() or b"no reason is given"
        raise OSError(reason.decode("utf-8", "replace"))
    return ctypes.CDLL(path, handle=handle)
