"""Asymptotic laws of the threshold against exact thresholds and counted roots."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.theory.thresholds import (
    asymptotic_threshold,
    near_divisor_prompt,
    prompt_threshold,
)
from kvsteady.workload import Lengths, Workload, independent


def tiers(outputs: Sequence[int], shares: Sequence[float] | None = None) -> Workload:
    if shares is None:
        return Workload.classes([(0, output) for output in outputs])
    return Workload.classes([(0, o, s) for o, s in zip(outputs, shares, strict=True)])


def uniform(low: int, high: int) -> Workload:
    return independent(Lengths.fixed(0), Lengths.uniform(low, high))


@pytest.mark.parametrize("share", [0.5, 0.2, 0.8, 0.05])
def test_the_cubic_constant_is_one_over_two_pi_squared_pq(share: float) -> None:
    # Theory, section 5: l0,min → l³ / (2π² p (1 − p)), (2/π²) l³ at p = 1/2. Exact thresholds,
    # a polynomial in 1/l fitted to the ratio, its value at 1/l = 0.
    lengths = np.array([32, 48, 64, 96, 128, 192, 256])
    laws = [tiers((longest - 1, longest), (share, 1 - share)) for longest in lengths.tolist()]
    least = [prompt_threshold(load).least for load in laws]
    ratio = np.array(least) / lengths.astype(float) ** 3
    constant = np.polynomial.Polynomial.fit(1 / lengths, ratio, 3).convert().coef[0]
    expected = 1 / (2 * math.pi**2 * share * (1 - share))
    assert constant == pytest.approx(expected, rel=2e-5)
    if share == 0.5:
        assert constant == pytest.approx(2 / math.pi**2, rel=2e-5)
    # At finite l it is μ³ with μ = l − p that grows, so the ratio is short by about 3p / l.
    short = (1 - ratio / expected) * lengths
    assert short[-1] == pytest.approx(3 * share, rel=0.02, abs=0.02)


@pytest.mark.parametrize(
    ("load", "within"),
    [
        (tiers((15, 16)), 1.1),
        (tiers((63, 64)), 1.02),
        (tiers((511, 512)), 1.01),
        (tiers((31, 32), (0.2, 0.8)), 1.1),
        (tiers((31, 32), (0.8, 0.2)), 1.1),
        (tiers((95, 96), (0.2, 0.8)), 1.02),
        (tiers((99, 100, 103), (0.3, 0.3, 0.4)), 1.3),
        (uniform(30, 34), 1.2),
        (uniform(100, 104), 1.1),
        (uniform(50, 70), 2.2),
    ],
)
def test_the_corrected_law_is_right_to_a_token_for_narrow_laws(
    load: Workload, within: float
) -> None:
    # The whole threshold exceeds the real crossing by up to 1; the rest is O(1 / μ).
    law = asymptotic_threshold(load)
    assert 0 <= prompt_threshold(load).least - law.corrected < within


@pytest.mark.parametrize(
    ("load", "leading", "least"), [(uniform(50, 70), 298, 258), (uniform(30, 34), 830, 807)]
)
def test_the_mean_variance_law_is_conservative(load: Workload, leading: int, least: int) -> None:
    # Theory, section 5.
    law = asymptotic_threshold(load)
    assert law.leading == pytest.approx(leading, abs=0.5)
    assert prompt_threshold(load).least == least
    mean, variance = load.mean_output, float(load.share @ (load.output - load.mean_output) ** 2)
    assert (law.mean, law.variance) == pytest.approx((mean, variance))


def test_each_mode_leaves_the_circle_at_the_prompt_it_needs() -> None:
    # Two roots less lie outside just above it than just below it.
    law = asymptotic_threshold(tiers((63, 64)))
    assert [mode.period for mode in law.modes[:3]] == pytest.approx([63.5, 31.75, 21.17], abs=0.01)
    for mode in law.modes[:8]:
        outside = []
        for prompt in (mode.prompt * 0.99, mode.prompt * 1.01):
            load = Workload.classes([(round(prompt), 63), (round(prompt), 64)])
            roots = np.roots(load.memory_weights())
            outside.append(int((np.abs(roots) > 1).sum()))
            # The root that crosses has the angle of the mode.
            nearest = np.abs(np.log(roots) - 1j * mode.angle).argmin()
            assert abs(np.abs(roots[nearest]) - 1) < 1e-4
        assert outside[0] - outside[1] == 2


@pytest.mark.parametrize(
    ("outputs", "divisor", "within"),
    [((127, 255, 509), 127, 1e-3), ((128, 255, 511), 128, 1e-3), ((63, 127, 255), 64, 2e-3)],
)
def test_near_common_divisors_set_the_threshold_of_tiers(
    outputs: tuple[int, ...], divisor: int, within: float
) -> None:
    load = tiers(outputs)
    law = asymptotic_threshold(load)
    least = prompt_threshold(load).least
    assert near_divisor_prompt(load, divisor) == pytest.approx(least, rel=within)
    assert law.prompt == pytest.approx(least, rel=within)
    assert law.modes[0].period == pytest.approx(divisor, rel=0.02)
    # The mean–variance law is about another mode and tells nothing of it.
    assert law.leading < least / 1000


def test_two_lengths_are_their_own_near_divisor() -> None:
    # l − 1 and l modulo l: the formula comes down to Proposition 4's with μ for l.
    load = tiers((31, 32), (0.2, 0.8))
    for k in (1, 2, 5):
        expected = 31.8**3 / (2 * math.pi**2 * k**2 * 0.16)
        assert near_divisor_prompt(load, 32, k) == pytest.approx(expected)


def test_common_divisors_need_an_endless_prompt() -> None:
    law = asymptotic_threshold(tiers((128, 256, 512)), modes=200)
    endless = sorted(mode.period for mode in law.modes if math.isinf(mode.prompt))
    # The 128th roots of unity, 1 aside, one of each conjugate pair.
    assert endless == pytest.approx(sorted(128 / k for k in range(1, 65)))
    assert law.prompt == math.inf
    assert near_divisor_prompt(tiers((128, 256, 512)), 64) == math.inf
    assert asymptotic_threshold(tiers((9,))).leading == math.inf


def test_one_token_needs_no_prompt() -> None:
    law = asymptotic_threshold(tiers((1,)))
    assert (law.prompt, law.modes, law.mean) == (0.0, (), 1.0)


def test_coprime_tiers_need_about_what_their_worst_mode_needs() -> None:
    for outputs in ((101, 239, 503), (121, 263, 499)):
        load = tiers(outputs)
        least = prompt_threshold(load).least
        assert asymptotic_threshold(load).prompt == pytest.approx(least, rel=0.01)


def test_impossible_questions_are_refused() -> None:
    load = tiers((15, 16))
    with pytest.raises(InputError, match="modes"):
        asymptotic_threshold(load, modes=0)
    with pytest.raises(InputError, match="divisor"):
        near_divisor_prompt(load, 17)
    with pytest.raises(InputError, match="harmonic"):
        near_divisor_prompt(load, 16, 9)
