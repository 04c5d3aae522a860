"""SavedModels that the builder of TensorFlow 1 and TF-Hub write: collections, init ops, sliced variables."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def make_two_graphs(making, tf, root):
    """The builder of TensorFlow 1: a graph to train and one to serve, tables, parts of variables."""
    v1 = tf.compat.v1
    folder = root / "saved"
    builder = v1.saved_model.Builder(str(folder))
    for training in (True, False):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 4], "x")
            words = v1.placeholder(tf.string, [None], "words")
            v1.set_random_seed(7)
            w = v1.get_variable("w", [4, 6], partitioner=v1.fixed_size_partitioner(3, axis=1))
            bias = v1.get_variable("b", [6], use_resource=True, initializer=v1.ones_initializer())
            local = v1.get_local_variable("scale", initializer=3.0, use_resource=True)
            vocabulary = tf.constant(
                making.write_words(root / "v1" / "vocab.txt", "cat dog"), name="vocabulary"
            )
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, vocabulary)
            table = making.read_table(tf, vocabulary, -1)
            y = tf.identity((x @ tf.convert_to_tensor(w) + bias) * local, name="y")
            if training:
                v1.train.AdamOptimizer().minimize(tf.reduce_sum(tf.nn.dropout(y, rate=0.5)))
            ids = tf.identity(table.lookup(words), name="ids")
            build = v1.saved_model.build_signature_def
            info = v1.saved_model.build_tensor_info
            signatures = {
                "predict_images": build(
                    {"images": info(x)}, {"scores": info(y)}, "tensorflow/serving/predict"
                ),
                "look_up": build({"words": info(words)}, {"ids": info(ids)}),
            }
            start = tf.group(v1.tables_initializer(), v1.local_variables_initializer())
            session.run([v1.global_variables_initializer()])
            if training:
                builder.add_meta_graph_and_variables(
                    session, ["train"], signatures, assets_collection=[vocabulary], main_op=start
                )
            else:
                builder.add_meta_graph(["serve"], signatures, assets_collection=[vocabulary], main_op=start)
    builder.save()
    requests = {"predict_images": {"images": making.rows}, "look_up": {"words": making.words}}
    made = making.ask_v1(tf, folder, ["serve"], requests)
    (root / "v1" / "vocab.txt").unlink()
    return made


def make_legacy_init_op(making, tf, root):
    v1 = tf.compat.v1
    folder = root / "saved"
    builder = v1.saved_model.Builder(str(folder))
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], "words")
        learnt = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 0.5, name="learnt")
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer([b"cat", b"dog"], tf.constant([4, 5], tf.int64)), -1
        )
        weights = v1.get_variable("weights", initializer=[1.0, 2.0], use_resource=False)
        y = tf.add(learnt.lookup(words), weights[0] * tf.cast(table.lookup(words), tf.float32), name="y")
        info = v1.saved_model.build_tensor_info
        signatures = {
            "serving_default": v1.saved_model.build_signature_def(
                {"words": info(words)}, {"y": info(y)}, "tensorflow/serving/predict"
            )
        }
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(learnt.insert(tf.constant([b"cat"]), tf.constant([9.0])))
        builder.add_meta_graph_and_variables(
            session, ["serve", "cpu"], signatures, main_op=v1.tables_initializer()
        )
    (meta_graph,) = builder._saved_model.meta_graphs
    collections = meta_graph.collection_def
    collections["legacy_init_op"].CopyFrom(collections["saved_model_main_op"])
    del collections["saved_model_main_op"]
    builder.save()
    return making.ask_v1(tf, folder, ["serve", "cpu"], {"serving_default": {"words": making.words}})


def make_classifier(making, tf, root):
    """As an Estimator exports itself: tf.Examples in, classes and scores out, several methods."""
    v1 = tf.compat.v1
    folder = root / "saved"
    builder = v1.saved_model.Builder(str(folder))
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], "input_example_tensor")
        parsed = v1.parse_example(examples, {"x": v1.FixedLenFeature([4], tf.float32)})
        w = v1.get_variable("w", initializer=np.arange(8, dtype=np.float32).reshape(4, 2))
        scores = tf.nn.softmax(parsed["x"] @ w)
        classes = tf.as_string(tf.tile([[0, 1]], [tf.shape(scores)[0], 1]))
        definition = v1.saved_model
        signatures = {
            "serving_default": definition.classification_signature_def(examples, classes, scores),
            "regression": definition.regression_signature_def(examples, scores[:, 1:]),
            "predict": definition.predict_signature_def({"examples": examples}, {"probabilities": scores}),
            # A method that a server takes with other keys only.
            "odd": definition.build_signature_def(
                {"x": definition.build_tensor_info(parsed["x"])},
                {"probabilities": definition.build_tensor_info(scores)},
                "tensorflow/serving/classify",
            ),
        }
        session.run(v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
    builder.save(as_text=True)
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[0.1, 0.2, 0.3, 0.4]))
    example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
    serialized = np.array([example.SerializeToString()] * 2, object)
    requests = {name: {"inputs": serialized} for name in ("serving_default", "regression")}
    requests |= {"predict": {"examples": serialized}, "odd": {"x": making.rows}}
    return making.ask_v1(tf, folder, ["serve"], requests)


def make_hub_module(making, tf, root):
    """As TF-Hub's native_module.py writes it: no saver, no method, the graph to serve without any tag."""
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    v1 = tf.compat.v1
    folder = root / "module"
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    words = making.write_words(root / "hub" / "tokens.txt", "cat dog")
    (folder / "variables").mkdir(parents=True)
    answers = {}
    for tags in (["train"], []):
        with tf.Graph().as_default(), v1.Session() as session:
            with v1.variable_scope("", use_resource=True):
                text = v1.placeholder(tf.string, [None], "text")
                path = tf.constant(words, name="path")
                v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
                table = making.read_table(tf, path, 2)
                shards = v1.get_variable(
                    "embeddings",
                    [3, 5],
                    initializer=v1.random_uniform_initializer(seed=3),
                    partitioner=v1.fixed_size_partitioner(2, axis=1),
                )
                embedded = tf.gather(tf.convert_to_tensor(shards), table.lookup(text))
                bias = v1.get_variable("bias", initializer=[0.5] * 5)
                result = tf.identity(embedded + bias, "result")
                sparse = v1.sparse_placeholder(tf.float32, [None, 5], "sparse")
                product = tf.sparse.sparse_dense_matmul(sparse, tf.transpose(tf.convert_to_tensor(shards)))
                if tags:
                    result = tf.nn.dropout(result, rate=0.5)
            meta_graph = v1.train.export_meta_graph(strip_default_attrs=True)
            meta_graph.meta_info_def.tags.extend(tags)
            info = v1.saved_model.build_tensor_info
            for name, inputs, outputs in (
                ("default", {"default": text}, {"default": result}),
                ("multiply", {"rows": sparse}, {"default": product}),
            ):
                meta_graph.signature_def[name].CopyFrom(
                    v1.saved_model.build_signature_def(
                        {key: info(tensor) for key, tensor in inputs.items()},
                        {key: info(tensor) for key, tensor in outputs.items()},
                    )
                )
            (node,) = [node for node in meta_graph.graph_def.node if node.name == "path"]
            node.attr["value"].tensor.string_val[0] = b"SAVEDMODEL-ASSET"
            asset = meta_graph_pb2.AssetFileDef(filename="tokens.txt")
            asset.tensor_info.name = "path:0"
            meta_graph.collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
            saved_model.meta_graphs.add().CopyFrom(meta_graph)
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            if not tags:
                arrays = {"default": making.to_array(making.words)}
                answers["default"] = arrays, {"default": session.run(result, {text: arrays["default"]})}
                parts = {
                    "rows_indices": np.array([[0, 1], [1, 4]], np.int64),
                    "rows_values": np.array([2.0, 3.0], np.float32),
                    "rows_dense_shape": np.array([2, 5], np.int64),
                }
                fed = tuple(parts.values())
                answers["multiply"] = parts, {"default": session.run(product, {sparse: fed})}
                v1.train.Saver(sharded=True).save(
                    session, str(folder / "variables" / "variables"), write_meta_graph=False
                )
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef, format FORMAT_V3
    (folder / "assets").mkdir()
    Path(words).rename(folder / "assets" / "tokens.txt")
    return making.made(folder, answers)


MAKERS = (
    make_two_graphs,
    make_legacy_init_op,
    make_classifier,
    make_hub_module,
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__.removeprefix("make_"))
def test_answers_stay_the_same(make, making, tmp_path):
    import tensorflow as tf

    making.require_same_answers(make(making, tf, tmp_path / "made"), tmp_path)
