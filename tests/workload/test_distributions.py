"""Laws of one length, by formulas that do not enumerate them as the code does."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.workload import Lengths, independent, parse_lengths


def moments(law: Lengths) -> tuple[float, float]:
    mean = float(law.values @ law.probability)
    return mean, float((law.values - mean) ** 2 @ law.probability)


def sums_to_one(law: Lengths) -> None:
    assert law.probability.sum() == pytest.approx(1, abs=1e-12)
    assert (law.probability > 0).all()
    assert (np.diff(law.values) > 0).all()


@pytest.mark.parametrize("mean", [1.5, 2.0, 10.0, 211.0, 8000.0])
def test_geometric_moments(mean: float) -> None:
    # Success probability s = 1 / mean on 1, 2, …: variance (1 − s) / s².
    law = Lengths.geometric(mean)
    sums_to_one(law)
    s = 1 / mean
    assert law.mean == moments(law)[0] == pytest.approx(mean, rel=1e-6)
    assert moments(law)[1] == pytest.approx((1 - s) / s**2, rel=1e-5)
    assert law.probability[0] == pytest.approx(s)


@settings(deadline=None, max_examples=50)
@given(st.floats(1.1, 500), st.integers(1, 400))
def test_a_capped_geometric_has_its_tail_at_the_cap(mean: float, cap: int) -> None:
    # P(N ≥ cap) = q^(cap − 1); E[min(N, cap)] = Σ_{n < cap} q^n = (1 − q^cap) / (1 − q).
    law = Lengths.geometric(mean, max_tokens=cap)
    sums_to_one(law)
    q = 1 - 1 / mean
    assert law.values[-1] == cap or q ** (cap - 1) < 1e-300
    if law.values[-1] == cap:
        assert law.probability[-1] == pytest.approx(q ** (cap - 1), rel=1e-6)
    assert law.mean == pytest.approx((1 - q**cap) / (1 - q), rel=1e-9)


@pytest.mark.parametrize(("median", "sigma"), [(100, 0.5), (200, 1.0), (37.5, 0.8)])
def test_lognormal_quantiles_and_moments(median: float, sigma: float) -> None:
    law = Lengths.lognormal(median, sigma)
    sums_to_one(law)
    below = np.cumsum(law.probability)
    normal = NormalDist(math.log(median), sigma)
    for n in (1, 10, int(median), int(3 * median)):
        at = below[np.searchsorted(law.values, n, side="right") - 1] if n >= law.values[0] else 0
        assert at == pytest.approx(normal.cdf(math.log(n)), abs=1e-9)
    # Rounding up adds half a token on average; the cut tail is beyond six sigmas.
    mean = median * math.exp(sigma**2 / 2)
    assert law.mean == pytest.approx(mean + 0.5, rel=1e-3)
    variance = mean**2 * math.expm1(sigma**2)
    assert moments(law)[1] == pytest.approx(variance, rel=5e-3)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 2000), st.floats(0.05, 3), st.integers(1, 500))
def test_a_capped_lognormal_has_its_tail_at_the_cap(median: float, sigma: float, cap: int) -> None:
    law = Lengths.lognormal(median, sigma, max_tokens=cap)
    sums_to_one(law)
    beyond = NormalDist(math.log(median), sigma)
    tail = 1 - beyond.cdf(math.log(cap - 1)) if cap > 1 else 1.0
    atom = law.probability[law.values == cap].sum()
    assert atom == pytest.approx(tail, abs=1e-9)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 6), (50, 70), (0, 9), (1, 32_768)])
def test_uniform_moments(low: int, high: int) -> None:
    law = Lengths.uniform(low, high)
    sums_to_one(law)
    n = high - low + 1
    assert (law.values[0], law.values[-1], law.values.size) == (low, high, n)
    assert law.mean == pytest.approx((low + high) / 2)
    assert moments(law)[1] == pytest.approx((n**2 - 1) / 12)


def test_tables_take_weights_in_any_unit() -> None:
    law = Lengths.table({9: 30, 3: 10, 5: 0})
    assert law.values.tolist() == [3, 9]
    assert law.probability.tolist() == [0.25, 0.75]
    assert law.mean == 7.5


def test_fixed_lengths() -> None:
    law = Lengths.fixed(12)
    assert (law.values.tolist(), law.probability.tolist(), law.mean) == ([12], [1.0], 12.0)


def test_a_product_has_independent_lengths() -> None:
    load = independent(Lengths.table({2: 1, 5: 3}), Lengths.uniform(1, 4))
    joint = {
        (l0, l1): p
        for l0, l1, p in zip(load.prompt.tolist(), load.output.tolist(), load.share, strict=True)
    }
    assert len(joint) == 8
    for (l0, _), p in joint.items():
        assert p == pytest.approx({2: 0.25, 5: 0.75}[l0] / 4, rel=1e-12)
    assert load.random


def test_a_product_of_two_fixed_lengths_is_not_random() -> None:
    assert not independent(Lengths.fixed(3), Lengths.fixed(4)).random


def test_a_cap_on_a_product_is_the_cap_on_its_outputs() -> None:
    capped = independent(Lengths.fixed(7), Lengths.geometric(40), max_tokens=64)
    direct = independent(Lengths.fixed(7), Lengths.geometric(40, max_tokens=64))
    np.testing.assert_allclose(capped.survival, direct.survival, rtol=1e-9)


def test_merging_prompts_keeps_their_mean() -> None:
    law = Lengths.lognormal(1000, 1.0)
    merged = law.merged(32)
    sums_to_one(merged)
    assert merged.values.size <= 32
    assert merged.mean == pytest.approx(law.mean, abs=0.5)  # each is rounded to a whole token
    few = Lengths.table({1: 1, 2: 1})
    assert few.merged(32) is few
    load = independent(law, Lengths.fixed(10))
    assert len(load) <= 32
    assert load.mean_prompt == pytest.approx(law.mean, abs=0.5)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("128", [128]),
        ("fixed:128", [128]),
        ("uniform:3-5", [3, 4, 5]),
        ("table:3=1,9=2", [3, 9]),
    ],
)
def test_laws_are_read_from_the_command_line(text: str, values: list[int]) -> None:
    assert parse_lengths(text, "output").values.tolist() == values


def test_real_parameters_are_read_from_the_command_line() -> None:
    assert parse_lengths("geometric:40.5", "output").mean == pytest.approx(40.5, rel=1e-6)
    assert parse_lengths("lognormal:100,0.5", "o").mean == pytest.approx(
        100 * math.exp(0.125) + 0.5, rel=1e-3
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "abc", ":5", "fixed:", "fixed:1.5", "fixed:-1", "uniform:5", "uniform:5-3"),
        *("uniform:1-2-3", "geometric:", "geometric:nan", "geometric:1", "geometric:inf"),
        *("lognormal:5", "lognormal:5,x", "lognormal:0,1", "lognormal:5,0", "table:", "table:1"),
        *("table:1=nan", "table:1=-1", "table:1=0", "poisson:4", "fixed:99999999999999999999"),
        "table:1=2,1=3",  # which of the two weights was meant?
    ],
)
def test_texts_that_are_no_law_are_refused_with_their_field(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_lengths(text, "output")
    assert caught.value.field == "output"


@pytest.mark.parametrize("tokens", [1.5, True, "5", math.nan, -1, 2**24 + 1])
def test_fixed_lengths_that_are_no_whole_number_are_refused(tokens: object) -> None:
    with pytest.raises(InputError):
        Lengths.fixed(tokens)


@pytest.mark.parametrize(("low", "high"), [(5, 3), (1.2, 3.7), (-1, 3), (1, 2**24 + 1)])
def test_uniform_ends_that_cannot_be_are_refused(low: float, high: float) -> None:
    with pytest.raises(InputError):
        Lengths.uniform(low, high)


@pytest.mark.parametrize("mean", [1.0, 0.5, -1, math.nan, math.inf, 1e6, "5"])
def test_geometric_means_that_cannot_be_are_refused(mean: object) -> None:
    with pytest.raises(InputError):
        Lengths.geometric(mean)


@pytest.mark.parametrize(
    ("median", "sigma"),
    [(0, 1), (-1, 1), (math.nan, 1), (100, 0), (100, -1), (100, math.inf), (1e308, 1), (100, 50)],
)
def test_lognormal_parameters_that_cannot_be_are_refused(median: float, sigma: float) -> None:
    with pytest.raises(InputError):
        Lengths.lognormal(median, sigma)


@pytest.mark.parametrize("cap", [0, -3, 2.5, True])
def test_caps_that_cannot_be_are_refused(cap: object) -> None:
    with pytest.raises(InputError):
        Lengths.geometric(5, max_tokens=cap)
    with pytest.raises(InputError):
        Lengths.lognormal(5, 1, max_tokens=cap)


@pytest.mark.parametrize(
    "weights",
    [{}, {1: 0}, {1: math.nan}, {1: math.inf}, {1: -1, 2: 2}, {-1: 1}, {"1": 1}, {1: "x"},
     {1.5: 1, 1.2: 1}],
    ids=str,
)  # fmt: skip
def test_tables_that_cannot_be_are_refused(weights: dict[int, float]) -> None:
    with pytest.raises(InputError):
        Lengths.table(weights)


def test_table_weights_may_be_huge_alike() -> None:
    assert Lengths.table({1: 1e308, 2: 1e308}).probability.tolist() == [0.5, 0.5]


def test_outputs_of_no_token_are_refused() -> None:
    with pytest.raises(InputError):
        independent(Lengths.fixed(5), Lengths.table({0: 1, 3: 1}))
