"""ROOM 1: runs a TF1 source the way its trainer would have: its own saver, its own graph, a session.

What passes through: a `GraphBody` and inputs come in, the source's own outputs go out as the baseline. This
is deliberately not the workshop's path (nothing is pruned, folded or copied), so that comparing the two means
something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from servable.errors import SourceError
from servable.graphs.graph import (
    TABLE_INITIALIZER_OPS,
    find_ancestors,
    index_nodes,
    normalize_tensor,
    trace_back,
)
from servable.graphs.graph_files import find_file_names, locate_file
from servable.model import Arrays, GraphBody, Scalar, read_truth
from servable.signature import SignatureRequest
from servable.sources.running.danger import refuse_danger
from servable.sources.running.graph_import import ImportedGraph, import_source_graph
from servable.sources.running.restoring import Restorer
from servable.sources.running.training_cut import cut_training

_NODE_REASON = re.compile(r"^Node: .*\n(.+)$", re.MULTILINE)


class SourceRunner:
    """Answers for a source; graph and variables are kept from one signature to the next.

    They are in memory for as long as the runner is, unless it is closed.
    """

    def __init__(self, body: GraphBody) -> None:
        self._body = body
        self._nodes = index_nodes(body.meta_graph.graph_def)
        self._restorer = Restorer(body)
        self._opened: _OpenGraph | None = None

    def __call__(
        self, request: SignatureRequest, inputs: Arrays, *, frozen: Mapping[str, Scalar]
    ) -> dict[str, np.ndarray]:
        """Restores what is needed and fetches a signature's outputs.

        Args:
            request: With explicit inputs and outputs.
            inputs: Arrays by input key.
            frozen: Training switches, fed with their value in serving.

        Returns:
            Arrays by output key.

        Raises:
            UnsafeSourceError: What would be run reads or writes files, runs code or goes online.
            BrokenSourceError: Variables are missing or of another shape.
            SourceError: TensorFlow cannot run the graph.
        """
        import tensorflow as tf

        nodes = self._nodes
        if not self._body.keep_training_ops:
            nodes, request = cut_training(nodes, request, frozen=frozen)
        fed: dict[str, Any] = {normalize_tensor(tensor): None for tensor in frozen}
        fed |= {normalize_tensor(tensor): inputs[key] for key, tensor in request.inputs.items()}
        served = find_ancestors(nodes, request.outputs.values(), stop_at=fed)
        initializers = self._list_initializers(nodes, served)
        served |= find_ancestors(nodes, initializers)
        # All that the session is asked for below; a saver is as foreign as the rest of the graph.
        needed = served | find_ancestors(nodes, self._restorer.ends)
        refuse_danger(self._body, nodes, needed, where=self._where)
        variables = self._restorer.match(nodes, served)
        try:
            opened = self._open(nodes, needed, fed)
            self._restorer.restore(opened.session, nodes, variables, opened.restored)
            self._initialize(opened, nodes, initializers)
            return _fetch(opened, request, inputs, frozen)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise SourceError(
                "The source graph could not be run on these inputs.",
                received=_find_reason(str(error)),
                where=self._where,
                advice="give inputs of your own with --inputs FILE.npz",
            ) from error

    def close(self) -> None:
        """Lets graph and variables go."""
        if self._opened is not None:
            self._opened.session.close()
            self._opened = None

    @property
    def _where(self) -> str:
        return str(self._body.checkpoint_prefix or self._body.asset_dir)

    def _list_initializers(self, nodes: Mapping[str, Any], served: set[str]) -> list[str]:
        """Names what fills the tables that are needed, in the graph's own order."""
        wanted = set(self._body.initializers)
        return [
            name
            for name, node in nodes.items()
            if name in wanted
            or (
                node.op in TABLE_INITIALIZER_OPS
                and node.input
                and trace_back(nodes, node.input[0]).node in served
            )
        ]

    def _open(self, nodes: Mapping[str, Any], needed: set[str], fed: Mapping[str, Any]) -> _OpenGraph:
        """Imports the graph, or takes the one at hand when it is the same and has all that is needed."""
        import tensorflow as tf

        changed = {name: node for name, node in nodes.items() if self._nodes.get(name) is not node}
        opened = self._opened
        if opened is not None and opened.changed == changed and opened.imported.covers(needed, fed):
            return opened
        self.close()
        graph_def = self._body.meta_graph.graph_def
        imported = import_source_graph(graph_def, nodes, needed, fed, where=self._where)
        config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        session = tf.compat.v1.Session(graph=imported.graph, config=config)
        self._opened = _OpenGraph(session, imported, changed)
        return self._opened

    def _initialize(self, opened: _OpenGraph, nodes: Mapping[str, Any], names: Sequence[str]) -> None:
        files = self._locate_files(nodes, names)
        feeds = {**self._restorer.feed_path(opened.session.graph), **files}
        # One by one: an initializer may look its values up in the table of one before it.
        for name in names:
            if name not in opened.initialized:
                opened.session.run(opened.session.graph.get_operation_by_name(name), feeds)
                opened.initialized.add(name)

    def _locate_files(self, nodes: Mapping[str, Any], initializers: Sequence[str]) -> dict[str, str]:
        feeds = {}
        readers = sorted(find_ancestors(nodes, initializers))
        for const_name, graph_path in find_file_names(nodes, readers).items():
            path = locate_file(graph_path, self._body.asset_dir, self._body.assets)
            if path is None:  # unfed, the table would read whatever lies at the trainer's path here
                raise SourceError(
                    "A file of a lookup table is missing.",
                    expected="the file beside the checkpoint, or given by name",
                    received=graph_path,
                    where=self._where,
                    advice="copy it there, or add --asset NAME=FILE",
                )
            feeds[f"{const_name}:0"] = str(path)
        return feeds


@dataclass(slots=True)
class _OpenGraph:
    """A session, and what of the graph it has: imported, changed, restored, initialized."""

    session: Any
    imported: ImportedGraph
    changed: Mapping[str, Any]
    restored: set[str] = field(default_factory=set)
    initialized: set[str] = field(default_factory=set)


def _find_reason(text: str) -> str:
    """TensorFlow puts where a node was defined first, and what is wrong with it after that."""
    match = _NODE_REASON.search(text)
    return match[1] if match else text.partition("\n")[0]


def _fetch(
    opened: _OpenGraph, request: SignatureRequest, inputs: Arrays, frozen: Mapping[str, Scalar]
) -> dict[str, np.ndarray]:
    find = opened.imported.find_tensor
    feeds = {find(tensor): inputs[key] for key, tensor in request.inputs.items()}
    for name, value in frozen.items():
        tensor = find(name)
        feeds[tensor] = _read_scalar(tensor, value)
    keys = list(request.outputs)
    values = opened.session.run([find(request.outputs[key]) for key in keys], feeds)
    return {key: np.asarray(value) for key, value in zip(keys, values, strict=True)}


def _read_scalar(tensor: Any, value: Scalar) -> np.ndarray:
    if tensor.dtype.base_dtype.name == "bool":
        value = read_truth(value)
    shape = tuple(tensor.shape) if tensor.shape.is_fully_defined() else ()
    return np.full(shape, value).astype(tensor.dtype.as_numpy_dtype)
