"""Accumulators: against scikit-learn and sums by hand, in any portions and any order of merging."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from servable.checks.measures import AUC_BINS, Errors, Hits, ScoreBins, make_measure
from servable.checks.metrics_policy import Task
from servable.checks.tallies import Difference, FailingRows, Sample, Tally, Times

RANDOM = np.random.default_rng(7)
ROWS = 5000


def make_rows(task):
    if task is Task.CLASSIFICATION:
        return RANDOM.integers(0, 4, ROWS), RANDOM.integers(0, 4, ROWS)
    if task is Task.BINARY:
        labels = RANDOM.integers(0, 2, ROWS)
        return labels, np.clip(RANDOM.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return RANDOM.normal(size=(ROWS, 3)), RANDOM.normal(size=(ROWS, 3))


def ask_sklearn(task, labels, answers):
    if task is Task.CLASSIFICATION:
        return {"accuracy": sklearn_metrics.accuracy_score(labels, answers)}
    if task is Task.BINARY:
        return {
            "accuracy": sklearn_metrics.accuracy_score(labels, answers >= 0.5),
            "auc": sklearn_metrics.roc_auc_score(labels, answers),
        }
    return {
        "mse": sklearn_metrics.mean_squared_error(labels, answers),
        "mae": sklearn_metrics.mean_absolute_error(labels, answers),
    }


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("seed", range(3))
def test_portions_and_order_do_not_matter(task, seed):
    labels, answers = make_rows(task)
    expected = ask_sklearn(task, labels, answers)
    cuts = np.sort(RANDOM.integers(0, ROWS, 9))
    parts = []
    for rows in np.split(np.arange(ROWS), cuts):
        parts.append(make_measure(task))
        parts[-1].add(labels[rows], answers[rows])
    random.Random(seed).shuffle(parts)
    while len(parts) > 1:  # a tree, as on a cluster
        parts = [merge(*parts[i : i + 2]) for i in range(0, len(parts), 2)]
    figures = parts[0].list_figures()
    for name, value in expected.items():
        margin = figures["auc_error"] if name == "auc" else 1e-9
        assert figures[name] == pytest.approx(value, abs=margin), name


def merge(first, *others):
    for other in others:
        first.merge(other)
    return first


def test_auc_by_hand_with_ties():
    # Positive against negative: (0.9, 0.1), (0.9, 0.5) and (0.5, 0.1) are won, (0.5, 0.5) is tied.
    bins = ScoreBins()
    bins.add(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.1, 0.5]))
    assert bins.list_figures() == {"accuracy": 0.75, "auc": 3.5 / 4, "auc_error": 0.5 / 4}


def test_auc_error_bounds_what_bins_lose():
    labels = np.array([0, 1] * 50)
    scores = np.linspace(0, 0.9 / AUC_BINS, 100)  # all of them in the first bin
    bins = ScoreBins()
    bins.add(labels, scores)
    figures = bins.list_figures()
    assert figures["auc"] == 0.5
    exact = sklearn_metrics.roc_auc_score(labels, scores)
    assert abs(figures["auc"] - exact) <= figures["auc_error"]


def test_edges_of_scores_are_in_the_outer_bins():
    bins = ScoreBins()
    bins.add(np.array([0, 1]), np.array([0.0, 1.0]))
    assert (bins.negatives[0], bins.positives[-1]) == (1, 1)
    assert bins.list_figures()["auc"] == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_auc_is_not_told_of_one_label_alone(label):
    bins = ScoreBins()
    bins.add(np.full(3, label), np.array([0.2, 0.6, 0.7]))
    assert set(bins.list_figures()) == {"accuracy"}


@pytest.mark.parametrize("measure", [Hits(), ScoreBins(), Errors()])
def test_no_rows_no_figures(measure):
    assert measure.list_figures() == {}


def test_hundred_million_rows_do_not_overflow():
    bins = ScoreBins()
    bins.positives[AUC_BINS // 2] = bins.negatives[0] = 5 * 10**9
    bins.hits = 10**10
    assert bins.list_figures() == {"accuracy": 1.0, "auc": 1.0, "auc_error": 0.0}


def make_tally(rows):
    """One row each, of which every third fails, and every second differs by its own number."""
    tally = Tally()
    for row in rows:
        one = Tally(rows=1)
        one.times["candidate"] = Times()
        one.times["candidate"].add(1, 0.001 * (row + 1))
        if row % 3 == 0:
            one.unusable = 1
            one.reasons["odd"] = FailingRows(5)
            one.reasons["odd"].add(1, [Sample(0.0, "f", row)])
        failing = FailingRows(5)
        if row % 2 == 0:
            failing.add(1, [Sample(-float(row), "f", row)])
        one.differences["y"] = Difference(failing, rows=1, worst=float(row))
        tally.merge(one)
    return tally


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_the_same_in_any_order(seed):
    rows = list(range(100))
    random.Random(seed).shuffle(rows)
    tally = make_tally(rows[:37])
    tally.merge(make_tally(rows[37:]))
    assert (tally.rows, tally.unusable) == (100, 34)
    assert tally.reasons["odd"].count == 34
    assert [one.position for one in tally.reasons["odd"].samples] == [0, 3, 6, 9, 12]
    assert [one.position for one in tally.differences["y"].failing.samples] == [98, 96, 94, 92, 90]
    assert (tally.differences["y"].failing.count, tally.differences["y"].worst) == (50, 99.0)
    # 90 of the 100 requests take at most 90 ms; bins are 12% wide.
    assert 0.090 <= tally.times["candidate"].find_quantile_s(0.9) <= 0.090 * 1.13


def test_merging_leaves_the_other_as_it_was():
    first, second, third = (make_tally([row]) for row in (0, 3, 6))
    total = Tally()
    for one in (first, second, third):
        total.merge(one)
    assert first.reasons["odd"].count == 1
    assert total.reasons["odd"].count == 3


@pytest.mark.parametrize("elapsed_s", [0.0, 1e-9, 1e-6, 0.5, 1e4])
def test_times_of_any_size_have_a_bin(elapsed_s):
    times = Times()
    times.add(10, elapsed_s)
    assert int(times.bins.sum()) == 1
