"""What is said of the variables that were exported, and of those that were left behind. No TensorFlow."""

from pathlib import Path

import pytest

from servable.errors import SignatureError
from servable.export.variables import note_variables, require_averages
from servable.formats.checkpoints.bundle_entries import BundleEntry, TensorBundle
from servable.model import TableKeys, VariableKey

AVERAGE = VariableKey("w/ExponentialMovingAverage", average_of="w")


def make_bundle(**sizes_bytes):
    entries = {
        key: BundleEntry(key, "float32", (2,), shard=0, offset=0, size_bytes=size_bytes, crc32c=0)
        for key, size_bytes in sizes_bytes.items()
    }
    return TensorBundle(Path("model.ckpt"), entries, (), "<")


def test_what_is_left_behind_is_counted_with_its_bytes():
    bundle = make_bundle(**{"w": 8, "w/Adam": 300_000_000, "w/Adam_1": 332_000_000, "other": 60_000})
    (note,) = note_variables({"w": VariableKey("w")}, {}, bundle)
    assert note.message == (
        "dropped tensors that serving does not need: 2 of training (optimizer slots, steps, averages) "
        "and 1 others, 632.1 MB"
    )


def test_nothing_is_said_where_all_is_taken():
    assert note_variables({"w": VariableKey("w")}, {}, make_bundle(w=8)) == []


def test_parts_of_one_tensor_take_it():
    keys = {f"w/part_{number}": VariableKey("w", f"4 {number * 2},2") for number in range(2)}
    assert note_variables(keys, {}, make_bundle(w=16)) == []


def test_entries_of_a_table_are_taken_too():
    bundle = make_bundle(**{"w": 8, "table-keys": 8, "table-values": 8})
    tables = {"table": TableKeys("table-keys", "table-values")}
    assert note_variables({"w": VariableKey("w")}, tables, bundle) == []


def test_averages_are_counted_and_those_without_are_named():
    bundle = make_bundle(**{"w": 8, "b": 8, "w/ExponentialMovingAverage": 8})
    notes = note_variables({"b": VariableKey("b"), "w": AVERAGE}, {}, bundle)
    assert notes[0].message == "1 of 2 variables take their moving average, 1 have none: b"


def test_signatures_without_any_average_are_refused_only_when_averages_were_asked_for():
    plain = {"b": VariableKey("b")}
    require_averages(plain, plain, where="")
    require_averages({**plain, "w": AVERAGE}, {**plain, "w": AVERAGE}, where="")
    require_averages({}, {"w": AVERAGE}, where="")
    with pytest.raises(SignatureError, match="None of the variables") as caught:
        require_averages(plain, {**plain, "w": AVERAGE}, where="model.ckpt")
    assert caught.value.expected == "outputs that depend on w"
