"""The benchmark of history and lineage at a small size: it runs through. No time is judged."""

from benchmarks.history_time import measure_answers


def test_every_question_is_asked(tmp_path):
    rows = measure_answers(tmp_path / "metadata.sqlite", runs=4, repeats=1, work_dir=tmp_path)
    assert [row["what"] for row in rows] == [
        "history",
        "lineage of a version",
        "servable history",
        "servable lineage",
    ]
    assert all(float(row["elapsed_s"]) > 0 for row in rows)
