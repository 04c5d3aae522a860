"""Values by their places, windows with paddings, batch norm, parsed examples and branches."""

import numpy as np
import pytest

from servable.errors import ExportError

pytestmark = pytest.mark.tensorflow

PADDINGS = [0, 0, 1, 2, 0, 3, 0, 0]


def _draw(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize(
    ("shape", "places", "batch", "axis"),
    [
        ((3, 5), (3, 2), 1, 1),
        ((3, 5, 2), (3,), 1, 1),
        ((3, 5, 2), (3, 4), 1, 2),
        ((3, 5, 2), (3, 4), 1, -1),
        ((3, 5, 2), (3, 4), 1, -2),
        ((2, 3, 4, 5), (2, 3, 2, 2), 2, 2),
        ((2, 3, 4, 5, 2), (2, 3), 2, 3),
        ((2, 3, 4, 5), (2, 6), 1, 2),
        ((0, 5), (0, 2), 1, 1),
        ((3, 5), (3, 0), 1, 1),
        ((2, 3, 4), (2, 3, 2), -1, -1),
        ((2, 3, 4), (2, 3), -1, 2),
    ],
)
def test_gathers_of_a_batch(agree, shape, places, batch, axis, index):
    import tensorflow as tf

    chosen = np.abs(_draw(*places)) % 2
    agree(
        lambda x, i: tf.gather(x, i, batch_dims=batch, axis=axis),
        _draw(*shape),
        chosen.astype(index),
    )


@pytest.mark.parametrize("place", ["function", "loop"])
@pytest.mark.parametrize("dtype", ["object", "bool", "float64"])
def test_gathers_in_functions_and_loops(agree, dtype, place):
    import tensorflow as tf

    values = (
        np.arange(6).reshape(2, 3).astype("S").astype(object)
        if dtype == "object"
        else _draw(2, 3, dtype=dtype)
    )
    agree(lambda x, i: tf.gather(x, i, batch_dims=1), values, np.array([[2, 0], [1, 1]]), place=place)


@pytest.mark.parametrize("place", [-1, 3])
def test_a_place_outside_of_its_row_is_refused_as_before(agree, place):
    import tensorflow as tf

    def call(x, i):
        return tf.gather(x, tf.where(i == 9, place, i), batch_dims=1)

    agree(call, _draw(2, 3), np.array([[2], [0]], "int32"))
    with pytest.raises(tf.errors.InvalidArgumentError):
        agree(call, _draw(2, 3), np.array([[2], [9]], "int32"))


def test_gathers_from_a_variable(agree):
    import tensorflow as tf

    def call(x, i):
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[2, 3], shared_name="v")
        with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=handle, value=x)]):
            return tf.raw_ops.ResourceGather(resource=handle, indices=i, dtype=tf.float32, batch_dims=1)

    agree(call, _draw(2, 3), np.array([[2, 0], [1, 1]], "int32"))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("version", ["1.12.3", "1.14.0"])
def test_windows_with_paddings(agree, strides, version):
    import tensorflow as tf

    attrs = {"strides": [1, strides, strides, 1], "padding": "EXPLICIT", "explicit_paddings": PADDINGS}

    def call(x, filters, depth_filters):
        results = [
            tf.raw_ops.DepthwiseConv2dNative(input=x, filter=depth_filters, **attrs),
            tf.raw_ops.MaxPool(input=x - 9, ksize=[1, 4, 4, 1], **attrs),
        ]
        if version == "1.12.3":
            results.append(tf.raw_ops.Conv2D(input=x, filter=filters, dilations=[1, 2, 1, 1], **attrs))
        return results

    agree(call, _draw(2, 6, 7, 3), _draw(3, 2, 3, 4), _draw(3, 2, 3, 2), version=version)


@pytest.mark.parametrize("place", ["function", "loop"])
def test_windows_in_functions_and_loops(agree, place):
    import tensorflow as tf

    def call(x, filters):
        return tf.raw_ops.Conv2D(
            input=x, filter=filters, strides=[1, 1, 1, 1], padding="EXPLICIT", explicit_paddings=PADDINGS
        )

    agree(call, _draw(2, 6, 7, 3), _draw(3, 2, 3, 4), place=place)


def test_pools_of_whole_numbers(agree):
    import tensorflow as tf

    def call(x):
        return tf.raw_ops.MaxPool(
            input=x - 9,
            ksize=[1, 2, 2, 1],
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1, 1, 1, 1, 0, 0],
        )

    agree(call, _draw(2, 6, 7, 3, dtype="int32"), version="2.3.4")


def test_transposed_convolutions_with_paddings(agree):
    import tensorflow as tf

    def call(x, filters, sizes):
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=sizes,
            filter=filters,
            out_backprop=x,
            strides=[1, 2, 2, 1],
            padding="EXPLICIT",
            explicit_paddings=PADDINGS,
        )

    sizes = np.array([2, 8, 7, 3], "int32")  # 8 + 1 + 2 and 7 + 3, in steps of 2 with a window of 3 by 2
    agree(call, _draw(2, 5, 5, 4), _draw(3, 2, 3, 4), sizes)


NORM_VERSIONS = ["1.12.3", "2.3.4"]


@pytest.mark.parametrize("layout", ["NHWC", "NDHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_stored_averages(agree, layout, dtype):
    import tensorflow as tf

    def call(x, *stored):
        node = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(x, dtype),
            scale=stored[0],
            offset=stored[1],
            mean=stored[2],
            variance=stored[3],
            is_training=False,
            epsilon=0.01,
            data_format=layout,
        )
        return tf.cast(node.y, tf.float32)

    x = _draw(2, *[3] * (len(layout) - 2), 4)
    stored = [_draw(4), _draw(4), _draw(4), np.abs(_draw(4)) + 1]
    agree(call, x, *stored, version="1.12.3", rtol=2e-2 if dtype == "bfloat16" else 1e-3, atol=1e-3)


@pytest.mark.parametrize("place", ["function", "loop"])
def test_averages_of_the_batch(agree, place):
    import tensorflow as tf

    def call(x, scale, offset):
        node = tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=offset, mean=[], variance=[])
        return node.y, node.batch_mean, node.batch_variance

    agree(call, _draw(2, 3, 3, 4), _draw(4), _draw(4), place=place, rtol=1e-4, atol=1e-5)


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


def test_branches_without_a_state(agree):
    import tensorflow as tf

    def call(x, number):
        return tf.switch_case(number, [lambda: x + 1, lambda: x * 2, lambda: -x])

    for number in (0, 1, 2, 7):
        agree(call, _draw(3), np.int32(number), version="2.3.4")


def test_comparisons_of_any_shapes(agree):
    # Only an attribute goes, which is not told.
    with pytest.raises(AssertionError, match="nothing was replaced"):
        agree(lambda x, y: (x == y, x != y), _draw(2, 3), _draw(3), version="1.14.0")


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


@pytest.mark.parametrize("version", ["2.3.4", "2.11.1"])
@pytest.mark.parametrize("place", ["graph", "function"])
def test_lists_that_grow(agree, version, place):
    import tensorflow as tf

    def call(x):
        items = tf.TensorArray(tf.float32, 1, dynamic_size=True, element_shape=[2])
        items = tf.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, a.write(i, x[i])), (0, items))[1]
        return items.write(1, x[0]).stack(), items.write(5, x[1]).size()

    agree(call, _draw(3, 2), version=version, place=place)
