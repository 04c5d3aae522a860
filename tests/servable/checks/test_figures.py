"""Figures for the page: every expected value is counted by hand or given by numpy on the whole array."""

import json

import numpy as np
import pytest

from servable.checks.figures import MAX_POINTS, ValueFigures, compare_in_figures

TOLERANCE = {"atol": 1e-3, "rtol": 0.0}


def compare(expected, received):
    return compare_in_figures(np.array(expected, np.float32), np.array(received, np.float32), **TOLERANCE)


def test_errors_are_counted_by_powers_of_ten():
    figure = compare([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 0.02, 0.03], [5e-4, 0.0, 1.0]])
    assert figure["values"] == 6
    assert figure["outside"] == 2
    assert figure["errors"]["zeros"] == 3
    assert figure["errors"]["edges"] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert figure["errors"]["counts"] == [1, 0, 2]
    assert figure["errors"]["quantiles"]["0.5"] == pytest.approx(2.5e-4)
    assert figure["errors"]["quantiles"]["1"] == pytest.approx(0.03)


def test_equal_answers_have_no_bins():
    figure = compare([1.0, 2.0], [1.0, 2.0])
    assert figure["errors"] | {"quantiles": {}} == {"edges": [], "counts": [], "zeros": 2, "quantiles": {}}
    assert figure["points"] == [[1.0, 1.0], [2.0, 2.0]]


def test_points_are_few_and_the_worst_is_among_them():
    expected = np.linspace(0, 1, 100_003, dtype=np.float32)
    received = expected.copy()
    received[77_777] += 0.5
    figure = compare_in_figures(expected, received, **TOLERANCE)
    assert len(figure["points"]) <= MAX_POINTS
    assert max(abs(a - b) for a, b in figure["points"]) == pytest.approx(0.5)
    assert sum(figure["errors"]["counts"]) == 1


def test_not_finite_values_are_outside_and_never_drawn():
    figure = compare([np.nan, np.nan, np.inf, 1.0], [np.nan, 1.0, np.inf, 1.0])
    assert figure["outside"] == 1  # NaN against 1; NaN against NaN and infinity against infinity agree
    assert figure["points"] == [[1.0, 1.0]]
    json.dumps(figure, allow_nan=False)


def test_wide_range_has_bounded_bins():
    received = 10.0 ** -np.arange(60, dtype=np.float64)
    figure = compare_in_figures(np.zeros(60), received, **TOLERANCE)
    assert len(figure["errors"]["counts"]) <= 18
    assert sum(figure["errors"]["counts"]) == 60


@pytest.mark.parametrize(
    ("expected", "received"),
    [
        (np.array([b"a"], object), np.array([b"a"], object)),
        (np.zeros(2, np.complex64), np.zeros(2, np.complex64)),
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(0), np.zeros(0)),
        (np.array([np.nan]), np.array([np.nan])),
    ],
)
def test_nothing_to_draw(expected, received):
    assert compare_in_figures(expected, received, **TOLERANCE) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_values_in_pieces_have_the_figures_of_the_whole(dtype):
    values = (np.random.default_rng(7).normal(1000, 3, 10_001)).astype(dtype)
    figures = ValueFigures()
    for piece in np.array_split(values, 13):
        figures.add(piece)
    whole = values.astype(np.float64)
    assert figures.to_facts() == pytest.approx(
        {"mean": whole.mean(), "std": whole.std(), "min": whole.min(), "max": whole.max()}, rel=1e-6
    )


def test_values_that_are_no_numbers_have_no_figures():
    figures = ValueFigures()
    for values in (np.array([b"a"], object), np.array([True]), np.array([np.nan, np.inf])):
        figures.add(values)
    assert figures.to_facts() == {}
    figures.add(np.array([np.nan, 2.0, 4.0]))
    assert figures.to_facts() == {"mean": 3.0, "std": 1.0, "min": 2.0, "max": 4.0}


def test_figures_that_overflow_are_no_json_numbers():
    figures = ValueFigures()
    figures.add(np.array([1e308, -1e308]))
    json.dumps(figures.to_facts(), allow_nan=False)
