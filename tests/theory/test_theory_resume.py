"""What greedy admission ends in under resume: bounds, limits, and exponents by other means."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, Eviction, System, iterate, requeue_levels
from kvsteady.theory import spectrum
from kvsteady.theory.resume import Motion, attractor, long_prompt_recompute, recompute_bound
from kvsteady.workload import Workload, preset
from reference.levels import determinant, jacobian


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(0, 9), st.integers(2, 6))
def test_determinant_of_every_piece(data: st.DataObject, l0: int, l1: int) -> None:
    weights = [Fraction(l0 + i + 1) for i in range(l1)]
    parts = data.draw(st.lists(st.integers(1, 997), min_size=l1, max_size=l1))
    scale = data.draw(st.sampled_from([1, 3, 9]))
    y = [Fraction(0)] + [scale * Fraction(p, 1009) / sum(weights) for p in parts[1:]]
    level, matrix = jacobian(weights, y)
    assert abs(determinant(matrix)) == weights[-1] / weights[level]
    # The kernel moves tangents by the same derivative.
    state = np.array([float(v) for v in y])
    tangents = np.eye(l1)[1:].copy()
    assert requeue_levels.step(np.array([float(w) for w in weights]), 1.0, state, tangents) == level
    expected = np.array([[float(v) for v in row] for row in matrix])
    np.testing.assert_allclose(tangents[:, 1:].T, expected, atol=1e-9)


def test_exponents_add_up_to_the_mean_log_determinant() -> None:
    weights = Workload.fixed(3, 6).memory_weights()
    y = np.array([0.0, 0.031, 0.027, 0.03, 0.026, 0.033])
    leading, total = requeue_levels.exponents(weights, 1.0, y, 5, 60_000, 8)
    assert leading.sum() == pytest.approx(total, rel=0.01)
    assert leading.min() > 0  # every direction expands: numerical, ours


@pytest.mark.parametrize("l0", [1, 2, 5])
def test_two_output_tokens_against_the_transfer_operator(l0: int) -> None:
    # l1 = 2: y' = 1 − y/r up to r = w0/w1, y − r above (memory and w0 scaled to 1). Ulam's method:
    # the invariant density is the eigenvector of a Markov chain on 4,000 cells.
    r = (l0 + 1) / (l0 + 2)
    cells, samples = 4000, 40
    points = (np.arange(cells * samples) + 0.5) / (cells * samples)
    image = np.where(points <= r, 1 - points / r, points - r)
    to = np.clip((image * cells).astype(int), 0, cells - 1)
    mass = np.full(cells, 1 / cells)
    average = np.zeros(cells)
    for _ in range(600):
        mass = np.bincount(to, np.repeat(mass / samples, samples), minlength=cells)
        average += mass / 600
    fine = np.repeat(average / samples, samples)
    evicted = float(fine @ np.maximum(points - r, 0))
    below = float(fine @ (points <= r))

    system = System(Workload.fixed(l0, 2), 10**6)
    start = Cohorts.of([0.0, 0.37 * 10**6 / (l0 + 1)])
    run = iterate(system, steps=200_000, burn_in=100, start=start, eviction=Eviction.RESUME)
    assert run.evicted.mean() * (l0 + 1) / 10**6 == pytest.approx(evicted, rel=0.02)
    found, total = requeue_levels.exponents(
        system.workload.memory_weights(), 1.0, np.array([0.0, 0.37 / (l0 + 1)]), 1, 200_000, 8
    )
    # Lasota–Yorke: slope −1/r below, 1 above, never twice above: at least half of ln(1/r).
    assert found[0] == pytest.approx(below * math.log(1 / r), rel=0.02)
    assert found[0] == pytest.approx(total, rel=0.01)
    assert found[0] >= 0.5 * math.log(1 / r)


@pytest.mark.parametrize(("l0", "l1"), [(1000, 4), (2000, 8), (3000, 16)])
def test_long_prompts_recompute_half_the_output(l0: int, l1: int) -> None:
    load = Workload.fixed(l0, l1)
    system = System(load, 10**9)
    level = 10**9 / load.memory_weights().sum()
    start = Cohorts.of(level * (1 + 0.3 * np.sin(2.4 * np.arange(l1))))
    run = iterate(
        system, steps=200_000, burn_in=300_000, start=start, eviction=Eviction.RESUME
    ).averages()
    expected = long_prompt_recompute(load)
    assert run.recomputed_tokens / run.completed == pytest.approx(expected.tokens, rel=0.02)
    assert run.recompute_tax == pytest.approx(expected.tax, rel=0.02)


# Measured outside this package, request by request, under resume (theory: section 6; section 7).
MEASURED = [
    (Workload.fixed(16, 32), 960, 0.53),
    (Workload.fixed(128, 512), 100_000, 0.71),
    (Workload.fixed(128, 512), 430_000, 0.65),
    (preset("three-tiers"), 100_000, 0.48),
    (preset("three-tiers"), 430_000, 0.39),
    (preset("azure-conv"), 100_000, 0.11),
    (preset("azure-conv"), 430_000, 0.035),
]


@pytest.mark.parametrize(("load", "memory", "tax"), MEASURED)
def test_taxes_measured_elsewhere(load: Workload, memory: int, tax: float) -> None:
    run = iterate(
        System(load, memory),
        steps=60_000,
        burn_in=40_000,
        arithmetic="integer",
        eviction=Eviction.RESUME,
    )
    assert run.recompute_tax == pytest.approx(tax, abs=0.015)
    assert run.recompute_tax <= recompute_bound(load).tax


def test_a_stable_system_settles_at_the_rate_of_its_slowest_mode() -> None:
    load = Workload.classes([(5000, 16), (5000, 15)])
    found = attractor(System(load, 500_000), steps=60_000)
    assert found.motion is Motion.SETTLED
    assert found.exponents[0] == pytest.approx(math.log(spectrum(load).radius), rel=0.02)
    assert found.evictions == 0
    assert (found.rhythm, found.coherence) == (1, 1.0)


def test_the_attractor_of_the_measured_vllm_case() -> None:
    found = attractor(System(Workload.fixed(15, 32), 960), steps=60_000, exponents=3)
    assert found.motion is Motion.CHAOTIC
    assert found.period == 2382  # followed in vLLM's scheduler itself
    assert found.rhythm == 32
    assert 0.8 < found.coherence < 0.95
    assert found.evictions == pytest.approx(0.7755, abs=0.005)  # 0.72922 / 0.94039 on the cycle


def test_a_run_too_short_to_tell_says_so() -> None:
    # One request at a time in memory: determinants 1 + 2/2^20 at most, and 100 iterations to see.
    found = attractor(System(Workload.fixed(2**20, 500), 2**20 + 500), steps=100, limit=100)
    assert found.motion is Motion.NEUTRAL
    assert math.isnan(found.evictions)
    assert math.isnan(found.recompute.tokens)


def test_only_one_class_has_the_limit() -> None:
    with pytest.raises(InputError, match="2 classes"):
        long_prompt_recompute(Workload.classes([(1, 2), (1, 3)]))
    assert recompute_bound(Workload.fixed(0, 4)).tax == 1.0
