"""The usual way to a pipeline: plain TensorFlow scripts in two `@component` functions.

What passes through: a checkpoint's prefix goes in; a SavedModel, and the word that it answers, come out.
"""

from tfx import v1 as tfx
from tfx.types.standard_artifacts import Model, ModelBlessing


@tfx.dsl.components.component  # type: ignore[untyped-decorator]
def Converter(  # noqa: N802 - a component, named as TFX names its own
    prefix: tfx.dsl.components.Parameter[str],
    input_tensor: tfx.dsl.components.Parameter[str],
    output_tensor: tfx.dsl.components.Parameter[str],
    model: tfx.dsl.components.OutputArtifact[Model],
) -> None:
    """Restores the checkpoint and saves what is to be served."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph, tf.Session() as session:
        saver = tf.train.import_meta_graph(prefix + ".meta", clear_devices=True)
        saver.restore(session, prefix)
        tf.saved_model.simple_save(
            session,
            f"{model.uri}/Format-Serving",
            inputs={"inputs": graph.get_tensor_by_name(input_tensor)},
            outputs={"outputs": graph.get_tensor_by_name(output_tensor)},
        )


@tfx.dsl.components.component  # type: ignore[untyped-decorator]
def Checker(  # noqa: N802 - likewise
    model: tfx.dsl.components.InputArtifact[Model],
    row_shape: tfx.dsl.components.Parameter[str],
    blessing: tfx.dsl.components.OutputArtifact[ModelBlessing],
) -> None:
    """Loads what was saved and lets it answer one request."""
    import json
    from pathlib import Path

    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(f"{model.uri}/Format-Serving")
    rows = tf.constant(np.zeros([2, *json.loads(row_shape)], np.float32))
    answer = loaded.signatures["serving_default"](inputs=rows)["outputs"]
    fits = bool(np.isfinite(answer.numpy()).all())
    blessing.set_int_custom_property("blessed", int(fits))
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, "BLESSED" if fits else "NOT_BLESSED").write_text("")
