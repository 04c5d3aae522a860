"""Imports TFX without what running a pipeline of ours does not need, which is most of it.

What passes through: nothing; stand-ins are put where Python looks for modules. TFX imports TensorFlow for a
decorator, Beam for the name of a type, and the library of its Evaluator for one message: 16 s of 20, in a
process that only orders nodes and records them. A stand-in imports the whole as soon as anything else of it
is asked for, so that whatever needs it has it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import suppress
from types import ModuleType
from typing import Final

from servable.stand_ins import StandIn, put_stand_in

# They name the type of a Beam pipeline when they are imported, and make none.
_NAMING_BEAM: Final = (
    "tfx.dsl.components.base.base_beam_executor",
    "tfx.orchestration.portable.beam_executor_operator",
)
# One runs nodes in containers; of the other TFX only wants to know, at each artifact, whether it is there.
_UNUSED: Final = ("docker", "setuptools")
_EVALUATOR: Final = "tensorflow_model_analysis"


class _BeamPipeline:
    """Stands where TFX only names the type of a Beam pipeline."""


def lighten_imports() -> None:
    """Puts the stand-ins in place, for a process that runs pipelines of settings and has not imported TFX.

    What is imported already stays. A pipeline of a user's own gets all of it at the first use.
    """
    put_stand_in(StandIn("tensorflow"))
    beam = StandIn("apache_beam", given={"Pipeline": _BeamPipeline}, is_divisible=False)
    put_stand_in(beam)
    for name in _UNUSED:
        with suppress(ImportError):  # the second is not everywhere
            put_stand_in(StandIn(name, is_divisible=False))
    # Before its parts: TFX prepares itself for this protobuf there.
    importlib.import_module("tfx")
    put_stand_in(StandIn("tfx.components"))
    _stand_in_for_evaluator()
    _prefer_local_files()
    for module in _NAMING_BEAM:
        importlib.import_module(module)
    # From now on whoever asks means to run one.
    beam.forget("Pipeline")


def _stand_in_for_evaluator() -> None:
    """Gives TFX the messages of TensorFlow Model Analysis without the libraries behind them."""
    if _EVALUATOR in sys.modules:
        return
    sdk = ModuleType(f"{_EVALUATOR}.sdk")
    put_stand_in(StandIn(_EVALUATOR, given={"sdk": sdk}))
    # Its messages are built on one that they do not import.
    importlib.import_module("google.protobuf.wrappers_pb2")
    messages = importlib.import_module(f"{_EVALUATOR}.proto.config_pb2")
    vars(sdk).update({key: value for key, value in vars(messages).items() if not key.startswith("_")})


def _prefer_local_files() -> None:
    """Has TFX read local files with Python, and not with TensorFlow, which keeps the other schemes."""
    from tfx.dsl.io import fileio, filesystem_registry  # noqa: F401 - the first fills the second

    from pipelines.local_files import LocalFiles

    # TFX gives TensorFlow's 10 and its own 20; the lowest number wins.
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(LocalFiles, priority=0)
