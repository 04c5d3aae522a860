"""ROOM 1: runs a SavedModel as it was handed in, in the C++ runtime, never in this process.

What passes through: the folder, a signature and inputs come in, the original's own outputs go out as the
baseline. Nothing of the workshop takes part: the loader restores with the SavedModel's own saver and runs its
start-up ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from servable.errors import SignatureError, SourceError
from servable.graphs.graph import find_ancestors, index_nodes, normalize_tensor, read_edge
from servable.graphs.saved_model_parts import read_start_ops
from servable.model import Arrays, GraphBody, Predictor, Scalar, read_truth
from servable.runtime.outcome import Call
from servable.runtime.session import open_session
from servable.runtime.tensors import find_numpy_dtype
from servable.signature import DTYPE_NAMES, SignatureRequest
from servable.sources.running.danger import refuse_danger
from servable.sources.running.saved_model_cut import write_cut_model
from servable.sources.running.session import SourceRunner
from servable.sources.running.training_cut import cut_training


def choose_runner(saved_model_dir: Path, body: GraphBody) -> Predictor:
    """Gives what answers for a SavedModel."""
    if body.checkpoint_prefix is not None and not body.meta_graph.saver_def.restore_op_name:
        # A TF-Hub module has no saver of its own, so that no runtime can load it as it lies there.
        return SourceRunner(body)
    return partial(run_saved_model, saved_model_dir, body)


def run_saved_model(
    saved_model_dir: Path,
    body: GraphBody,
    request: SignatureRequest,
    inputs: Arrays,
    *,
    frozen: Mapping[str, Scalar],
) -> dict[str, np.ndarray]:
    """Loads the original in a child process and fetches a signature's outputs.

    Args:
        saved_model_dir: The original.
        body: Its graph as it was read.
        request: With explicit inputs and outputs.
        inputs: Arrays by input key.
        frozen: Training switches, fed with their value in serving.

    Returns:
        Arrays by output key.

    Raises:
        UnsafeSourceError: What would be run reads or writes files, runs code or goes online.
        SignatureError: A tensor is not in the graph.
        SourceError: The runtime refuses the model or the inputs.
    """
    meta_graph = body.meta_graph
    nodes = original = index_nodes(meta_graph.graph_def)
    if not body.keep_training_ops:
        nodes, request = cut_training(nodes, request, frozen=frozen)
    is_cut = any(original.get(name) is not node for name, node in nodes.items())
    feeds = {normalize_tensor(tensor): inputs[key] for key, tensor in request.inputs.items()}
    feeds |= {normalize_tensor(name): _read_scalar(nodes, name, value) for name, value in frozen.items()}
    fetches = {key: normalize_tensor(tensor) for key, tensor in request.outputs.items()}
    # What the loader runs by itself is run as well.
    starts = [*read_start_ops(meta_graph), meta_graph.saver_def.restore_op_name]
    needed = find_ancestors(nodes, fetches.values(), stop_at=feeds)
    needed |= find_ancestors(nodes, filter(None, starts))
    refuse_danger(body, nodes, needed, where=str(saved_model_dir))
    tags = tuple(meta_graph.meta_info_def.tags)
    with ExitStack() as stack:
        if is_cut:
            cut_dir = write_cut_model(saved_model_dir, meta_graph, nodes.values())
            saved_model_dir = stack.enter_context(cut_dir)
        session = stack.enter_context(open_session(saved_model_dir, tags=tags))
        result = session.run(Call(feeds, tuple(fetches.values())))
    if result.fault is not None:
        raise SourceError(
            "The source SavedModel could not be run on these inputs.",
            received=result.fault.message,
            where=str(saved_model_dir),
            advice="give inputs of your own with --inputs FILE.npz",
        )
    return {key: result.outputs[tensor] for key, tensor in fetches.items()}


def _read_scalar(nodes: Mapping[str, Any], name: str, value: Scalar) -> np.ndarray:
    node = nodes.get(read_edge(name).node)
    if node is None:
        raise SignatureError(
            "A tensor is not in the graph.",
            expected="a tensor of the graph",
            received=name,
            advice="servable inspect SOURCE lists candidates",
        )
    dtype = DTYPE_NAMES.get(node.attr["dtype"].type, "float32")
    return np.asarray(read_truth(value) if dtype == "bool" else value).astype(find_numpy_dtype(dtype))
