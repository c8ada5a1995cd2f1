"""Spectrum and root counts against companion matrices and published thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kvsteady.model import Cohorts, System, iterate
from kvsteady.theory import Monotone, Spectrum, Stability, count_roots_outside, spectrum
from kvsteady.theory.spectrum import monotone_weights, spectrum_of_weights
from kvsteady.workload import Lengths, Workload, independent
from reference.systems import workloads


def roots_of(weights: np.ndarray) -> np.ndarray:
    """All roots by the companion matrix, polished by Newton in the reversed variable too."""
    roots = np.roots(weights).astype(complex)
    slope = np.polyder(weights)
    for _ in range(3):
        change = np.polyval(weights, roots) / np.polyval(slope, roots)
        roots = np.where(np.abs(change) < 1e-6, roots - change, roots)
    return roots


def is_coherent(verdict: Spectrum) -> None:
    """What must hold between the fields whatever the law."""
    assert verdict.radius_low <= verdict.radius <= verdict.radius_high
    assert len(verdict.modes) == len(set(verdict.modes)) <= 64
    assert all(mode.imag >= 0 for mode in verdict.modes)
    sizes = np.abs(verdict.modes)
    assert (sizes[1:] <= sizes[:-1] * (1 + 1e-12)).all()
    if verdict.modes:
        assert sizes[0] == pytest.approx(verdict.radius, rel=1e-12)
    if verdict.outcome is Stability.UNDECIDED:
        assert verdict.roots_outside is None
        assert verdict.radius == pytest.approx(1, abs=1e-6)
        return
    assert (verdict.outcome is Stability.UNSTABLE) == (verdict.roots_outside > 0)
    assert 0 <= verdict.roots_outside <= verdict.degree
    if verdict.radius_low > 1:
        assert verdict.roots_outside > 0
    if verdict.radius_high < 1:
        assert verdict.roots_outside == 0
    assert (verdict.doubling < math.inf) == (verdict.radius > 1)
    assert (verdict.halving < math.inf) == (verdict.radius < 1)
    # Coefficients are positive, so no root is: whatever dominates turns.
    if verdict.degree:
        assert 2 <= verdict.dominant_period < math.inf


@settings(deadline=None, max_examples=150)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=61), st.floats(0.5, 2))
def test_root_counts_of_random_polynomials_are_the_companion_matrixs(
    weights: list[float], radius: float
) -> None:
    polynomial = np.array(weights)
    sizes = np.abs(np.roots(polynomial))
    assume(np.abs(sizes / radius - 1).min() > 1e-6)
    count = count_roots_outside(polynomial, radius)
    assert count.decided
    assert count.outside == (sizes > radius).sum()


@settings(deadline=None, max_examples=100)
@given(workloads(most_output=60))
@example(Workload.fixed(2, 2))  # 3 z + 4: the one root −4/3 turns by half a turn
@example(Workload.fixed(100_000, 5))
def test_the_spectrum_of_random_workloads_is_the_companion_matrixs(load: Workload) -> None:
    verdict = spectrum(load)
    weights = load.memory_weights()
    assert verdict.degree == weights.size - 1 == load.longest_output - 1
    if verdict.degree == 0:
        assert (verdict.roots_outside, verdict.radius, verdict.modes) == (0, 0.0, ())
        return
    roots = np.roots(weights)
    sizes = np.abs(roots)
    assume(np.abs(sizes - 1).min() > 1e-7)
    is_coherent(verdict)
    assert verdict.roots_outside == (sizes > 1).sum()
    assert verdict.radius == pytest.approx(sizes.max(), rel=1e-7)
    assert verdict.radius_low * (1 - 1e-8) <= sizes.max() <= verdict.radius_high * (1 + 1e-8)
    for mode in verdict.modes:
        assert np.abs(roots - mode).min() < 1e-5 * abs(mode)
    leading = roots[sizes > sizes.max() * (1 - 1e-7)]
    periods = 2 * np.pi / np.abs(np.angle(leading))
    assert np.abs(periods - verdict.dominant_period).min() < 1e-3 * verdict.dominant_period


LONG = {
    "one class": Workload.fixed(20, 300),
    "one class, no prompt": Workload.fixed(0, 257),
    "coprime tiers": Workload.classes([(256, 101), (256, 239), (256, 331)]),
    "common divisor": Workload.classes([(300, 64), (300, 128), (300, 256)]),
    "near-common divisor": Workload.classes([(4000, 63), (4000, 127), (4000, 255)]),
    "two far atoms": Workload.classes([(200, 1), (200, 300)]),
    "a rare long class": Workload.classes([(200, 20, 1 - 1e-6), (200, 300, 1e-6)]),
    "uniform": independent(Lengths.fixed(50), Lengths.uniform(1, 300)),
    "geometric, capped": independent(Lengths.fixed(20), Lengths.geometric(80, 256)),
    "log-normal, capped": independent(Lengths.fixed(20), Lengths.lognormal(60, 1, 256)),
    "unequal prompts": Workload.classes([(10, 90, 0.3), (400, 200, 0.7)]),
}


@pytest.mark.parametrize("name", LONG)
def test_the_spectrum_of_longer_outputs_is_the_companion_matrixs(name: str) -> None:
    # Above degree 64 the winding and Newton decide alone; numpy.roots still knows the answer.
    load = LONG[name]
    verdict = spectrum(load)
    is_coherent(verdict)
    weights = load.memory_weights()
    roots = roots_of(weights)
    sizes = np.abs(roots)
    assert np.abs(sizes - 1).min() > 1e-9  # no tie in this list
    assert verdict.roots_outside == (sizes > 1).sum()
    assert verdict.radius == pytest.approx(sizes.max(), rel=2e-9)
    assert verdict.radius_low * (1 - 1e-10) <= sizes.max() <= verdict.radius_high * (1 + 1e-10)
    assert verdict.radius_high / verdict.radius_low - 1 < 3e-6
    for mode in verdict.modes:
        assert np.abs(roots - mode).min() < 1e-6
    leading = roots[sizes > sizes.max() * (1 - 1e-8)]
    turns = 2 * np.pi / np.abs(np.angle(leading))
    assert np.abs(turns / verdict.dominant_period - 1).min() < 1e-4


@pytest.mark.parametrize("l1", [2, 3, 17, 64, 65, 66, 200, 1000])
@pytest.mark.parametrize("l0", [0, 1, 1000, 2**24])
def test_one_class_has_every_root_outside(l0: int, l1: int) -> None:
    # Its weights l0 + 1 … l0 + l1 increase (Eneström–Kakeya).
    verdict = spectrum(Workload.fixed(l0, l1))
    assert verdict.monotone is Monotone.INCREASING
    assert verdict.roots_outside == verdict.degree == l1 - 1
    assert verdict.outcome is Stability.UNSTABLE
    # All roots lie between the least and the largest ratio of neighbouring weights.
    assert verdict.radius >= (l0 + l1) / (l0 + l1 - 1) * (1 - 1e-12)
    assert verdict.radius <= (l0 + 2) / (l0 + 1) * (1 + 1e-12)
    is_coherent(verdict)


def test_one_class_of_two_tokens_has_the_root_that_the_weights_say() -> None:
    # w = (l0 + 1, l0 + 2): (l0 + 1) z + l0 + 2 = 0, a negative root: period 2.
    verdict = spectrum(Workload.fixed(2, 2))
    assert verdict.radius == pytest.approx(4 / 3)
    assert verdict.modes == (pytest.approx(-4 / 3),)
    assert verdict.dominant_period == pytest.approx(2)


def test_enestroem_kakeya_is_decided_exactly_both_ways() -> None:
    # Uniform on 1 … n, common prompt: w_m − w_{m+1} = ((l0 + m + 1) − (n − m − 1)) / n.
    decreasing = independent(Lengths.fixed(20), Lengths.uniform(1, 20))
    assert monotone_weights(decreasing) is Monotone.DECREASING
    assert spectrum(decreasing).roots_outside == 0
    # l0 = n − 2: the first difference is (n − 1) − (n − 1) = 0: not strict.
    flat = Workload.from_counts([18] * 20, range(1, 21), [1] * 20)
    assert flat.weight_drops()[0] == 0
    assert monotone_weights(flat) is Monotone.NEITHER
    assert monotone_weights(Workload.fixed(0, 9)) is Monotone.INCREASING
    mixed = Workload.classes([(5, 4), (5, 9)])
    assert monotone_weights(mixed) is Monotone.NEITHER
    assert monotone_weights(Workload.fixed(7, 1)) is not Monotone.NEITHER


def test_a_root_on_the_unit_circle_is_undecided() -> None:
    # p₁ = 1/3, l0 = 1, outputs 1 and 2: w = (2, 2/3 · 3) = (2, 2), the root −1 exactly.
    verdict = spectrum(Workload.from_counts([1, 1], [1, 2], [1, 2]))
    assert verdict.outcome is Stability.UNDECIDED
    assert verdict.roots_outside is None
    assert verdict.radius == pytest.approx(1)


@pytest.mark.parametrize("power", [2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("factor", [[1, 1], [1, 1, 1], [3, 5, 3], [1, 1, 1, 1, 1]])
def test_multiple_roots_on_the_circle_are_undecided(factor: list[int], power: int) -> None:
    # Every root of these lies on the circle, computed ones off it by 1e-16^(1 / power).
    weights = np.array([1.0])
    for _ in range(power):
        weights = np.convolve(weights, factor)
    verdict = spectrum_of_weights(weights, Monotone.NEITHER, 1)
    assert verdict.outcome is Stability.UNDECIDED
    assert verdict.radius_low <= 1 <= verdict.radius_high


def test_a_root_far_outside_settles_it_though_others_lie_on_the_circle() -> None:
    # (1 + z)(1 + 2 z + 5 z²) backwards: −1 beside two roots of modulus √5.
    verdict = spectrum_of_weights(np.array([1.0, 3, 7, 5]), Monotone.NEITHER, 1)
    assert (verdict.outcome, verdict.roots_outside) == (Stability.UNSTABLE, None)
    assert verdict.radius_low <= math.sqrt(5) <= verdict.radius_high
    assert verdict.radius_high / verdict.radius_low < 1 + 1e-8


@pytest.mark.parametrize(
    ("l", "share", "threshold"),
    [(16, 0.5, 742), (32, 0.5, 6308), (64, 0.5, 51_833), (32, 0.2, 10_168)],
)
def test_the_finite_prompt_threshold(l: int, share: float, threshold: int) -> None:  # noqa: E741 -- the paper's l
    # Theory, section 5 (Proposition 4); numpy.roots says the same.
    for prompt, outcome in ((threshold, Stability.STABLE), (threshold - 1, Stability.UNSTABLE)):
        load = Workload.classes([(prompt, l - 1, share), (prompt, l, 1 - share)])
        verdict = spectrum(load)
        assert verdict.outcome is outcome
        inside = np.abs(np.roots(load.memory_weights())).max() < 1
        assert inside == (outcome is Stability.STABLE)
        assert verdict.gcd == 1


@pytest.mark.parametrize(
    ("tiers", "outside"), [((127, 255, 509), 6), ((101, 239, 503), 0), ((121, 263, 499), 0)]
)
def test_coprime_tiers_at_a_quarter_million_prompt_tokens(
    tiers: tuple[int, ...], outside: int
) -> None:
    load = Workload.classes([(262_144, output) for output in tiers])
    verdict = spectrum(load)
    assert verdict.gcd == 1
    assert verdict.roots_outside == outside
    is_coherent(verdict)


@pytest.mark.parametrize("tiers", [(128, 256, 512), (6, 9), (4, 10, 14)])
def test_a_common_divisor_leaves_roots_near_its_roots_of_unity(tiers: tuple[int, ...]) -> None:
    # Theorem 3: at large prompts at least g − 1 outside, |z| ≈ 1 + 1 / (l0 + L).
    prompt = 1_000_000
    verdict = spectrum(Workload.classes([(prompt, output) for output in tiers]))
    assert verdict.gcd == math.gcd(*tiers)
    assert verdict.roots_outside >= verdict.gcd - 1
    assert verdict.radius == pytest.approx(1 + 1 / (prompt + max(tiers)), abs=1e-9)


@pytest.mark.parametrize(
    "load",
    [
        Workload.fixed(20, 12),
        Workload.classes([(30, 9), (30, 14)]),
        Workload.classes([(256, 127), (256, 255)]),
        Workload.classes([(40, 3), (40, 8), (40, 11)]),
        Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]),
    ],
    ids=lambda load: load.name,
)
def test_growth_measured_in_a_run_is_the_spectral_radius(load: Workload) -> None:
    system = System(load, 1_000_000)
    verdict = spectrum(load)
    longest = load.longest_output
    rate = system.kv_tokens / float(load.memory_weights().sum())
    # Before an iteration nobody has age 0 yet; disturb the others along the dominant mode.
    history = np.real(np.array(verdict.modes[0]) ** -np.arange(longest))
    amplitude = rate * (1 + 1e-5 * history)
    amplitude[0] = 0.0
    run = iterate(system, steps=120, start=Cohorts.of(amplitude))
    assert run.evicted.max() == 0
    d = run.admitted / rate - 1
    if abs(abs(verdict.dominant_period) - 2) < 1e-9:
        measured = (np.abs(d[-1]) / np.abs(d[0])) ** (1 / 119)
    else:  # d_{t+2} = 2 ρ cos θ d_{t+1} − ρ² d_t
        (_, minus_square), *_ = np.linalg.lstsq(np.c_[d[1:-1], d[:-2]], d[2:], rcond=None)
        measured = np.sqrt(-minus_square)
    assert measured == pytest.approx(verdict.radius, abs=2e-6)


def test_a_random_disturbance_comes_to_grow_by_the_spectral_radius() -> None:
    load = Workload.classes([(30, 6), (30, 12)])
    roots = np.sort(np.abs(np.roots(load.memory_weights())))[::-1]
    system = System(load, 1_000_000)
    rate = system.kv_tokens / float(load.memory_weights().sum())
    amplitude = rate * (1 + 1e-7 * np.random.default_rng(1).normal(size=12))
    amplitude[0] = 0.0  # before an iteration nobody has age 0
    run = iterate(system, steps=300, start=Cohorts.of(amplitude))
    assert run.evicted.max() == 0
    d = np.abs(run.admitted[:300] / rate - 1)
    measured = (d[240:300].max() / d[120:180].max()) ** (1 / 120)
    assert measured == pytest.approx(roots[0], abs=2e-3)
    assert spectrum(load).radius == pytest.approx(roots[0], rel=1e-9)
    assert spectrum(load).doubling == pytest.approx(np.log(2) / np.log(roots[0]), rel=1e-6)


def test_azure_conversations_are_stable(azure: Workload) -> None:
    # Theory, section 7: no root outside, largest |z| 0.99743.
    verdict = spectrum(azure)
    assert verdict.degree == 999
    assert (verdict.outcome, verdict.roots_outside) == (Stability.STABLE, 0)
    assert verdict.radius == pytest.approx(0.99743, abs=1e-5)
    assert abs(np.polyval(azure.memory_weights(), verdict.modes[0])) < 1e-7 * azure.mean_prompt
    is_coherent(verdict)


@pytest.mark.parametrize(
    "load",
    [
        independent(Lengths.fixed(200), Lengths.lognormal(1000, 1.2, 32_768)),
        independent(Lengths.fixed(1000), Lengths.uniform(1, 32_768)),
        Workload.classes([(200, 1), (200, 32_768)]),
        Workload.classes([(200, 32_767), (200, 32_768)]),
    ],
    ids=["log-normal", "uniform", "far atoms", "near atoms"],
)
def test_outputs_of_32768_tokens_come_to_a_coherent_verdict(load: Workload) -> None:
    verdict = spectrum(load)
    assert verdict.degree == 32_767
    is_coherent(verdict)
    assert verdict.outcome is not Stability.UNDECIDED
    weights = load.memory_weights()
    # The leading root, put into the polynomial: |F| is rounding beside Σ |terms|. Scaled powers
    # keep 32,767 factors in range.
    for root in verdict.modes[:3]:
        terms = np.exp(np.log(weights) - np.arange(weights.size) * np.log(root + 0j))
        assert abs(terms.sum()) < 1e-9 * np.abs(terms).sum()


@pytest.mark.parametrize(
    ("weights", "radius"),
    [
        ([1.0, 2, 3], 0.0),
        ([1.0, 2, 3], -1.0),
        ([1.0, 2, 3], math.nan),
        ([1.0, 2, 3], math.inf),
        ([], 1.0),
        ([1.0, 0.0, 3], 1.0),
        ([1.0, -2, 3], 1.0),
        ([1.0, math.nan], 1.0),
    ],
)
def test_counts_outside_impossible_circles_or_of_impossible_weights_are_refused(
    weights: list[float], radius: float
) -> None:
    with pytest.raises(ValueError, match=r"radius|weight"):
        count_roots_outside(np.array(weights), radius)
