"""Rows of the performance table: bars judged from either side, ratios taken round by round, tables drawn."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from benchmarks.measuring import BenchmarkError
from benchmarks.performance import ROWS, measure_rows, read_sizes, set_bytecode
from benchmarks.performance_place import Place, require_room
from benchmarks.performance_rows import (
    HELD,
    LEFT_OUT,
    MISSED,
    TOLD,
    Round,
    Row,
    describe_machine,
    draw_markdown,
    run_in_turns,
    to_json,
)
from benchmarks.performance_work import read_cpu_s, watch_peak


@pytest.mark.parametrize(
    ("figure", "bar", "at_least", "verdict"),
    [
        (1.5, 1.5, False, HELD),
        (1.51, 1.5, False, MISSED),
        (4.0, 4.0, True, HELD),
        (3.9, 4.0, True, MISSED),
        (9.0, None, False, TOLD),
        (None, 1.5, False, LEFT_OUT),
    ],
)
def test_bars_are_held_up_to_their_own_value(figure, bar, at_least, verdict):
    assert Row("work", figure=figure, bar=bar, at_least=at_least).verdict == verdict


def test_ratio_is_the_median_over_rounds_not_of_medians():
    measured = Round(
        {"ours": [{"s": 1.0}, {"s": 20.0}, {"s": 3.0}], "theirs": [{"s": 1.0}, {"s": 10.0}, {"s": 1.0}]}
    )
    assert measured.middle("ours", "s") == 3.0
    assert measured.ratio("ours", "theirs", "s") == 2.0  # of 1, 2 and 3
    assert measured.ratio("theirs", "ours", "s") == 0.5


def test_sides_run_in_turns():
    order = []

    def run(name):
        order.append(name)
        return {"s": float(len(order))}

    measured = run_in_turns(
        {name: lambda name=name: run(name) for name in "ab"}, repeats=2, say=lambda _: None, what="w"
    )
    assert order == ["a", "b", "a", "b"]
    assert measured.values["b"] == [{"s": 2.0}, {"s": 4.0}]


def test_a_warming_round_does_not_count():
    runs = []

    def run():
        runs.append(1)
        return {"s": float(len(runs))}

    measured = run_in_turns({"a": run}, repeats=2, say=lambda _: None, what="w", warms=True)
    assert measured.values["a"] == [{"s": 2.0}, {"s": 3.0}]


def test_bytecode_is_kept_whatever_the_shell_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "elsewhere")
    set_bytecode(tmp_path)
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    assert os.environ["PYTHONPYCACHEPREFIX"] == str(tmp_path)
    set_bytecode(None)
    assert os.environ["PYTHONDONTWRITEBYTECODE"] == "1"


def test_table_is_markdown_with_a_cell_for_each_column():
    rows = [
        Row("held | so", ours="1 s", beside="2 s", figure=0.5, bar=0.7, cpu_figure=0.4),
        Row("memory", figure=70.4, bar=100.0, unit="MB"),
        Row("faster", figure=5.0, bar=4.0, at_least=True),
        Row("failed", note="no room"),
    ]
    lines = draw_markdown(rows).splitlines()
    assert [line.count("|") for line in lines] == [8] * 6
    assert lines[1] == "|---|---|---|---|---|---|---|"
    assert lines[2] == "| held / so | 1 s | 2 s | 0.50 x | at most 0.70 x | 0.40 x | held |"
    assert "70 MB | at most 100 MB" in lines[3]
    assert "at least 4.00 x" in lines[4]
    assert lines[5].endswith("| not run: no room |")


def test_json_has_the_verdicts():
    (row,) = to_json([Row("work", figure=2.0, bar=1.0)])
    assert (row["work"], row["verdict"], row["unit"]) == ("work", "missed", "x")


def test_sizes_are_read_in_powers_of_ten_and_rising():
    assert read_sizes("1GB, 100mb,1GB") == (100.0, 1000.0)
    assert read_sizes("0.5GB") == (500.0,)


@pytest.mark.parametrize("text", ["", "100", "0MB", "-1GB", "1TB", "GB", "1e3MB", "nanGB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        read_sizes(text)


def test_a_row_that_cannot_be_measured_keeps_no_other_from_it(monkeypatch, tmp_path):
    def fail(_):
        raise BenchmarkError("it\nfailed")

    monkeypatch.setattr("benchmarks.performance.ROWS", {"bad": fail, "good": lambda _: [Row("fine")]})
    rows = measure_rows(["bad", "good"], Place(tmp_path, 1, (), lambda _: None))
    assert [(row.work, row.note) for row in rows] == [("bad", "it failed"), ("fine", "")]
    assert len(ROWS) >= 7


def test_too_little_room_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(BenchmarkError, match="needs 3000000000000000000 bytes of room"):
        require_room(tmp_path, 1e12)


def test_large_sources_are_removed_and_made_anew_when_asked_for(tmp_path, monkeypatch):
    made = []

    def make(self, *words):
        made.append(words)
        (tmp_path / "checkpoint-5").mkdir()

    monkeypatch.setattr(Place, "run_python", make)
    place = Place(tmp_path, 1, (), lambda _: None)
    prefix = place.make_checkpoint(5)
    assert place.make_checkpoint(5) == prefix == tmp_path / "checkpoint-5" / "model.ckpt-1"
    assert len(made) == 1
    place.forget(prefix)
    assert not (tmp_path / "checkpoint-5").exists()
    place.make_checkpoint(5)
    assert len(made) == 2


def test_processor_time_counts_children_that_have_ended(tmp_path):
    before = read_cpu_s()
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert read_cpu_s() - before >= 0.1


def test_the_machine_is_described_in_one_line():
    text = describe_machine()
    assert "cores of" in text
    assert "\n" not in text


def test_peak_is_that_of_a_childs_fork_where_there_is_one():
    with watch_peak() as own:
        pass
    assert own[0] > 5_000_000  # of this process
    work = "held = b'x' * 300_000_000; time.sleep(1)"
    fork = f"import os, time\nif os.fork():\n    os.wait()\nelse:\n    {work}"
    with watch_peak() as watched:
        subprocess.run([sys.executable, "-c", fork], check=True)
    assert 300_000_000 < watched[0] < 400_000_000
