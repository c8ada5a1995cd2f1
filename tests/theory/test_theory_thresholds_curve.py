"""The curve of crossing prompts: its values, their rounding, and the bounds over whole arcs."""

from __future__ import annotations

import math

import flint
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.theory.thresholds.arcs import bounds, crossing_value
from kvsteady.theory.thresholds.cleared import Cleared
from kvsteady.theory.thresholds.curve import BallEvaluator, Curve, FloatEvaluator, turned
from kvsteady.theory.thresholds.exact import crosses_exactly
from kvsteady.workload import Workload
from reference.systems import workloads

LEVELS = st.integers(6, 24)


def polynomial(load: Workload, shift: float) -> np.ndarray:
    """Weights per request at prompts moved so that the shortest has ``shift`` tokens."""
    moved = shift - load.prompt.min()
    return load.memory_weights() + moved * load.survival


@given(workloads(), st.integers(0, 1000))
def test_whole_weights_are_those_of_section_3(load: Workload, shift: int) -> None:
    curve = Curve.of(load)
    expected = polynomial(load, shift) * int(load.tickets.sum())
    np.testing.assert_allclose(np.array(curve.weights(shift), dtype=float), expected, rtol=1e-12)


@settings(deadline=None)
@given(workloads(), st.floats(0.01, 3.14), st.floats(0, 500))
def test_the_two_sums_are_the_survival_polynomial(load: Workload, angle: float, s: float) -> None:
    # (1 − u) Σ w_m u^m = (s (1 − u) + 1) / (1 − u) · D − N, with w straight from section 3.
    u = np.exp(1j * angle)
    curve = Curve.of(load)
    total = int(load.tickets.sum())
    power = u ** curve.output.astype(float)
    gone = np.array(curve.tickets, dtype=float) @ (1 - power) / total
    lifted = (np.array(curve.lift, dtype=float) @ power - sum(curve.extra)) / total
    weights = polynomial(load, s)
    direct = (1 - u) * np.polynomial.polynomial.polyval(u, weights)
    assert (s + 1 / (1 - u)) * gone - lifted == pytest.approx(direct, abs=1e-9 * weights.sum())


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=300), LEVELS, st.data())
def test_floats_differ_from_balls_by_less_than_they_say(
    load: Workload, level: int, data: st.DataObject
) -> None:
    curve = Curve.of(load)
    place = data.draw(st.integers(1, (1 << level) - 1))
    floats = FloatEvaluator(curve).at(np.array([place]), level)
    with flint.ctx.workprec(200):
        balls = BallEvaluator(flint, curve).at(place, level)
        names = ("lifted", "lifted_slope", "gone", "gone_slope")
        for name, rounding in zip(names, floats.rounding, strict=True):
            near = complex(getattr(floats, name)[0])
            assert abs(getattr(balls, name) - near) < rounding
        angle = flint.arb.pi() * place / (2 << level)
        exact, _ = crossing_value(balls, angle.sin(), angle.cos())
        half = np.array([np.pi * place / (2 << level)])
        value, lost = crossing_value(floats, np.sin(half), np.cos(half))
        assert abs(exact - float(value[0])) < float(lost[0])


@settings(deadline=None, max_examples=100)
@given(workloads(most_output=40), st.integers(5, 12), st.data())
def test_bounds_hold_all_over_an_arc(load: Workload, level: int, data: st.DataObject) -> None:
    # E and s at many points of the arc, straight from the survival polynomial's two parts.
    assume(load.longest_output > 1)
    place = data.draw(st.integers(1, (1 << level) - 1))
    curve = Curve.of(load)
    evaluator = FloatEvaluator(curve)
    middle = np.array([2 * place + 1])
    angle = middle * np.pi / (4 << level)
    half = np.pi / (2 << level)
    with np.errstate(divide="ignore", invalid="ignore"):
        arc = bounds(
            evaluator.at(middle, level + 1), evaluator.second, np.sin(angle), np.cos(angle), half
        )
    theta = np.linspace(2 * angle[0] - half, 2 * angle[0] + half, 101)
    u = np.exp(1j * theta)
    A = np.polynomial.polynomial.polyval(u, load.survival)
    B = np.polynomial.polynomial.polyval(u, polynomial(load, 0))
    # (1 − u) A = D and (1 − u) B = D / (1 − u) − N.
    D = (1 - u) * A
    N = A - (1 - u) * B
    E = np.sin(theta / 2) * (N * D.conj()).imag - np.cos(theta / 2) * np.abs(D) ** 2 / 2
    if arc.clear[0] > 0:
        assert np.abs(E).min() >= arc.clear[0] * (1 - 1e-9)
        # No crossing: B / A is nowhere real and negative.
        q = B / A
        assert (np.sign(q.imag) == np.sign(q.imag[0])).all()
    if arc.away[0] > 0:
        assert np.abs(D).min() >= arc.away[0] * (1 - 1e-9)
        s = (N / D).real - 0.5
        assert np.abs(s - arc.middle[0]).max() <= arc.reach[0] * (1 + 1e-9)


