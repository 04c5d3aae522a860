"""ROOM 1: a frozen GraphDef, with its weights as constants, becomes a `TrainedModel`. No TensorFlow here.

What passes through: one file, binary or text. It has no signatures, no variables and no saver; vocabularies
of lookup tables lie beside it.
"""

from __future__ import annotations

import shlex

from servable.errors import BrokenSourceError
from servable.graphs.call_graph import require_bounded
from servable.graphs.graph import VARIABLE_OPS
from servable.graphs.graph_definitions import read_graph_definition
from servable.model import GraphBody, TrainedModel
from servable.sources.choosing.completing import GraphSuggester
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, describe_origin
from servable.sources.running.session import SourceRunner

_MAX_SHOWN = 5


def open_frozen_graph(source: Source, options: SourceOptions) -> TrainedModel:
    """Reads a frozen graph.

    Args:
        source: Its path is the file.
        options: What the user says about it.

    Raises:
        BrokenSourceError: The file is damaged, or its weights are not in it.
        UnsafeSourceError: The graph is beyond all measure.
    """
    meta_graph = read_graph_definition(source.path)
    require_bounded(meta_graph.graph_def, where=str(source.path))
    variables = [node.name for node in meta_graph.graph_def.node if node.op in VARIABLE_OPS]
    if variables:
        more = f" and {len(variables) - _MAX_SHOWN} more" if len(variables) > _MAX_SHOWN else ""
        raise BrokenSourceError(
            "The graph is not frozen: it has variables, and their values lie in a checkpoint.",
            expected="a graph with its weights as constants, or the checkpoint that belongs to it",
            received=f"{len(variables)} variables: {', '.join(variables[:_MAX_SHOWN])}{more}",
            where=str(source.path),
            advice=f"servable convert CHECKPOINT OUT_DIR --architecture {shlex.quote(str(source.path))}",
        )
    body = GraphBody(
        meta_graph=meta_graph,
        checkpoint_prefix=None,
        variable_keys={},
        asset_dir=source.path.parent,
        assets=options.assets,
        allowed_ops=options.allowed_ops,
        keep_training_ops=options.keep_training_ops,
    )
    version = meta_graph.meta_info_def.tensorflow_version
    origin = describe_origin(source, framework="tensorflow", framework_version=version)
    return TrainedModel(
        origin=origin,
        body=body,
        signatures=(),
        predict=SourceRunner(body),
        notes=source.notes,
        suggest=GraphSuggester(meta_graph, source.path),
    )
