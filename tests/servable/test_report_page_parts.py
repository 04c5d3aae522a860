"""The parts of the page: units, request bodies, places on a sheet. Expected values are worked out by hand."""

import pytest

from servable.report_page.charts import HEIGHT, WIDTH, draw_histogram, draw_latencies, draw_scatter
from servable.report_page.sections import make_sections
from servable.report_page.units import choose_ticks, show_bytes, show_number, show_seconds


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (show_bytes(999), "999 bytes"),
        (show_bytes(31_400), "31.4 kB"),
        (show_bytes(2.5e12), "2.5 TB"),
        (show_seconds(0), "0 s"),
        (show_seconds(0.25), "0.25 s"),
        (show_seconds(0.00312), "3.12 ms"),
        (show_seconds(4.2e-5), "42 us"),
        (show_number(75_954.6), "75,955"),
        (show_number(5e-08), "5e-08"),
    ],
)
def test_units(shown, text):
    assert shown == text


def test_ticks_are_round_and_inside():
    assert choose_ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert choose_ticks(-3.0, 7.1) == pytest.approx([-2.0, 0.0, 2.0, 4.0, 6.0])
    assert choose_ticks(0.9e9, 1.1e9) == pytest.approx([0.9e9, 0.95e9, 1e9, 1.05e9, 1.1e9])


def make_comparison(points, *, edges=(), counts=(), zeros=0, atol=1e-4):
    errors = {"edges": list(edges), "counts": list(counts), "zeros": zeros}
    return {"points": points, "atol": atol, "rtol": 0.0, "errors": errors}


def test_scatter_is_square_in_meaning_and_marks_what_is_outside():
    chart = draw_scatter(make_comparison([[0.0, 0.0], [1.0, 1.0], [0.5, 0.9]]))
    low, high, wrong = chart.dots
    assert [dot.is_outside for dot in chart.dots] == [False, False, True]
    assert low.x < wrong.x < high.x
    assert low.y > wrong.y > high.y  # downwards on a sheet
    # Where both agree the dot is as far from the left as from the bottom, in parts of the axes.
    for dot in (low, high):
        across = (dot.x - chart.left) / (chart.right - chart.left)
        upwards = (chart.bottom - dot.y) / (chart.bottom - chart.top)
        assert across == pytest.approx(upwards, abs=1e-3)


@pytest.mark.parametrize("points", [[[3.0, 3.0]], [[0.0, 0.0]], [[-1e-30, 1e-30]], [[1e300, -1e300]]])
def test_scatter_of_odd_values_stays_on_the_sheet(points):
    chart = draw_scatter(make_comparison(points))
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in chart.dots)


def test_values_too_large_for_a_sheet_are_not_drawn():
    assert draw_scatter(make_comparison([[1.7e308, -1.7e308]])) is None
    assert draw_scatter(make_comparison([])) is None


def test_histogram_reaches_to_the_tolerance():
    chart = draw_histogram(make_comparison([], edges=[1e-8, 1e-7, 1e-6], counts=[4, 2], zeros=1))
    assert [bar.text for bar in chart.bars] == ["equal", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4"]
    assert [bar.count for bar in chart.bars] == ["1", "4", "2", "", "", ""]
    heights = [bar.height for bar in chart.bars]
    assert heights[0] * 4 == pytest.approx(heights[1], abs=0.5)
    assert heights[2] * 2 == pytest.approx(heights[1], abs=0.5)
    last = chart.bars[-1]  # 1e-4 to 1e-3 begins at the tolerance of 1e-4
    assert last.x - 10 < chart.tolerance_x <= last.x


def test_histogram_without_differences_has_no_scale():
    chart = draw_histogram(make_comparison([], zeros=12_345))
    assert [(bar.text, bar.count) for bar in chart.bars] == [("equal", "12.3k")]
    assert chart.tolerance_x is None


def test_latencies_are_in_the_order_of_rows():
    sizes = {
        "64": {"p50_s": 0.002, "p90_s": 0.003, "p99_s": 0.004, "rows_per_s": 32_000},
        "8": {"p50_s": 0.001, "p90_s": 0.001, "p99_s": 0.001},
    }
    small, large = draw_latencies(sizes)
    assert (small.rows, small.p50, small.rows_per_s) == ("8", "1 ms", "")
    assert (large.p50_percent, large.p99_percent, large.rows_per_s) == (50.0, 100.0, "32,000")


def test_targets_are_grouped_by_platform_and_obstacles_by_what_they_are():
    def row(target, obstacle=""):
        runs = not obstacle
        return {"target": target, "tensorflow": "2.6.5", "loads": runs, "runs": runs, "obstacle": obstacle}

    rows = [row("current"), row("tensorflow-1.12", "tensorflow-1.12 does not load it: X")]
    rows += [
        row("tensorflow-2.21"),
        row("pai-eas/tensorflow_cpu_1.12", "pai-eas/tensorflow_cpu_1.12 does not load it: X"),
    ]
    sections, shown = make_sections({"compatibility": rows})
    assert [(group.platform, group.verdicts) for group in sections.targets] == [
        ("current", (("2.6.5", "runs"),)),
        ("tensorflow", (("1.12", "refuses"), ("2.21", "runs"))),
        ("pai-eas/tensorflow_cpu", (("1.12", "refuses"),)),
    ]
    assert sections.obstacles == [("does not load it: X", "tensorflow-1.12, pai-eas/tensorflow_cpu_1.12")]
    assert shown == {"compatibility"}


def test_labelled_examples_are_a_table_of_sides():
    facts = {
        "task": "binary",
        "label": "clicked",
        "signature": "rank",
        "rows": 1200,
        "unusable_rows": 2,
        "candidate": {"auc": 0.91234567, "accuracy": 0.5},
        "previous": {"auc": 0.9137},
        "times": {"candidate": {"request_p50_s": 0.002, "request_p99_s": 0.25}},
        "differences": {"score": {"rows": 1198, "differing_rows": 0, "samples": []}},
        "unusable": {"label clicked is missing": {"rows": 2, "samples": ["a.gz#3", "a.gz#9"]}},
    }
    sections, shown = make_sections({"metrics": facts})
    (view,) = sections.metrics
    assert view.sentence == "binary by label clicked, signature rank: 1,198 of 1,200 rows."
    assert view.sides == ("this model", "the previous model")
    assert view.figures == (
        ("auc", ("0.912346", "0.9137")),
        ("accuracy", ("0.5", "")),
        ("half of the requests", ("2 ms", "")),
        ("99 of 100 requests", ("0.25 s", "")),
    )
    assert view.rows == (("label clicked is missing", "2", "a.gz#3, a.gz#9"),)
    assert shown == {"metrics"}
    # Of an unknown form, they stay in the list of facts.
    sections, shown = make_sections({"metrics": {"rows": 3}})
    assert (sections.metrics, shown) == ([], frozenset())
