"""ROOM 1: puts a checkpoint's values into the variables of a source graph in a session.

What passes through: a session and the variables that are needed. The trainer's own saver does it where it
can; a graph without a saver, or with one that wants more than the checkpoint has, gets restore ops for what
is needed, and a variable that takes its moving average is assigned once more. Either format of checkpoint is
read by TensorFlow's own ops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from servable.errors import BrokenSourceError
from servable.formats.checkpoints.bundle import TensorBundle, open_bundle
from servable.formats.checkpoints.restore_paths import spell_for_restore
from servable.graphs.graph import REF_VARIABLE_OPS, index_nodes, normalize_tensor, read_edge
from servable.graphs.saved_state import read_saved_state
from servable.graphs.variables import find_variables, match_variables
from servable.model import GraphBody, VariableKey


class Restorer:
    """Restores the variables of one source."""

    def __init__(self, body: GraphBody) -> None:
        self._body = body

    @property
    def ends(self) -> list[str]:
        """Nodes that a session is asked for when it restores, as far as they are the source's own."""
        return [read_edge(self._body.meta_graph.saver_def.restore_op_name).node] if self._saved else []

    def match(self, nodes: Mapping[str, Any], served: Collection[str]) -> dict[str, VariableKey]:
        """Finds the variables among some nodes in the checkpoint.

        Raises:
            BrokenSourceError: They are not there, or of another type or shape.
        """
        variables = find_variables(nodes, served)
        if self._bundle is not None:
            return match_variables(
                nodes,
                variables,
                self._body.variable_keys,
                self._bundle.entries,
                where=str(self._bundle.prefix),
            )
        if variables:
            raise BrokenSourceError(
                "The graph has variables, but there is no checkpoint with their values.",
                received=", ".join(variables),
                where=str(self._body.asset_dir),
                advice="name the checkpoint that belongs to the graph",
            )
        return {}

    def restore(
        self,
        session: Any,
        nodes: Mapping[str, Any],
        variables: Mapping[str, VariableKey],
        restored: set[str],
    ) -> None:
        """Restores what is not restored yet.

        Args:
            session: With the graph.
            nodes: Of the graph, by name.
            variables: Those that are needed, from `match`.
            restored: Variables that have their values; extended here.
        """
        if self._bundle is None:
            return
        saved = self._saved
        with spell_for_restore(self._bundle) as prefix:
            if saved and not restored:
                session.run(self.ends[0], dict.fromkeys(self.feed_path(session.graph), prefix))
                restored.update(name for name in saved if self._body.variable_keys.get(name) == saved[name])
            rest = {name: key for name, key in variables.items() if name not in restored}
            if rest:
                _assign(session, nodes, rest, prefix)
                restored.update(rest)

    def feed_path(self, graph: Any) -> dict[str, str]:
        """Feeds the saver with the checkpoint's path, since the graph has one of the trainer's machine.

        Lookup tables that training fills are restored by the same saver.
        """
        name = self._body.meta_graph.saver_def.filename_tensor_name
        nodes = {operation.name for operation in graph.get_operations()} if name else set()
        if self._bundle is None or read_edge(name).node not in nodes:
            return {}
        return {normalize_tensor(name): str(self._bundle.prefix)}

    @cached_property
    def _bundle(self) -> TensorBundle | None:
        prefix = self._body.checkpoint_prefix
        return None if prefix is None else open_bundle(prefix)

    @cached_property
    def _saved(self) -> dict[str, VariableKey]:
        """What the trainer's saver restores; nothing where it would fail on this checkpoint."""
        if self._bundle is None or not self._body.meta_graph.saver_def.restore_op_name:
            return {}
        keys = dict(read_saved_state(self._body.meta_graph).variable_keys)
        nodes = index_nodes(self._body.meta_graph.graph_def)
        try:
            match_variables(nodes, sorted(keys), keys, self._bundle.entries, where="")
        except BrokenSourceError:
            return {}
        return keys


def _assign(session: Any, nodes: Mapping[str, Any], keys: Mapping[str, VariableKey], prefix: str) -> None:
    """Restores some variables by ops of our own, which are added to the session's graph."""
    import tensorflow as tf

    with session.graph.as_default():
        dtypes = [tf.dtypes.as_dtype(nodes[name].attr["dtype"].type) for name in keys]
        values = tf.raw_ops.RestoreV2(
            prefix=prefix,
            tensor_names=[key.key for key in keys.values()],
            shape_and_slices=[key.slice_spec for key in keys.values()],
            dtypes=dtypes,
        )
        assigns = []
        for name, value in zip(keys, values, strict=True):
            variable = session.graph.get_tensor_by_name(f"{name}:0")
            if nodes[name].op in REF_VARIABLE_OPS:
                assigns.append(tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False).op)
            else:
                assigns.append(tf.raw_ops.AssignVariableOp(resource=variable, value=value))
        session.run(assigns)
