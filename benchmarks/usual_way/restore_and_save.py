"""The usual way with a TensorFlow 1 checkpoint: restore it into a session, then `simple_save`.

What passes through: a checkpoint goes in, a SavedModel with every variable of the training comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)


def restore_and_save(
    prefix: str, out_dir: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Converts one checkpoint.

    Args:
        prefix: Checkpoint without .index.
        out_dir: Folder for the SavedModel; must not exist.
        inputs: Name in requests to tensor.
        outputs: Name in responses to tensor.
    """
    with tf.Graph().as_default() as graph, tf.Session() as session:
        saver = tf.train.import_meta_graph(prefix + ".meta", clear_devices=True)
        saver.restore(session, prefix)
        tf.saved_model.simple_save(
            session,
            out_dir,
            inputs={key: graph.get_tensor_by_name(name) for key, name in inputs.items()},
            outputs={key: graph.get_tensor_by_name(name) for key, name in outputs.items()},
        )


if __name__ == "__main__":
    restore_and_save(sys.argv[1], sys.argv[2], {"rows": "rows:0"}, {"scores": "scores:0"})
