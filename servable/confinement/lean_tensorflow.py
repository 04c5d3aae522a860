"""TensorFlow and Keras without what converting does not need, for the process that converts and no other.

What passes through: nothing; a stand-in for `tensorflow` is put in place, which imports the whole as soon as
anything is asked for that is not listed here. A graph then costs 2 s of imports instead of 12, and a Keras
model 8, since Keras goes without what it takes for notebooks and for wrappers.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Final

from servable.stand_ins import StandIn, hide_packages, is_whole, put_stand_in, show_packages

# What the conversion of graphs asks of TensorFlow, and where it lies in the releases that this project takes.
_PARTS: Final = {
    "Graph": "tensorflow.python.framework.ops:Graph",
    "compat.v1.ConfigProto": "tensorflow.core.protobuf.config_pb2:ConfigProto",
    "compat.v1.GraphDef": "tensorflow.core.framework.graph_pb2:GraphDef",
    "compat.v1.MetaGraphDef": "tensorflow.core.protobuf.meta_graph_pb2:MetaGraphDef",
    "compat.v1.Session": "tensorflow.python.client.session:Session",
    "compat.v1.placeholder": "tensorflow.python.ops.array_ops:placeholder",
    "compat.v1.train.export_meta_graph": "tensorflow.python.training.saver:export_meta_graph",
    "dtypes.as_dtype": "tensorflow.python.framework.dtypes:as_dtype",
    "errors.OpError": "tensorflow.python.framework.errors_impl:OpError",
    "graph_util.import_graph_def": "tensorflow.python.framework.importer:import_graph_def",
    "raw_ops.Assign": "tensorflow.python.ops.gen_state_ops:Assign",
    "raw_ops.AssignVariableOp": "tensorflow.python.ops.gen_resource_variable_ops:AssignVariableOp",
    "raw_ops.RestoreV2": "tensorflow.python.ops.gen_io_ops:RestoreV2",
    "string": "tensorflow.python.framework.dtypes:string",
}
# Keras imports them where they are installed, and can do without. Code of the user's may not.
_OPTIONAL: Final = ("IPython", "pandas", "sklearn")
# What takes long to import and is worth keeping for the next job.
HEAVY_MODULES: Final = frozenset(
    {
        "h5py",
        "keras",
        "tensorflow",
        "tensorflow.python.client.session",
        "tensorflow.python.grappler.tf_optimizer",
        "tensorflow.python.training.saver",
        "tf_keras",
    }
)


def lighten_imports() -> None:
    """Puts the stand-in in place and hides what is optional, in a process that has imported neither."""
    hide_packages(_OPTIONAL)
    put_stand_in(
        StandIn(
            "tensorflow",
            given={"__version__": metadata.version("tensorflow")},
            parts=_PARTS,
            prepare=_choose_behaviour,
            underscored=("__internal__", "__operators__"),
        )
    )


def allow_everything() -> None:
    """Lets code of the user's import what it likes."""
    show_packages(_OPTIONAL)


def list_imports() -> list[str]:
    """Lists what this process has imported that is worth keeping for the next job."""
    return sorted(name for name in list(sys.modules) if is_worth_keeping(name) and is_whole(name))


def is_worth_keeping(name: object) -> bool:
    """Says whether this is the name of a module that takes time to import, and harms nobody by that."""
    return isinstance(name, str) and (name in HEAVY_MODULES or name.startswith("servable."))


def fill_op_registry() -> None:
    """Lets TensorFlow note all of its ops, which it does when the first is looked up; no runtime is woken."""
    registry = sys.modules.get("tensorflow.python.framework.op_def_registry")
    if registry is not None:
        registry.get("NoOp")


def _choose_behaviour() -> None:
    """Does what TensorFlow's own start does before and after its modules are imported."""
    os.environ["TF2_BEHAVIOR"] = "1"
    from tensorflow.python import tf2

    tf2.enable()
    from tensorflow.python.compat import v2_compat

    v2_compat.enable_v2_behavior()
