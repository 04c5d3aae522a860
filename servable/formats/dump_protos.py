"""Makes the data file that `protos` reads: ``python -m servable.formats.dump_protos``.

What passes through: the message descriptors of an installed TensorFlow come in, one serialized
FileDescriptorSet goes out. Run it again when the TensorFlow that the project pins moves on; this is the
one module of the room that imports TensorFlow, and nothing else imports this one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

# Said again here and not taken from `protos`, which cannot be imported as long as the file is missing.
_DATA_PATH = Path(__file__).with_name("tensorflow_protos.binpb")

# Files whose messages the project names; what they import comes along by itself.
ROOTS = (
    "tensorflow/core/example/example.proto",
    "tensorflow/core/framework/attr_value.proto",
    "tensorflow/core/framework/function.proto",
    "tensorflow/core/framework/graph.proto",
    "tensorflow/core/framework/kernel_def.proto",
    "tensorflow/core/framework/node_def.proto",
    "tensorflow/core/framework/op_def.proto",
    "tensorflow/core/framework/tensor.proto",
    "tensorflow/core/framework/tensor_shape.proto",
    "tensorflow/core/framework/tensor_slice.proto",
    "tensorflow/core/framework/types.proto",
    "tensorflow/core/framework/variable.proto",
    "tensorflow/core/framework/versions.proto",
    "tensorflow/core/protobuf/control_flow.proto",
    "tensorflow/core/protobuf/fingerprint.proto",
    "tensorflow/core/protobuf/meta_graph.proto",
    "tensorflow/core/protobuf/queue_runner.proto",
    "tensorflow/core/protobuf/saved_model.proto",
    "tensorflow/core/protobuf/saved_object_graph.proto",
    "tensorflow/core/protobuf/saver.proto",
    "tensorflow/core/protobuf/struct.proto",
    "tensorflow/core/protobuf/tensor_bundle.proto",
    "tensorflow/core/protobuf/trackable_object_graph.proto",
    "tensorflow/core/util/saved_tensor_slice.proto",
    "tensorflow/python/training/checkpoint_state.proto",
)


def collect_descriptors() -> FileDescriptorSet:
    """Gathers the descriptors of `ROOTS` and of all that they import, each file after its imports.

    Returns:
        A set that a descriptor pool takes file by file, in order.
    """
    collected: dict[str, FileDescriptorProto] = {}
    for root in ROOTS:
        module = importlib.import_module(root.removesuffix(".proto").replace("/", ".") + "_pb2")
        _collect_file(module.DESCRIPTOR, collected)
    return FileDescriptorSet(file=collected.values())


def _collect_file(file: Any, collected: dict[str, FileDescriptorProto]) -> None:
    if file.name in collected:
        return
    for dependency in file.dependencies:
        _collect_file(dependency, collected)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    collected[file.name] = proto


def main() -> None:
    """Writes the data file beside `protos`."""
    _DATA_PATH.write_bytes(collect_descriptors().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
