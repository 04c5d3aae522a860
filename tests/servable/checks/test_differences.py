"""Two SavedModels side by side: models that TensorFlow saved, each other in one way that is known."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from servable.baseline import Baseline, Sample, save_baseline
from servable.checks.differences import diff_servables
from servable.cli import main

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Name to folder; all but "twin" differ from "base" in what their name says."""
    import tensorflow as tf

    root = tmp_path_factory.mktemp("models")

    def save(
        name, *, weights=WEIGHTS, bias=None, key="x", columns=4, activation=tf.nn.relu, vocabulary="a\nb\n"
    ):
        (root / f"{name}.txt").write_text(vocabulary)
        shutil.move(root / f"{name}.txt", root / "words.txt")

        class Module(tf.Module):
            def __init__(self):
                super().__init__()
                self.w = tf.Variable(weights)
                self.b = None if bias is None else tf.Variable(bias)
                self.words = tf.saved_model.Asset(str(root / "words.txt"))

            @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, columns], tf.float32, key)])
            def serve(self, x):
                y = activation(x[:, :4] @ self.w)
                return {"y": y if self.b is None else y + self.b}

        module = Module()
        tf.saved_model.save(module, str(root / name), signatures=module.serve)

    changed = WEIGHTS.copy()
    changed[2, 1] += 0.5
    save("base")
    save("twin")
    save("weights", weights=changed)
    save("bias", bias=np.ones(3, np.float32))
    save("wider_weights", weights=np.ones((4, 5), np.float32))
    save("key", key="z")
    save("shape", columns=6)
    save("op", activation=tf.nn.relu6)
    save("asset", vocabulary="a\nc\n")
    return root


def diff(models, name, **options):
    return diff_servables(models / "base", models / name, **options)


def list_changes(found, section):
    return {
        change.where: (change.kind.value, change.before, change.after)
        for change in found.changes
        if change.section == section
    }


def test_two_exports_of_one_model_are_the_same(models):
    found = diff(models, "twin")
    assert found.changes == ()
    assert found.skipped == ()
    assert found.is_same
    assert found.facts["variables"] == {"compared": 1, "equal": 1, "worst_difference": 0.0}
    assert found.facts["worst_differences"] == {"serving_default": {"y": 0.0}}


def test_one_changed_weight_is_found_and_measured(models):
    found = diff(models, "weights")
    ((where, (kind, before, after)),) = list_changes(found, "variables").items()
    assert (kind, before) == ("changed", "float32 [4, 3]")
    assert where.startswith("variable w/")
    assert after == "1 of 12 values differ, max abs difference 0.5"
    assert list_changes(found, "ops") == {}
    assert found.facts["variables"]["worst_difference"] == 0.5


def test_answers_to_the_same_request_are_measured(models):
    rows = np.eye(4, dtype=np.float32)
    baseline = Baseline({"serving_default": Sample({"x": rows}, {})})
    found = diff(models, "weights", baseline=baseline)
    (change,) = [change for change in found.changes if change.section == "answers"]
    assert change.where == "signature serving_default, output y"
    assert "1 of 12 values differ; worst at [2, 1]: expected 7, received 7.5" in change.after
    assert found.facts["worst_differences"] == {"serving_default": {"y": 0.5}}


def test_added_variable_and_other_shape(models):
    assert ("added", "", "float32 [3]") in list_changes(diff(models, "bias"), "variables").values()
    found = diff_servables(models / "bias", models / "base")
    assert ("removed", "float32 [3]", "") in list_changes(found, "variables").values()
    wider = list_changes(diff(models, "wider_weights"), "variables")
    assert list(wider.values()) == [("changed", "float32 [4, 3]", "float32 [4, 5]")]


def test_signatures_are_compared_key_by_key(models):
    found = diff(models, "key")
    assert list_changes(found, "signatures") == {
        "signature serving_default, input x": ("removed", "float32 [?, 4]", ""),
        "signature serving_default, input z": ("added", "", "float32 [?, 4]"),
    }
    assert "no request fits" in found.skipped[0].reason
    assert list_changes(diff(models, "shape"), "signatures") == {
        "signature serving_default, input x": ("changed", "float32 [?, 4]", "float32 [?, 6]")
    }


def test_ops_are_counted_by_function(models):
    changes = list_changes(diff(models, "op"), "ops")
    assert changes["Relu in function serve"] == ("removed", "1", "")
    assert changes["Relu6 in function serve"] == ("added", "", "1")
    assert not [where for where in changes if where.startswith("MatMul")]


