"""Limits: the user's stand as they are, the others grow with the source."""

import argparse

import pytest

from servable.cli_limits import read_size
from servable.confinement.limits import Limits, measure_memory_bytes, settle_limits
from servable.errors import SettingsError

GIB = 1 << 30


def test_limits_that_the_user_gave_stand(tmp_path):
    limits = settle_limits(Limits(7.5, 3 * GIB, 1000, network=True), tmp_path)
    assert (limits.time_limit_s, limits.memory_bytes, limits.file_bytes) == (7.5, 3 * GIB, 1000)
    assert limits.network


@pytest.mark.parametrize("spelling", ["model.ckpt-1", "model.ckpt-1.index", ""])
def test_limits_grow_with_everything_that_may_belong_to_the_source(tmp_path, spelling):
    with (tmp_path / "model.ckpt-1.data-00000-of-00001").open("wb") as file:
        file.truncate(GIB)
    (tmp_path / "model.ckpt-1.index").write_bytes(b"i")
    limits = settle_limits(Limits(), tmp_path / spelling)
    assert limits.file_bytes == 12 * GIB + 8
    assert limits.time_limit_s == pytest.approx(1800 + GIB / 1e7)
    assert limits.memory_bytes == min(24 * GIB + 20, int(0.9 * measure_memory_bytes()))
    assert not limits.network


def test_a_source_that_is_not_there_has_limits_too(tmp_path):
    limits = settle_limits(Limits(), tmp_path / "none" / "model.h5")
    assert limits.memory_bytes == min(4 * GIB, int(0.9 * measure_memory_bytes()))


@pytest.mark.parametrize(
    "settings",
    [{"time_limit_s": 0.0}, {"time_limit_s": float("nan")}, {"memory_bytes": 1}, {"file_bytes": 0}],
)
def test_limits_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match="out of its range"):
        Limits(**settings)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1000", 1000), ("512M", 512_000_000), ("8GB", 8_000_000_000), ("1.5 GiB", 3 << 29), ("64kib", 65536)],
)
def test_sizes_are_read(text, size_bytes):
    assert read_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1", "1PB", "8 gigs", "nan"])
def test_other_words_are_no_sizes(text):
    with pytest.raises(argparse.ArgumentTypeError, match="8GB"):
        read_size(text)
