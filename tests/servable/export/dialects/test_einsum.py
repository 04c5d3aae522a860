"""Einsum, said in transposes, sums and matrix products."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.tensorflow

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 1, "f": 3}


def _draw(labels, lead=(), dtype="float32", seed=0):
    """Makes an operand whose dimensions have the sizes of their labels, `lead` where the ellipsis is."""
    head, dots, tail = labels.partition("...")
    shape = [SIZES[x] for x in head] + list(lead if dots else ()) + [SIZES[x] for x in tail]
    values = np.random.default_rng(seed).integers(-4, 5, shape)
    return (values + 1j * values[::-1] if dtype.startswith("complex") else values).astype(dtype)


@pytest.mark.parametrize(
    ("equation", "leads"),
    [
        ("abc,cd->abd", [(), ()]),
        ("ab,bc->ca", [(), ()]),
        ("abcd,aecd->acbe", [(), ()]),
        ("acbe,aecd->abcd", [(), ()]),
        ("abcd,cdef->abef", [(), ()]),
        ("abc,abc->", [(), ()]),
        ("ab,ab->ab", [(), ()]),
        ("ab,cd->dacb", [(), ()]),
        ("abc,bd->d", [(), ()]),
        ("abc->ca", [()]),
        ("ab->", [()]),
        ("abc->cab", [()]),
        (",ab->ba", [(), ()]),
        ("...ab,bc->...ac", [(6, 2), ()]),
        ("...ab,bc->...ac", [(), ()]),
        ("ab...,b->a...", [(6, 2), ()]),
        ("a...b,b...c->...ca", [(6, 2), (6, 2)]),
        ("...ab,...bc->...ac", [(6, 1), (2,)]),
        ("...ab,...b->a...", [(1,), (7, 3)]),
        ("...a,...a->...", [(6, 2), (1, 2)]),
        ("...a,...->a...", [(6, 2), (1, 2)]),
        ("a...b->b...", [(6, 2)]),
        ("...ab->...ba", [(6, 2)]),
        ("a...,b...->ab", [(), ()]),
    ],
)
def test_equations_keep_their_meaning(agree, equation, leads):
    import tensorflow as tf

    terms = equation.partition("->")[0].split(",")
    feeds = [_draw(term, lead, seed=n) for n, (term, lead) in enumerate(zip(terms, leads, strict=True))]
    # The newer of both multiplies stacks of different shapes as they are.
    version = "1.14.0" if leads[0] == (1,) else "1.12.3"
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation=equation), *feeds, version=version)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "complex64"])
@pytest.mark.parametrize("equation", ["abc,cd->abd", "abcd,aecd->acbe", "...ab,...bc->...ac", "ab,ac->bca"])
def test_types(agree, equation, dtype):
    import tensorflow as tf

    feeds = [
        _draw(term, (2,), dtype, seed)
        for seed, term in enumerate(equation[: -len("->")].split("->")[0].split(","))
    ]
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation=equation), *feeds, rtol=1e-3)


@pytest.mark.parametrize("place", ["function", "loop"])
@pytest.mark.parametrize("equation", ["abcd,aecd->acbe", "...ab,...bc->...ac", "abc->cb"])
def test_in_functions_and_loops(agree, equation, place):
    import tensorflow as tf

    feeds = [_draw(term, (2,)) for term in equation.partition("->")[0].split(",")]
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation=equation), *feeds, place=place)


@pytest.mark.parametrize("shapes", [[(0, 3), (3, 2)], [(2, 0), (0, 3)], [(0, 0), (0, 0)]])
def test_empty_operands(agree, shapes):
    import tensorflow as tf

    feeds = [np.zeros(shape, "float32") for shape in shapes]
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation="ab,bc->ca"), *feeds)


def test_a_rank_that_is_not_known(agree):
    import tensorflow as tf

    feeds = [_draw("...ab", (6, 2)), _draw("bc")]
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation="...ab,bc->...ac"), *feeds, shapes=[None, None])


def test_int64_runs_where_matrices_of_int64_are_multiplied(agree):
    import tensorflow as tf

    feeds = [_draw("ab", dtype="int64"), _draw("bc", dtype="int64")]
    agree(lambda *x: tf.raw_ops.Einsum(inputs=x, equation="ab,bc->ca"), *feeds, version="1.14.0")


@st.composite
def _equations(draw):
    labels = st.lists(st.sampled_from("abcdf"), unique=True, max_size=4).map("".join)
    terms = draw(st.lists(labels, min_size=1, max_size=2))
    known = sorted(set("".join(terms)))
    wanted = draw(st.lists(st.sampled_from(known), unique=True, max_size=4)) if known else []
    return ",".join(terms) + "->" + "".join(wanted)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(equation=_equations())
def test_any_equation_agrees_with_numpy(agree, equation):
    import tensorflow as tf

    terms = equation.partition("->")[0].split(",")
    feeds = [_draw(term, seed=n) for n, term in enumerate(terms)]
    if equation.partition("->")[0] in ("", ","):
        feeds = [np.float32(3.0) for _ in terms]
    expected = np.einsum(equation, *feeds)

    def call(*x):
        return tf.raw_ops.Einsum(inputs=x, equation=equation) - tf.constant(expected)

    agree(call, *feeds)