def test_assets_are_compared_by_content(models):
    found = diff(models, "asset")
    ((where, (kind, before, after)),) = list_changes(found, "assets").items()
    assert (where, kind) == ("file assets/words.txt", "changed")
    assert before != after
    assert {change.section for change in found.changes} == {"assets"}


def test_nothing_is_run_that_the_static_checks_refuse(zoo, models):
    found = diff_servables(models / "base", zoo("bad-sm_readfile-a").source)
    assert "is not run: ops" in found.skipped[0].reason
    assert not found.is_same


def test_two_savers_of_one_graph_are_the_same(tmp_path):
    import tensorflow as tf

    for name in ("a", "b"):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
            w = tf.compat.v1.get_variable("w", initializer=np.ones((2, 2), np.float32), use_resource=False)
            session.run(w.initializer)
            y = tf.matmul(x, w, name="y")
            tf.compat.v1.saved_model.simple_save(session, str(tmp_path / name), {"x": x}, {"y": y})
    assert diff_servables(tmp_path / "a", tmp_path / "b").changes == ()


def test_constants_of_frozen_weights_are_compared(tmp_path):
    import tensorflow as tf

    for name, value in (("a", 1.0), ("b", 1.25)):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
            y = tf.multiply(x, tf.constant([value, 2.0], name="scale"), name="y")
            tf.compat.v1.saved_model.simple_save(session, str(tmp_path / name), {"x": x}, {"y": y})
    found = diff_servables(tmp_path / "a", tmp_path / "b")
    assert list_changes(found, "ops") == {
        "node scale (Const)": ("changed", "float32 [2]", "float32 [2], max abs difference 0.25")
    }
    assert [change.section for change in found.changes] == ["ops", "answers"]


def test_attributes_of_nodes_are_compared(tmp_path):
    import tensorflow as tf

    for name, transpose in (("a", False), ("b", True)):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [2, 2], name="x")
            y = tf.matmul(x, x, transpose_a=transpose, name="y")
            tf.compat.v1.saved_model.simple_save(session, str(tmp_path / name), {"x": x}, {"y": y})
    found = diff_servables(tmp_path / "a", tmp_path / "b")
    (change,) = [change for change in found.changes if change.section == "ops"]
    assert change.where == "node y (MatMul)"
    assert "transpose_a" in change.before
    assert change.after == "transpose_a: b: true"


def test_a_default_that_was_left_out_is_no_difference_and_another_value_is(zoo, tmp_path):
    from servable.formats.protos import SavedModel

    first = tmp_path / "first"
    shutil.copytree(zoo("tf2.16-sm_keras_export-a").source, first)
    message = SavedModel.FromString((first / "saved_model.pb").read_bytes())
    functions = message.meta_graphs[0].graph_def.library.function
    node = next(node for f in functions for node in f.node_def if node.op == "MatMul")
    assert "transpose_b" not in node.attr
    for value, expected in ((False, 0), (True, 1)):
        second = tmp_path / f"second_{value}"
        shutil.copytree(first, second)
        node.attr["transpose_b"].b = value
        (second / "saved_model.pb").write_bytes(message.SerializeToString())
        found = [c for c in diff_servables(first, second).changes if c.section == "ops"]
        assert len(found) == expected


def test_command_line_says_it_in_words_in_json_and_by_its_exit_code(models, tmp_path, capsys):
    base, other = str(models / "base"), str(models / "weights")
    assert main(["diff", base, str(models / "twin")]) == 0
    assert "The models are the same." in capsys.readouterr().out
    save_baseline(
        Baseline({"serving_default": Sample({"x": np.eye(4, dtype=np.float32)}, {})}), tmp_path / "b.npz"
    )
    assert main(["diff", base, other, "--baseline", str(tmp_path / "b.npz"), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["same"], data["first"], data["second"]) == (False, base, other)
    assert [change["section"] for change in data["changes"]] == ["variables", "answers"]
    assert main(["diff", base, other]) == 1
    assert "Variables:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("case_name", "said"), [("bad-sm_garbage_pb-a", "damaged"), ("bad-sm_no_serve_tag-a", "no graph")]
)
def test_what_cannot_be_compared_exits_with_2(zoo, models, capsys, case_name, said):
    assert main(["diff", str(models / "base"), str(zoo(case_name).source)]) == 2
    assert said in capsys.readouterr().err
