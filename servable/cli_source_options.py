"""The front door's options about the source: which file, which step, what the user lets in.

What passes through: words of a command line become `SourceOptions`. No TensorFlow here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from servable.sources.options import SourceOptions


class PairAction(argparse.Action):
    """Collects KEY=VALUE pairs; the same key twice is an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Notes one pair."""
        pairs = dict(getattr(namespace, self.dest) or {})
        key, separator, value = str(values).rpartition("=") if self.dest == "set" else values.partition("=")
        if not separator or not key or not value:
            parser.error(f"{option_string} wants {self.metavar}, received {values!r}")
        if key in pairs:
            parser.error(f"{option_string} names {key!r} twice")
        setattr(namespace, self.dest, {**pairs, key: value})


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is said about the source."""
    group = parser.add_argument_group("source")
    group.add_argument(
        "--set",
        action=PairAction,
        metavar="TENSOR=VALUE",
        help="freeze a training switch, such as is_training:0=false",
    )
    group.add_argument(
        "--keep-training-ops",
        action="store_true",
        help="leave in dropout and batch statistics that training built into the graph",
    )
    group.add_argument(
        "--step", type=int, metavar="N", help="which checkpoint of a folder (default: the latest)"
    )
    group.add_argument("--ema", action="store_true", help="take moving averages in place of the variables")
    group.add_argument(
        "--tags",
        metavar="TAG[,TAG]",
        help="which graph of a SavedModel (default: the one tagged serve, or with nothing at all)",
    )
    group.add_argument(
        "--asset",
        action=PairAction,
        metavar="NAME=FILE",
        help="file of a lookup table that does not lie beside the checkpoint",
    )
    group.add_argument(
        "--architecture",
        metavar="FILE",
        help="structure of the model where the source holds weights only: Keras JSON, or a GraphDef",
    )
    group = parser.add_argument_group("your own code and what you let in (the report names each)")
    group.add_argument(
        "--module",
        metavar="FILE.py",
        help="defines build_graph() or build_model(), where the source holds weights only; this file is run",
    )
    group.add_argument(
        "--custom-objects",
        metavar="FILE.py",
        help="defines CUSTOM_OBJECTS or custom_objects(keras); this file is run",
    )
    group.add_argument(
        "--replace-layer",
        action=PairAction,
        metavar="NAME=FILE.py:FUNCTION",
        help="your function in place of a Lambda layer's stored code; this file is run",
    )
    group.add_argument(
        "--allow-op",
        action="append",
        metavar="OP",
        help="let in an op that touches files, runs code or goes online, such as ReadFile",
    )


def read_source_options(arguments: argparse.Namespace) -> SourceOptions:
    """Turns what was typed about the source into options."""
    return SourceOptions(
        step=arguments.step,
        module=_read_path(arguments.module),
        architecture=_read_path(arguments.architecture),
        custom_objects=_read_path(arguments.custom_objects),
        replace_layers=arguments.replace_layer or {},
        ema=arguments.ema,
        tags=None if arguments.tags is None else tuple(tag for tag in arguments.tags.split(",") if tag),
        assets={name: Path(path) for name, path in (arguments.asset or {}).items()},
        allowed_ops=frozenset(arguments.allow_op or ()),
        keep_training_ops=arguments.keep_training_ops,
    )


def _read_path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
