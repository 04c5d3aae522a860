"""ROOM 1: a TF1 `tf.train.Saver` checkpoint becomes a `TrainedModel`.

What passes through: a resolved source comes in. Only its graph is read here, as a plain message; the
variables stay on disk until the workshop copies them, and the graph is run only to make a baseline.
"""

from __future__ import annotations

from collections.abc import Mapping

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import TensorBundle, check_extents, open_bundle
from servable.graphs.call_graph import require_bounded
from servable.graphs.graph import find_ancestors, index_nodes, normalize_tensor
from servable.graphs.saved_state import SavedState, read_saved_state
from servable.graphs.training_tensors import split_training_tensors
from servable.graphs.variables import find_leftovers, find_variables, list_entries, match_variables
from servable.model import GraphBody, TableKeys, TrainedModel, VariableKey
from servable.report import Finding, Severity
from servable.sources.choosing.completing import GraphSuggester
from servable.sources.options import SourceOptions
from servable.sources.resolving import Source, describe_origin
from servable.sources.running.session import SourceRunner
from servable.sources.saver_checkpoints.averages import take_averages
from servable.sources.saver_checkpoints.checkpoint_graph import CheckpointGraph, choose_graph
from servable.sources.saver_checkpoints.variable_places import place_variables


def open_saver_checkpoint(source: Source, options: SourceOptions) -> TrainedModel:
    """Reads the graph of a checkpoint and finds its variables.

    Args:
        source: Of kind TF1_SAVER.
        options: What the user says about it. A graph of the user's goes before the one beside the checkpoint.

    Raises:
        BrokenSourceError: There is no graph, or it is garbage; shards are missing or short; variables that
            the user's code needs are not in the checkpoint.
        UnsafeSourceError: The graph is beyond all measure.
        SignatureError: Moving averages are asked for, and there are none.
        SettingsError: The user's code fails.
    """
    bundle = open_bundle(source.path)
    problems = check_extents(bundle)
    if problems:
        raise BrokenSourceError(
            "The checkpoint is incomplete.",
            expected="every shard in full length",
            received="; ".join(problems),
            where=str(source.path),
            advice="copy it again from where it was written, or take another step with --step",
        )
    graph = choose_graph(source.path, options)
    require_bounded(graph.meta_graph.graph_def, where=str(source.path))
    state = read_saved_state(graph.meta_graph)
    keys, tables = _find_keys(graph, state, bundle), state.table_keys
    notes = (*source.notes, *graph.notes, *_note_leftovers(graph, keys, tables, bundle))
    if options.ema:
        keys = take_averages(graph.meta_graph, keys, bundle.entries, where=str(source.path))
    if graph.is_users:
        _require_served(graph, keys, bundle)
    body = GraphBody(
        meta_graph=graph.meta_graph,
        checkpoint_prefix=source.path,
        variable_keys=keys,
        table_keys=tables,
        asset_dir=source.path.parent,
        assets={**graph.assets, **options.assets},
        allowed_ops=options.allowed_ops,
        keep_training_ops=options.keep_training_ops,
    )
    version = "" if graph.is_users else graph.meta_graph.meta_info_def.tensorflow_version
    origin = describe_origin(source, framework="tensorflow", framework_version=version)
    return TrainedModel(
        origin=origin,
        body=body,
        signatures=graph.signatures,
        predict=SourceRunner(body),
        notes=notes,
        suggest=GraphSuggester(graph.meta_graph, source.path),
    )


def _find_keys(graph: CheckpointGraph, state: SavedState, bundle: TensorBundle) -> dict[str, VariableKey]:
    """What the saver says goes first; a user's graph may have one that was made for other checkpoints."""
    has_saver = bool(graph.meta_graph.saver_def.restore_op_name)
    saved = {
        name: key
        for name, key in state.variable_keys.items()
        if has_saver and not (graph.is_users and key.key not in bundle.entries)
    }
    return {**place_variables(graph.meta_graph, bundle.entries), **saved}


def _require_served(graph: CheckpointGraph, keys: dict[str, VariableKey], bundle: TensorBundle) -> None:
    """Refuses a user's graph that needs what the checkpoint does not have, before anything is made of it."""
    nodes = index_nodes(graph.meta_graph.graph_def)
    for request in graph.signatures:
        fed = {normalize_tensor(tensor) for tensor in request.inputs.values()}
        served = find_ancestors(nodes, request.outputs.values(), stop_at=fed)
        match_variables(nodes, find_variables(nodes, served), keys, bundle.entries, where=str(bundle.prefix))


def _note_leftovers(
    graph: CheckpointGraph,
    keys: dict[str, VariableKey],
    tables: Mapping[str, TableKeys],
    bundle: TensorBundle,
) -> tuple[Finding, ...]:
    """Names tensors that no variable takes; of slots and steps, which a serving graph lacks, none is told."""
    leftovers = find_leftovers(index_nodes(graph.meta_graph.graph_def), keys, bundle.entries)
    leftovers -= {key for table in tables.values() for key in (table.keys, table.values)}
    _, others = split_training_tensors(leftovers, bundle.entries)
    if not others:
        return ()
    text = f"no variable of the graph takes {list_entries(others, bundle.entries)}"
    return (Finding("source", Severity.WARNING, text, where=str(bundle.prefix)),)
