"""The kernel of iteration times against the same formula in plain words."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.simulate.times import LinearTime, iteration_seconds, rows_form, sampled

COEFFICIENT = st.floats(0.0, 10.0)
ROW = st.tuples(*[COEFFICIENT] * 6)
TOKENS = st.integers(0, 5000)
AXIS = st.lists(st.integers(0, 3000), min_size=1, max_size=5, unique=True).map(sorted)


def line(axis: list[int], values: np.ndarray, at: float) -> np.ndarray:
    """Values along the first axis: linear between neighbours, the end pieces go on for ever."""
    if len(axis) == 1:
        return values[0]
    i = min(max(np.searchsorted(axis, at, side="right") - 1, 0), len(axis) - 2)
    slope = (values[i + 1] - values[i]) / (axis[i + 1] - axis[i])
    return values[i] + slope * (at - axis[i])


@settings(deadline=None)
@given(
    st.lists(st.lists(ROW, min_size=1, max_size=3), min_size=1, max_size=3),
    TOKENS,
    TOKENS,
    TOKENS,
    TOKENS,
)
def test_rows_are_a_sum_of_maxima(groups, prefill, decode, kv, pairs) -> None:
    features = (1, int(prefill > 0), prefill, decode, kv, pairs)
    expected = sum(
        max(sum(c * x for c, x in zip(row, features, strict=True)) for row in group)
        for group in groups
    )
    found = iteration_seconds(
        rows_form(*groups), float(prefill > 0), prefill, decode, float(kv), float(pairs)
    )
    assert found == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(AXIS, AXIS, AXIS, st.integers(0, 2**32 - 1), TOKENS, TOKENS, TOKENS)
def test_a_table_is_interpolated_in_each_axis(a, b, c, seed, prefill, decode, kv) -> None:
    values = np.random.default_rng(seed).random((len(a), len(b), len(c)))
    rows = {(x, y, z): values[i, j, k] for i, x in enumerate(a) for j, y in enumerate(b)
            for k, z in enumerate(c)}  # fmt: skip
    table = sampled(lambda x, y, z: rows[x, y, z], prefill=a, decode=b, kv=c)
    expected = line(c, line(b, line(a, values, prefill), decode), kv)
    found = iteration_seconds(table.form(), 1.0, float(prefill), float(decode), float(kv), 0.0)
    assert found == pytest.approx(max(float(expected), 0.0), rel=1e-9, abs=1e-9)


def test_sampling_a_product_is_exact_everywhere() -> None:
    # x, y and z enter linearly: so does every trilinear interpolation.
    def function(x: float, y: float, z: float) -> float:
        return 1e-3 + 2e-5 * x + 3e-6 * y * z

    form = sampled(function, prefill=[0, 10, 4000], decode=[0, 1, 64], kv=[0, 1e6]).form()
    for x, y, z in [(0, 0, 0), (7, 13, 1e5), (4000, 64, 1e6), (8000, 100, 3e6)]:
        found = iteration_seconds(form, 1.0, float(x), float(y), float(z), 0.0)
        assert found == pytest.approx(function(x, y, z), rel=1e-12)


@pytest.mark.parametrize("at", [0.0, 9.5, 10.0, 10.5, 19.0, 20.0, 20.5, 25.0])
def test_a_bend_stands_where_the_axis_says(at: float) -> None:
    form = sampled(
        lambda x, *_: abs(x - 10) + abs(x - 20), prefill=[0, 10, 20, 30], decode=[0], kv=[0]
    ).form()
    found = iteration_seconds(form, 1.0, at, 0.0, 0.0, 0.0)
    assert found == pytest.approx(abs(at - 10) + abs(at - 20))


def test_beyond_its_end_a_falling_table_stops_at_0() -> None:
    form = sampled(lambda x, *_: 2.0 - x, prefill=[0, 1], decode=[0, 1], kv=[0]).form()
    assert iteration_seconds(form, 1.0, 5.0, 0.0, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"prefill": [], "decode": [0], "kv": [0]}, "prefill"),
        ({"prefill": [0], "decode": [1, 1], "kv": [0]}, "decode"),
        ({"prefill": [0], "decode": [0], "kv": [-1.0, 2.0]}, "kv"),
        ({"prefill": [0], "decode": [0], "kv": [0, float("nan")]}, "kv"),
    ],
)
def test_axes_that_cannot_be(axes, field) -> None:
    with pytest.raises(InputError) as caught:
        sampled(lambda *_: 1.0, **axes)
    assert caught.value.field == field


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_function_that_returns_no_time(value: float) -> None:
    with pytest.raises(InputError, match=r"at \(0, 1, 2\)"):
        sampled(lambda *_: value, prefill=[0], decode=[1], kv=[2])


def test_one_point_is_the_same_everywhere() -> None:
    form = sampled(lambda *_: 0.25, prefill=[3], decode=[1], kv=[2]).form()
    assert iteration_seconds(form, 0.0, 0.0, 7.0, 9.0, 0.0) == 0.25


def test_linear_time() -> None:
    time = LinearTime(1.0, 2.0, 3.0, 4.0, has_prefill=5.0, prefill_pairs=6.0)
    assert (
        iteration_seconds(time.form(), 1.0, 10.0, 100.0, 1e3, 1e4) == 1 + 5 + 20 + 300 + 4e3 + 6e4
    )
    assert iteration_seconds(time.form(), 0.0, 0.0, 100.0, 1e3, 0.0) == 1 + 300 + 4e3


@pytest.mark.parametrize("bad", [-1e-9, float("nan"), float("inf"), True, "1"])
def test_linear_terms_that_cannot_be(bad) -> None:
    with pytest.raises(InputError) as caught:
        LinearTime(1.0, bad, 0.0, 0.0)
    assert caught.value.field == "prefill"
    with pytest.raises(InputError, match="no time would pass"):
        LinearTime(0.0, 0.0, 0.0, 0.0)


def test_a_kernel_can_call_it() -> None:
    @numba.njit
    def loop(form, n):
        total = 0.0
        for i in range(n):
            total += iteration_seconds(form, 1.0, float(i), 0.0, 0.0, 0.0)
        return total

    assert loop(LinearTime(0.0, 2.0, 0.0, 0.0).form(), 5) == 2.0 * (0 + 1 + 2 + 3 + 4)
