"""ROOM 1: what the user says about a source, handed in with its path. No TensorFlow here.

What passes through: words of a command line or of a component's properties, as one value. Whatever is run or
let in because the user said so is named here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the user says about a source.

    Attributes:
        step: Which checkpoint of a folder; the latest complete one by default.
        module: A Python file with the model's code, for weights whose graph or architecture is not beside
            them: `build_graph()` or `build_model()`. It is run.
        architecture: A file with the model's structure alone: Keras JSON, or a GraphDef, binary or text.
        custom_objects: A Python file that defines `CUSTOM_OBJECTS` or `custom_objects(keras)`. It is run.
        replace_layers: Lambda layer by name to "FILE.py:function", which stands in for its stored code. The
            files are run.
        ema: Whether variables take the value of their exponential moving average, where they have one.
        tags: Which graph of a SavedModel; the one tagged "serve", or with nothing, by default.
        assets: Files of lookup tables, by file name or by the path in the graph.
        allowed_ops: Ops that touch files, run code or go online and are let in all the same.
        keep_training_ops: Whether dropout and batch statistics that are built into a graph are left in.
    """

    step: int | None = None
    module: Path | None = None
    architecture: Path | None = None
    custom_objects: Path | None = None
    replace_layers: Mapping[str, str] = field(default_factory=dict)
    ema: bool = False
    tags: tuple[str, ...] | None = None
    assets: Mapping[str, Path] = field(default_factory=dict)
    allowed_ops: frozenset[str] = frozenset()
    keep_training_ops: bool = False
