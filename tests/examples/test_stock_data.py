"""The stock example's bottles: the data set's own values, each delivered once, in files as TFX reads them."""

import csv

import numpy as np
import pytest

from examples.stock_tfx.data import FIRST_DELIVERY, load_bottles, write_delivery, write_samples
from servable.formats.protos import Example


@pytest.fixture(scope="module")
def wines():
    from sklearn.datasets import load_wine

    return load_wine()


@pytest.fixture
def delivered(tmp_path):
    """Rows of both deliveries, as text by column."""
    rows = []
    for number in (1, 2):
        with write_delivery(tmp_path, number).open(newline="") as file:
            rows.append(list(csv.DictReader(file)))
    return rows


def test_every_bottle_is_delivered_once(delivered):
    numbers = [int(row["bottle"]) for rows in delivered for row in rows]
    assert sorted(numbers) == list(range(178))
    assert len(delivered[0]) == FIRST_DELIVERY


def test_values_are_the_data_sets_own(delivered, wines):
    names = list(load_bottles().features)
    ours = {
        (*(float(row[name]) for name in names), int(row["cultivar"])) for rows in delivered for row in rows
    }
    assert ours == {
        (*row, label) for row, label in zip(wines.data.tolist(), wines.target.tolist(), strict=True)
    }


def test_columns_are_told_apart_by_their_text(delivered):
    # TFX takes a column for whole numbers when all of its values look so, and the user's module wants floats.
    for name in load_bottles().features:
        assert all("." in row[name] for rows in delivered for row in rows), name
    assert all(row["cultivar"] in {"0", "1", "2"} for rows in delivered for row in rows)


def test_both_deliveries_have_all_sorts(delivered):
    for rows in delivered:
        assert {row["cultivar"] for row in rows} == {"0", "1", "2"}


def test_samples_are_the_same_bottles_for_both_signatures(tmp_path):
    bottles = load_bottles()
    write_samples(tmp_path / "new" / "samples.npz")
    with np.load(tmp_path / "new" / "samples.npz", allow_pickle=False) as samples:
        examples = [Example.FromString(bytes(text)) for text in samples["serving_default/examples"]]
        columns = {name: samples[f"score_columns/{name}"] for name in bottles.features}
    assert len(examples) == 8
    for i, example in enumerate(examples):
        for place, name in enumerate(bottles.features):
            expected = np.float32(bottles.rows[i, place])
            assert list(example.features.feature[name].float_list.value) == [expected]
            assert columns[name][i].tolist() == [expected]
