import ml_dtypes
import numpy as np
import pytest

from servable.checks.comparison import compare_arrays, count_not_finite
from servable.checks.tolerances import Tolerance

EXACT = Tolerance(0.0, 0.0)
LOOSE = Tolerance(1e-4, 1e-4)


def floats(*values, dtype=np.float32):
    return np.array(values, dtype=dtype)


def test_equal_arrays_agree():
    assert compare_arrays(floats(1, 2), floats(1, 2), EXACT).message == ""


def test_one_wrong_element_of_many_is_found_and_located():
    expected = np.zeros((3, 4, 5), np.float32)
    received = expected.copy()
    received[2, 0, 3] = 0.5
    difference = compare_arrays(expected, received, LOOSE)
    assert "1 of 60 values differ" in difference.message
    assert "[2, 0, 3]: expected 0, received 0.5" in difference.message
    assert difference.worst == 0.5


def test_the_worst_is_the_one_most_out_of_tolerance_not_the_largest_distance():
    expected, received = floats(1e6, 1.0), floats(1e6 + 50, 1.01)  # 50 is within 1e-4 of a million
    difference = compare_arrays(expected, received, LOOSE)
    assert "1 of 2 values differ; worst at [1]" in difference.message
    assert difference.worst == 50.0


@pytest.mark.parametrize(("off", "agrees"), [(0.9e-4, True), (1.1e-4, False)])
def test_absolute_part(off, agrees):
    assert (compare_arrays(floats(0.0), floats(off), Tolerance(1e-4, 0.0)).message == "") is agrees


@pytest.mark.parametrize(("off", "agrees"), [(0.9, True), (1.1, False)])
def test_relative_part_is_of_the_expected_value(off, agrees):
    assert (compare_arrays(floats(-1e4), floats(-1e4 + off), Tolerance(0.0, 1e-4)).message == "") is agrees


def test_tolerated_differences_are_still_measured():
    assert compare_arrays(floats(1.0), floats(1.0 + 2**-20), LOOSE).worst == pytest.approx(2**-20)


@pytest.mark.parametrize(
    ("expected", "received"),
    [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, np.inf), (np.inf, -np.inf), (np.inf, np.nan)],
)
def test_not_finite_against_something_else_is_wrong_whatever_is_tolerated(expected, received):
    difference = compare_arrays(floats(expected, 0), floats(received, 0), Tolerance(1e9, 1e9))
    assert "worst at [0]" in difference.message
    assert difference.worst is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_agrees_with_itself(value):
    assert compare_arrays(floats(value, 1), floats(value, 1), EXACT).message == ""


def test_shape_and_type_must_be_the_same():
    assert "expected [2], received [2, 1]" in compare_arrays(floats(1, 2), floats([1], [2]), LOOSE).message
    wrong = compare_arrays(floats(1), floats(1, dtype=np.float64), LOOSE)
    assert "expected float32, received float64" in wrong.message


def test_integers_are_exact_even_where_floats_could_not_tell_them_apart():
    expected, received = np.array([2**62], np.int64), np.array([2**62 + 1], np.int64)
    difference = compare_arrays(expected, received, LOOSE)
    assert str(2**62 + 1) in difference.message
    assert difference.worst == 1.0


def test_unsigned_integers_do_not_wrap_around():
    assert compare_arrays(np.array([0], np.uint8), np.array([255], np.uint8), LOOSE).worst == 255.0


def test_strings_are_exact_and_long_ones_are_shown_short():
    expected = np.array([b"a", b"b" * 1000], dtype=object)
    difference = compare_arrays(expected, np.array([b"a", b"c"], dtype=object), LOOSE)
    assert "first at [1]" in difference.message
    assert len(difference.message) < 300
    assert compare_arrays(expected, expected.copy(), LOOSE).message == ""


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float16])
def test_short_floats_have_a_tolerance(dtype):
    assert (
        compare_arrays(floats(1.0, dtype=dtype), floats(1.25, dtype=dtype), Tolerance(0.3, 0)).message == ""
    )
    assert compare_arrays(floats(1.0, dtype=dtype), floats(1.5, dtype=dtype), Tolerance(0.3, 0)).message


def test_complex_values_are_compared_in_both_parts():
    assert compare_arrays(np.array([1 + 1j]), np.array([1 - 1j]), LOOSE).worst == pytest.approx(2.0)


def test_nothing_agrees_with_nothing():
    assert compare_arrays(np.zeros((0, 3)), np.zeros((0, 3)), EXACT).message == ""


def test_counts_what_is_not_finite():
    assert count_not_finite(np.array([[0, 1], [np.inf, np.nan]])) == (1, 1, (1, 0))
    assert count_not_finite(np.array([1, 2])) == (0, 0, ())


def test_one_wrong_element_of_ten_million_is_found_and_located():
    expected = np.linspace(-1, 1, 10_000_000, dtype=np.float32).reshape(100, 100_000)
    received = expected.copy()
    assert compare_arrays(expected, received, LOOSE).message == ""
    received[63, 54_321] += 0.001
    message = compare_arrays(expected, received, LOOSE).message
    assert "1 of 10000000 values differ; worst at [63, 54321]" in message


def test_one_wrong_integer_of_ten_million_is_found_and_located():
    expected = np.arange(10_000_000, dtype=np.int64)
    received = expected.copy()
    received[9_999_999] += 1
    message = compare_arrays(expected, received, LOOSE).message
    assert "1 of 10000000 values differ; first at [9999999]: expected 9999999, received 10000000" in message
