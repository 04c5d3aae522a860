"""ROOM 1: lets a user's model code run as TensorFlow 1 ran it, for as long as a graph is built.

What passes through: a user's file comes in, the block that runs it is in a fresh graph. Everything that is
switched here is switched back: the rest of the process goes on with TensorFlow 2.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

# What scripts call at their top. All of it is so already, and would stay so for the whole process.
_SWITCHES: Final = (
    "disable_control_flow_v2",
    "disable_eager_execution",
    "disable_resource_variables",
    "disable_v2_behavior",
    "disable_v2_tensorshape",
    "reset_default_graph",
)


@contextmanager
def build_tensorflow_1_graph(path: Path) -> Iterator[Any]:
    """Opens a fresh graph with the behaviour of TensorFlow 1.

    Variables are made as references, conditionals and loops as plain nodes, sizes of shapes as `Dimension`.
    `tf.layers`, `tf.nn.rnn_cell` and `tf.keras` are those of Keras 2, where tf_keras is installed. For a file
    that was written for TensorFlow 1 (`import tensorflow as tf`, then `tf.placeholder`), `tensorflow` means
    `tensorflow.compat.v1`.

    Args:
        path: The user's file that is to be run.

    Yields:
        The graph, which is the default one.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with ExitStack() as stack:
        # Old layers warn of their age on every call; the user's code is not ours to mend.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_switch_behaviour(tf))
        stack.enter_context(_replace_names([*_list_keras_2(v1), *((v1, name, _pass) for name in _SWITCHES)]))
        if is_written_for_tensorflow_1(path, tf):
            stack.enter_context(_rename_tensorflow(v1))
        stack.enter_context(graph.as_default())
        stack.enter_context(v1.variable_scope(v1.get_variable_scope(), use_resource=False))
        yield graph


def is_written_for_tensorflow_1(path: Path, tensorflow: Any) -> bool:
    """Says whether a file takes names from `tensorflow` that only TensorFlow 1 has, such as `tf.placeholder`.

    Args:
        path: A Python file; one that cannot be read or parsed is told when it is run.
        tensorflow: The module.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "tensorflow"
    }
    names = {dotted for node in ast.walk(tree) if (dotted := _read_dotted_name(node)) is not None}
    used = [rest for alias, _, rest in (name.partition(".") for name in names) if alias in aliases and rest]
    return any(not _has(tensorflow, name) and _has(tensorflow.compat.v1, name) for name in used)


def _read_dotted_name(node: ast.AST) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) and parts else None


def _has(module: Any, dotted: str) -> bool:
    for name in dotted.split("."):
        if not isinstance(module, ModuleType):
            return True  # a class or function of the module; what it has is its own matter
        try:
            module = getattr(module, name)
        except (AttributeError, ImportError):
            return False
    return True


@contextmanager
def _switch_behaviour(tf: Any) -> Iterator[None]:
    v1 = tf.compat.v1
    was_v2_flow = v1.control_flow_v2_enabled()
    was_v2_shape = isinstance(tf.TensorShape([1])[0], int)
    v1.disable_control_flow_v2()
    v1.disable_v2_tensorshape()
    try:
        yield
    finally:
        if was_v2_flow:
            v1.enable_control_flow_v2()
        if was_v2_shape:
            v1.enable_v2_tensorshape()


def _list_keras_2(v1: Any) -> list[tuple[Any, str, Any]]:
    try:
        from tf_keras.api._v1 import keras
    except ImportError:
        return []
    legacy = keras.__internal__.legacy
    return [(v1, "layers", legacy.layers), (v1.nn, "rnn_cell", legacy.rnn_cell), (v1, "keras", keras)]


@contextmanager
def _replace_names(places: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    try:
        for module, name, offered in places:
            setattr(module, name, offered)
        yield
    finally:
        for module, name, old in before:
            setattr(module, name, old)


def _pass(*_: object, **__: object) -> None:
    """Stands for a switch that is set already."""


@contextmanager
def _rename_tensorflow(v1: Any) -> Iterator[None]:
    before = sys.modules["tensorflow"]
    sys.modules["tensorflow"] = v1
    try:
        yield
    finally:
        sys.modules["tensorflow"] = before
