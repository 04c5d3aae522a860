"""The stock example's comparison: a bottle read otherwise, a score beyond rounding, other bottles."""

import numpy as np
import pytest

from examples.stock_tfx.answers import AnswersError, TrainerRecord, compare_answers, load_record, read_answers
from examples.stock_tfx.run import draw_comparisons, run_story
from servable.errors import SettingsError
from servable.formats.protos import Example

SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]], np.float32)
RECORD = TrainerRecord(np.array([4, 8, 15]), np.array([0, 1, 1]), SCORES, learnt=16, seconds=2.0)


def answer(scores=SCORES):
    return dict(zip((4, 8, 15), scores, strict=True))


def test_same_scores_are_the_same():
    found = compare_answers(RECORD, answer())
    # Two of the three labels are the largest score's.
    assert (found.bottles, found.trainer_accuracy, found.accuracy) == (3, 2 / 3, 2 / 3)
    assert (found.differing, found.worst, found.is_same) == (0, 0.0, True)


def test_one_bottle_read_otherwise_is_counted():
    scores = SCORES.copy()
    scores[2] = [0.1, 0.6, 0.3]
    found = compare_answers(RECORD, answer(scores))
    assert (found.differing, found.is_same) == (1, False)
    # The pushed model happens to be right here, and is all the same not the trainer's.
    assert found.accuracy == 1.0
    assert found.worst == pytest.approx(0.3)


def test_one_score_beyond_rounding_is_not_the_same():
    scores = SCORES.copy()
    scores[1, 2] += 1e-4
    assert not compare_answers(RECORD, answer(scores)).is_same


@pytest.mark.parametrize("bottles", [(4, 8), (4, 8, 16), (4, 8, 15, 16)])
def test_answers_to_other_bottles_are_no_answers(bottles):
    with pytest.raises(AnswersError, match="held out"):
        compare_answers(RECORD, dict.fromkeys(bottles, SCORES[0]))


def test_table_has_a_line_for_each_run():
    lines = draw_comparisons([compare_answers(RECORD, answer())] * 2).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "1", "2"]
    assert lines[1].split()[1:] == ["3", "66.7%", "66.7%", "0", "0.0e+00"]


def test_record_is_read_as_the_users_module_writes_it(tmp_path):
    np.savez(
        tmp_path / "record.npz",
        bottles=RECORD.bottles,
        labels=RECORD.labels,
        scores=SCORES,
        learnt=16,
        seconds=2.0,
    )
    found = load_record(tmp_path)
    assert (found.learnt, found.seconds) == (16, 2.0)
    np.testing.assert_array_equal(found.scores, SCORES)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_prediction_logs_are_read_by_bottle(tmp_path):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(tmp_path / "prediction_logs.gz"), "GZIP") as writer:
        for bottle, scores in answer().items():
            example = Example()
            example.features.feature["bottle"].int64_list.value.append(bottle)
            log = prediction_log_pb2.PredictionLog()
            texts = tf.make_tensor_proto([example.SerializeToString()])
            log.predict_log.request.inputs["examples"].CopyFrom(texts)
            log.predict_log.response.outputs["scores"].CopyFrom(tf.make_tensor_proto(scores[None]))
            writer.write(log.SerializeToString())
    found = read_answers(tmp_path)
    assert sorted(found) == [4, 8, 15]
    np.testing.assert_array_equal(found[8], SCORES[1])


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="not this example's"):
        run_story(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