@settings(deadline=None, max_examples=100)
@given(workloads(most_output=30), st.integers(1, 4), st.floats(0, 1000), st.data())
def test_no_root_reaches_a_cleared_stretch(
    load: Workload, divisor: int, s: float, data: st.DataObject
) -> None:
    multiple = Workload.from_counts(load.prompt, load.output * divisor, load.tickets)
    assume(multiple.longest_output > 1)
    cleared = Cleared.of(Curve.of(multiple))
    weights = polynomial(multiple, s)
    least = cleared.first * np.linspace(0, 1, 50)
    stretches = [least]
    if cleared.divisor > 1:
        k = data.draw(st.integers(1, cleared.divisor - 1))
        near = cleared.near * np.linspace(-1, 1, 51)
        stretches.append(2 * k / cleared.divisor + near)
        assert cleared.covers(2 * k / cleared.divisor, 2 * k / cleared.divisor)
    for turn in stretches:
        u = np.exp(1j * np.pi * turn)
        value = np.polynomial.polynomial.polyval(u, weights)
        assert np.abs(value).min() > 1e-9 * weights.max()
    if cleared.divisor > 1:
        # At a g-th root of unity itself: −μ / (1 − ζ), whatever the prompts.
        zeta = np.exp(2j * np.pi * k / cleared.divisor)
        value = np.polynomial.polynomial.polyval(zeta, weights)
        assert value == pytest.approx(-multiple.mean_output / (1 - zeta), abs=1e-9 * weights.sum())


@settings(deadline=None)
@given(st.integers(2, 50), st.data())
def test_sines_and_cosines_are_as_near_as_they_say(level: int, data: st.DataObject) -> None:
    anywhere = st.integers(0, (2 << level) - 1)
    place = data.draw(anywhere | st.integers(0, 7).map(lambda k: k << (level - 2)))
    cosine, sine = turned(np.array([place]), level)
    with flint.ctx.workprec(200):
        exact = (flint.acb(place) / (1 << level)).exp_pi_i()
        assert abs(exact.real - float(cosine[0])) < 4 * 2.0**-52
        assert abs(exact.imag - float(sine[0])) < 4 * 2.0**-52


@settings(deadline=None)
@given(workloads())
def test_a_crossing_at_a_quarter_turn_is_told_exactly(load: Workload) -> None:
    # F = s A + B vanishes at u = i for a real s just if B conj(A) is real: Gaussian integers.
    assume(math.gcd(*load.output.tolist()) % 4)  # else A = 0
    powers = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    a, b = [0, 0], [0, 0]
    rows = zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True)
    for prompt, output, tickets in rows:
        for m in range(output):
            for part in (0, 1):
                a[part] += tickets * powers[m % 4][part]
                b[part] += tickets * (prompt + m + 1) * powers[m % 4][part]
    real = b[1] * a[0] == b[0] * a[1]
    for level in (1, 5):
        assert crosses_exactly(flint, Curve.of(load), 1 << (level - 1), level) is real


def test_a_crossing_at_an_eighth_of_a_turn_is_told_exactly() -> None:
    # Shares solved for by linear algebra over Φ_8; one ticket more moves the crossing.
    rows = [(4680, 11, 17_298), (862, 5, 81_144_918), (1912, 10, 42_228)]
    rows += [(458, 1, 153_450_650), (4019, 8, 17_567_815_221)]
    for extra in (0, 1):
        prompt, output, tickets = zip(*rows, strict=True)
        curve = Curve.of(Workload.from_counts(prompt, output, [tickets[0] + extra, *tickets[1:]]))
        found = [crosses_exactly(flint, curve, place, 2) for place in (1, 2, 3)]
        assert found == [not extra, False, not extra]
