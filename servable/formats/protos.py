"""TensorFlow's protobuf messages without TensorFlow: the first thing every room reads files with.

What passes through: descriptors come from `tensorflow_protos.binpb` (made by `dump_protos`), classes go
out. They live in a descriptor pool of their own, so that a later `import tensorflow` in the same process,
which registers the same names in the default pool, does not clash. A message of this pool is therefore
not an instance of TensorFlow's class of the same name: hand it over as bytes (`SerializeToString`).
Fields that are newer than the descriptors survive reading and writing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from servable.errors import BrokenSourceError
from servable.formats.files import open_source_file

_DATA_PATH: Final = Path(__file__).with_name("tensorflow_protos.binpb")

# No protobuf implementation reads or writes more in one message (sizes are signed 32-bit numbers).
MAX_MESSAGE_BYTES: Final = 2**31 - 1

# A state file or a model in text form is small; parsing text costs far more memory than its bytes.
MAX_TEXT_BYTES: Final = 64 * 2**20


def _make_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(_DATA_PATH.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


# For messages that are built from these ones, such as those of TensorFlow Serving.
POOL: Final = _make_pool()


def _get_class(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"tensorflow.{name}"))


# Any and not type[Message]: fields are known at run time only, and every use of one would need a cast.

# Graphs
AttrValue: Final[Any] = _get_class("AttrValue")
FunctionDef: Final[Any] = _get_class("FunctionDef")
GraphDef: Final[Any] = _get_class("GraphDef")
NodeDef: Final[Any] = _get_class("NodeDef")
TensorProto: Final[Any] = _get_class("TensorProto")
TensorShapeProto: Final[Any] = _get_class("TensorShapeProto")

# What a runtime knows
KernelList: Final[Any] = _get_class("KernelList")
OpDef: Final[Any] = _get_class("OpDef")
OpList: Final[Any] = _get_class("OpList")

# MetaGraphs, their collections, SavedModels
AssetFileDef: Final[Any] = _get_class("AssetFileDef")
MetaGraphDef: Final[Any] = _get_class("MetaGraphDef")
SavedModel: Final[Any] = _get_class("SavedModel")
SaverDef: Final[Any] = _get_class("SaverDef")
SignatureDef: Final[Any] = _get_class("SignatureDef")
StructuredValue: Final[Any] = _get_class("StructuredValue")
TensorInfo: Final[Any] = _get_class("TensorInfo")
VariableDef: Final[Any] = _get_class("VariableDef")

# Checkpoints
BundleEntryProto: Final[Any] = _get_class("BundleEntryProto")
BundleHeaderProto: Final[Any] = _get_class("BundleHeaderProto")
CheckpointState: Final[Any] = _get_class("CheckpointState")
SavedSlice: Final[Any] = _get_class("SavedSlice")
SavedTensorSlices: Final[Any] = _get_class("SavedTensorSlices")
TrackableObjectGraph: Final[Any] = _get_class("TrackableObjectGraph")

# Requests
Example: Final[Any] = _get_class("Example")
Feature: Final[Any] = _get_class("Feature")
Features: Final[Any] = _get_class("Features")


def parse_message(cls: Any, path: Path, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Any:
    """Reads a file that holds one message in binary form.

    Args:
        cls: A message class of this module.
        path: The file.
        max_bytes: A larger file is refused before it is read.

    Returns:
        A message of `cls`. It holds the whole file in memory.

    Raises:
        BrokenSourceError: The file cannot be read, is too large, or is not such a message.
    """
    return decode_message(cls, _read_capped(path, cls, max_bytes), where=str(path))


def decode_message(cls: Any, data: bytes, *, where: str) -> Any:
    """Decodes one message from bytes.

    Args:
        cls: A message class of this module.
        data: The message in binary form.
        where: What the bytes are, for the error: a file, or a file and a key.

    Raises:
        BrokenSourceError: The bytes are not such a message, or nest deeper than protobuf allows.
    """
    try:
        return cls.FromString(data)
    except DecodeError as error:
        raise BrokenSourceError(
            f"This is not a readable {cls.DESCRIPTOR.name}: the data is damaged or of another kind.",
            expected=f"one {cls.DESCRIPTOR.full_name} message in binary form",
            received=f"{len(data)} bytes that do not decode ({error})",
            where=where,
            advice="copy the file again from where it was written",
        ) from error


def parse_text_message(cls: Any, path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Reads a file that holds one message in text form, such as a `checkpoint` state file.

    Args:
        cls: A message class of this module.
        path: The file, UTF-8.
        max_bytes: A larger file is refused before it is read.

    Raises:
        BrokenSourceError: The file cannot be read, is too large, or is not such a message.
    """
    # Only text needs this module, and it would double the time that `servable.formats` takes to import.
    from google.protobuf import text_format

    data = _read_capped(path, cls, max_bytes)
    try:
        return text_format.Parse(data.decode("utf-8"), cls(), descriptor_pool=POOL)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenSourceError(
            f"This is not a readable {cls.DESCRIPTOR.name}: the text is damaged or of another kind.",
            expected=f"one {cls.DESCRIPTOR.full_name} message in text form",
            received=str(error),
            where=str(path),
            advice="copy the file again from where it was written",
        ) from error


def _read_capped(path: Path, cls: Any, max_bytes: int) -> bytes:
    with open_source_file(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > max_bytes:
            raise BrokenSourceError(
                f"The {cls.DESCRIPTOR.name} file is too large.",
                expected=f"at most {max_bytes} bytes",
                received=f"{size_bytes} bytes",
                where=str(path),
            )
        return file.read()
