"""Isolated roots, the enclosed spectral radius and the winding of balls."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.theory import spectrum
from kvsteady.theory.certify import Proven, certified_radius, certify_weights, circle, isolate_roots
from kvsteady.theory.certify.evaluate import Evaluator, on_grid
from kvsteady.theory.certify.winding import BallCount, zeros_inside
from kvsteady.workload import Workload
from reference.systems import workloads
from reference.unit_circle import roots_about_the_circle

flint = pytest.importorskip("flint")

weight_lists = st.tuples(
    st.integers(1, 9), st.lists(st.integers(0, 9), max_size=8), st.integers(1, 9)
).map(lambda parts: [parts[0], *parts[1], parts[2]])


def expanded(factors: list[list[int]]) -> list[int]:
    product = np.array([1], dtype=object)
    for factor in factors:
        product = np.convolve(product, np.array(factor, dtype=object))
    return product.tolist()


@settings(deadline=None, max_examples=80)
@given(weight_lists)
def test_discs_hold_the_roots_and_sides_are_sturms(weights: list[int]) -> None:
    found = isolate_roots(weights)
    assert found.multiplicities.sum() == len(weights) - 1
    sides = (found.roots_outside, found.roots_on_circle, found.roots_inside)
    assert sides == roots_about_the_circle(weights)
    # Vieta: the roots sum to −w_1 / w_0 and multiply to ± w_{L−1} / w_0.
    assert (found.midpoints * found.multiplicities).sum() == pytest.approx(
        -weights[1] / weights[0], abs=1e-9
    )
    product = np.prod(found.midpoints**found.multiplicities)
    assert abs(product) == pytest.approx(weights[-1] / weights[0], rel=1e-9)
    assert (np.diff(np.abs(found.midpoints)) <= 1e-12).all()
    assert (found.radii < 1e-12).all()


def test_discs_hold_roots_that_are_known_exactly() -> None:
    # (z + 2)(2 z + 1)(z + 1)²(3 z² + 1)
    found = isolate_roots(expanded([[1, 2], [2, 1], [1, 1], [1, 1], [3, 0, 1]]))
    known = [(-2, 1, 1), (-1, 2, 0), (1j / math.sqrt(3), 1, -1), (-1j / math.sqrt(3), 1, -1)]
    known.append((-0.5, 1, -1))
    assert len(found.midpoints) == len(known)
    for root, times, side in known:
        (place,) = np.flatnonzero(np.abs(found.midpoints - root) <= found.radii + 1e-15)
        assert (found.multiplicities[place], found.sides[place]) == (times, side)


def test_a_root_beside_the_circle_is_placed_and_one_on_it_too() -> None:
    # (10^30 z + 10^30 + 1)(z² + 1)
    found = isolate_roots(expanded([[10**30, 10**30 + 1], [1, 0, 1]]))
    assert found.sides[found.midpoints.real < -0.5].tolist() == [1]
    assert found.sides.tolist().count(0) == 2


def test_isolated_roots_of_tiers_count_as_the_certificate_does() -> None:
    # numpy.roots is right to about 1e-9 here, and no root is closer to the circle.
    load = Workload.classes([(256, 31), (256, 63), (256, 127)])
    found = isolate_roots(load)
    roots = np.roots(load.memory_weights())
    assert found.roots_outside == (np.abs(roots) > 1).sum()
    assert np.abs(roots[:, None] - found.midpoints).min(axis=1).max() < 1e-9


@settings(deadline=None, max_examples=60)
@given(weight_lists)
def test_the_radius_encloses_the_largest_isolated_root(weights: list[int]) -> None:
    low, high = certified_radius(weights)
    found = isolate_roots(weights)
    sizes = np.abs(found.midpoints)
    assert low <= (sizes + found.radii).max() * (1 + 1e-15)
    assert high >= (sizes - found.radii).max() * (1 - 1e-15)
    assert high <= low * (1 + 1e-7)


@settings(deadline=None, max_examples=40)
@given(workloads(most_output=80))
def test_certified_and_float_radius_agree(load: Workload) -> None:
    low, high = certified_radius(load)
    floats = spectrum(load)
    assert low <= floats.radius_high
    assert floats.radius_low <= high


@pytest.mark.parametrize(
    ("weights", "radius"),
    [
        ([1], 0),
        ([3, 4], Fraction(4, 3)),
        ([1, 0, 0, 8], 2),
        ([1, 4, 6, 4, 1], 1),
        ([1] * 16, 1),
        (expanded([[1, 2], [1, 2], [1, 1, 1]]), 2),
        ([10**40, 10**40 + 1], Fraction(10**40 + 1, 10**40)),
    ],
)
def test_radii_that_are_known_exactly(weights: list[int], radius: Fraction) -> None:
    low, high = certified_radius(weights)
    assert Fraction(low) <= radius <= Fraction(high)
    narrow = certified_radius(weights, width=1e-11)
    assert Fraction(narrow[0]) <= radius <= Fraction(narrow[1])
    assert narrow[1] <= narrow[0] * (1 + 1e-11)


def test_the_radius_in_blocks_is_that_of_the_block_weights() -> None:
    # Prompt 0, output 4, blocks of 2: w = 2, 2, 4, 4 = (1 + z)(2 z² + 4): |z| = √2.
    low, high = certified_radius(Workload.fixed(0, 4), block_size=2)
    assert low <= math.sqrt(2) <= high
    found = isolate_roots(Workload.fixed(0, 4), block_size=2)
    assert (found.roots_outside, found.roots_on_circle) == (2, 1)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(-9, 9), min_size=2, max_size=40),
    st.sampled_from([[1, -1], [1], [1, 1, 1], [1, 0, -1]]),
)
def test_the_winding_of_balls_counts_zeros_of_any_real_polynomial(
    terms: list[int], beside: list[int]
) -> None:
    terms[-1] = terms[-1] or 1
    sizes = np.abs(np.roots(terms[::-1]))
    if (np.abs(sizes - 1) < 1e-3).any():
        terms[0] = 1 + sum(abs(t) for t in terms)  # then no zero inside, by its size
        sizes = np.abs(np.roots(terms[::-1]))
    count = zeros_inside(lambda: [flint.arb(t) for t in terms], beside=beside)
    assert count.inside == (sizes < 1).sum()


def test_a_zero_on_the_circle_is_never_counted() -> None:
    # 1 + u² has ± i; the halvings run out, or the bits do, and nothing is claimed.
    count = zeros_inside(lambda: [flint.arb(t) for t in (1, 0, 1)], most_bits=256)
    assert (count.inside, count.bits) == (None, 256)


def test_a_count_that_runs_out_of_means_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circle, "zeros_inside", lambda *_, **__: BallCount(None, 4096, 9))
    # Without a shared divisor; with one only, 2 z² + 5 z + 2; with (z + 1) and a cofactor.
    for weights in ([5, 2, 7, 1, 3], [2, 5, 2], [3, 1, 5, 7]):
        found = certify_weights(weights)
        assert found.outcome is Proven.UNDECIDED
        assert not found.decided
        assert not found.stable
        assert (found.roots_outside, found.roots_on_circle, found.roots_inside) == (None,) * 3
        assert found.degree == len(weights) - 1


def test_values_on_the_circle_hold_the_exact_ones() -> None:
    # At u = i, exactly: powers go round 1, i, −1, −i.
    terms = [(7 * m) % 11 - 5 for m in range(70)]
    exact = complex(sum(terms[::4]) - sum(terms[2::4]), sum(terms[1::4]) - sum(terms[3::4]))
    with flint.ctx.workprec(128):
        balls = [flint.arb(t) for t in terms]
        grid = on_grid(flint, balls, 0, 7)
        (value,) = Evaluator(flint, balls).at([flint.acb(0, 1)])
        assert len(grid) == 129
        for ball in (grid[64], value):
            assert ball.contains(flint.acb(exact.real, exact.imag))
            assert ball.rad() < 1e-30
        # Turned back by u^3 at u = i: times i^(−3) = i.
        turned = on_grid(flint, balls, 3, 7)[64]
        assert turned.contains(flint.acb(-exact.imag, exact.real))


def test_too_many_roots_odd_bits_and_widths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"1,025 roots .*at most 1,024"):
        isolate_roots(list(range(1, 1027)))
    with pytest.raises(InputError, match="field 'bits'"):
        isolate_roots([1, 2], bits=2)
    for width in (0, -1, 1e-15, math.nan):
        with pytest.raises(InputError, match="field 'width'"):
            certified_radius([1, 2], width=width)
    with pytest.raises(InputError, match="field 'block_size'"):
        certified_radius([1, 2], block_size=16)
    monkeypatch.setitem(sys.modules, "flint", None)
    for missing in (isolate_roots, certified_radius):
        with pytest.raises(MissingExtraError, match="kvsteady"):
            missing([1, 2])


def test_roots_beyond_all_doubles_are_refused() -> None:
    for weights in ([1, 10**400], [10**400, 1]):
        with pytest.raises(InputError, match="may be no double"):
            certified_radius(weights)
    with pytest.raises(InputError, match="beyond all doubles"):
        isolate_roots([1, 5, 10**700])
    assert certify_weights([1, 5, 10**700]).roots_outside == 2


def test_a_certificate_does_not_change_the_working_precision() -> None:
    before = flint.ctx.prec
    certify_weights([5, 2, 7, 1, 3])
    certified_radius([5, 2, 7, 1, 3])
    isolate_roots([5, 2, 7, 1, 3])
    assert flint.ctx.prec == before
