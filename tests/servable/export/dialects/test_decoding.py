"""Parsed examples, labels of sequences and encoded images."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow


def _write_example(**features):
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in features.items():
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()


def _parse(serialized):
    import tensorflow as tf

    parsed = tf.io.parse_example(
        serialized,
        {
            "a": tf.io.FixedLenFeature([2], tf.float32),
            "b": tf.io.FixedLenFeature([], tf.string, default_value="none"),
            "c": tf.io.VarLenFeature(tf.int64),
            "d": tf.io.VarLenFeature(tf.string),
            "e": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        },
    )
    return tf.nest.flatten(parsed, expand_composites=True)


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
def test_examples(agree, place):
    texts = [
        _write_example(a=[1.0, 2.0], c=[5, 6, 7], e=[1]),
        _write_example(a=[3.0, 4.0], b=[b"x"], d=[b"y"]),
    ]
    agree(_parse, np.array(texts, dtype=object), place=place)
    agree(_parse, np.array([], dtype=object), place=place)


@pytest.mark.parametrize("shapes", [None, [None]])
def test_one_example_alone(agree, shapes):
    text = _write_example(a=[1.0, 2.0], c=[5, 6, 7], d=[b"y", b"z"], e=[1, 2])
    agree(_parse, np.array(text, dtype=object), shapes=shapes)
    if shapes:
        agree(_parse, np.array([text, text], dtype=object), shapes=shapes)


def test_keys_that_are_computed(agree):
    import tensorflow as tf

    def call(serialized, keys):
        return tf.raw_ops.ParseExampleV2(
            serialized=serialized,
            names=[],
            sparse_keys=keys,
            dense_keys=keys + "2",
            ragged_keys=[],
            dense_defaults=[[0.5], ["?"]],
            num_sparse=2,
            sparse_types=[tf.int64, tf.string],
            ragged_value_types=[],
            ragged_split_types=[],
            dense_shapes=[[1], [1]],
        )

    texts = [_write_example(p=[1, 2], q2=[b"v"]), _write_example(q=[b"w"], p2=[4.0])]
    agree(call, np.array(texts, dtype=object), np.array([b"p", b"q"], dtype=object))


def _parse_ragged(serialized):
    import tensorflow as tf

    features = {
        "c": tf.io.RaggedFeature(tf.int64),
        "d": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
        "a": tf.io.VarLenFeature(tf.float32),
        "p": tf.io.RaggedFeature(tf.float32, value_key="a2", partitions=[tf.io.RaggedFeature.RowSplits("s")]),
    }
    return tf.nest.flatten(tf.io.parse_example(serialized, features), expand_composites=True)


def test_ragged_features(agree):
    texts = [
        _write_example(a=[1.0, 2.0], c=[5, 6, 7], a2=[1.0, 2.0], s=[0, 1, 2]),
        _write_example(c=[8], d=[b"x", b"y"], s=[0]),
        _write_example(d=[b"z"], a2=[4.0], s=[0, 1]),
    ]
    agree(_parse_ragged, np.array(texts, dtype=object))


def test_ragged_features_of_perhaps_one_example_are_refused(agree):
    with pytest.raises(ExportError, match="ParseExampleV2"):
        agree(_parse_ragged, np.array([_write_example(c=[1], s=[0])], dtype=object), place="function")


@pytest.mark.parametrize("place", ["graph", "function", "loop"])
@pytest.mark.parametrize("blank", [0, 2, -2])
@pytest.mark.parametrize("version", ["1.12.3", "2.4.4"])
def test_labels_of_sequences(agree, version, blank, place):
    import tensorflow as tf

    def call(scores, lengths):
        return tf.raw_ops.CTCGreedyDecoder(
            inputs=scores, sequence_length=lengths, blank_index=blank, merge_repeated=True
        )

    scores = np.random.default_rng(0).normal(size=(9, 3, 5)).astype("float32")
    agree(call, scores, np.array([9, 4, 1], "int32"), version=version, place=place)


@pytest.mark.parametrize("expand", [True, False])
@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("place", ["graph", "function", "loop"])
def test_encoded_images(agree, channels, expand, place):
    import tensorflow as tf

    images = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype("uint8")
    bmp = b"BM" + np.array([54 + 24 * 2, 0, 54, 40, 5, 2], "<u4").tobytes()
    bmp += np.array([1, 24], "<u2").tobytes() + np.zeros(6, "<u4").tobytes() + bytes(range(32))
    files = [tf.io.encode_png(images).numpy(), tf.io.encode_jpeg(images).numpy(), bmp]
    for file in files:
        agree(
            lambda x: tf.io.decode_image(x, channels, expand_animations=expand),
            np.array(file, dtype=object),
            version="2.3.4",
            place=place,
        )
    gif = (
        b"GIF89a\x02\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\xff\x00"
        b"\x2c\x00\x00\x00\x00\x02\x00\x01\x00\x00\x02\x02\x44\x0a\x00\x3b"
    )
    agree(
        lambda x: tf.io.decode_image(x, channels, expand_animations=expand),
        np.array(gif, dtype=object),
        version="1.15.5",
        place=place,
    )
