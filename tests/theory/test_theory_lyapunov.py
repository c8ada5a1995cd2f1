"""Lyapunov certificates against exact fractions, ball arithmetic and the fluid model."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, System, iterate
from kvsteady.theory.lyapunov import (
    Certificate,
    clear_distance,
    energy_along,
    largest_clear_box,
    lyapunov,
    validate,
)
from kvsteady.workload import Workload
from reference.quadratic import carried, companion, fractions_of, is_positive_definite
from reference.stable import STABLE
from reference.systems import workloads


@pytest.fixture(scope="module")
def certificates() -> dict[str, object]:
    return {name: lyapunov(System(load, 1_000_000)) for name, load in STABLE.items()}


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=8), st.integers(0, 2**32 - 1), st.floats(0.01, 1.5))
def test_the_model_evicts_exactly_when_the_linear_recursion_turns_negative(
    load: Workload, seed: int, spread: float
) -> None:
    # What the certificate rests on: Σ w_m a_{t−m} = M as long as the a so found are not negative.
    system = System(load, 1_000_000)
    weights = load.memory_weights()
    longest = load.longest_output
    rate = system.kv_tokens / float(weights.sum())
    noise = np.random.default_rng(seed).normal(size=longest - 1)
    past = rate * np.maximum(1 + spread * noise, 0)  # youngest first
    run = iterate(system, steps=25, start=Cohorts.of(np.r_[0.0, past]))
    for t in range(25):
        coming = (system.kv_tokens - float(weights[1:] @ past)) / weights[0]
        assume(abs(coming) > 1e-6 * rate)
        if coming < 0:
            assert run.evicted[t] > 0
            return
        assert run.evicted[t] == 0
        assert run.admitted[t] == pytest.approx(coming, abs=1e-6 * rate)
        past = np.r_[coming, past[:-1]][: longest - 1]


@pytest.mark.parametrize("name", STABLE)
def test_no_state_inside_is_evicted_and_those_beyond_the_basin_are(
    name: str, certificates: dict
) -> None:
    check = validate(certificates[name], samples=40, seed=1)
    assert check.evicted == 0
    assert check.on_boundary >= 2
    assert check.beyond_evicted == check.beyond > 0
    assert check.least_admission >= 0
    assert check.larger >= 1
    assert check.confirmed


def test_the_level_set_touches_a_next_admission_of_zero(certificates: dict) -> None:
    # The largest level: at the point where r d is least, the model's first admission vanishes.
    c = certificates["two short classes"]
    weights = STABLE["two short classes"].memory_weights()
    towards = np.linalg.solve(c.matrix, weights[1:])
    towards *= math.sqrt(c.level / float(towards @ c.matrix @ towards))
    rate = 1_000_000 / float(weights.sum())
    run = iterate(c.system, steps=1, start=c.start(towards * (1 - 1e-6)))
    assert 0 <= run.admitted[0] < 1e-4 * rate
    assert c.contains(c.start(towards * (1 - 1e-6)))
    assert not c.contains(c.start(towards * (1 + 1e-6)))
    assert iterate(c.system, steps=1, start=c.start(towards * 1.001)).evicted[0] > 0


@settings(deadline=None, max_examples=40)
@given(workloads(most_output=10), st.integers(0, 2**32 - 1))
def test_whatever_a_certificate_contains_is_never_evicted(load: Workload, seed: int) -> None:
    certificate = lyapunov(System(load, 1_000_000))
    roots = np.roots(load.memory_weights())
    largest = float(np.abs(roots).max()) if roots.size else 0.0
    assume(abs(largest - 1) > 1e-6)
    assert (certificate.outcome is Certificate.UNSTABLE) == (largest > 1)
    random = np.random.default_rng(seed)
    longest = load.longest_output
    rate = 1_000_000 / float(load.memory_weights().sum())
    assert certificate.contains(Cohorts.of(np.r_[0.0, np.full(longest - 1, rate)])) == (largest < 1)
    for scale in (0.05, 0.3, 1.0):
        amplitude = rate * np.maximum(1 + scale * random.normal(size=longest), 0)
        if random.random() < 0.5:
            amplitude[0] = 0.0
        start = Cohorts.of(amplitude)
        if certificate.contains(start):
            assert not iterate(certificate.system, steps=400, start=start).evicted.any()


def test_the_clear_distance_is_that_of_dense_matrix_powers(certificates: dict) -> None:
    for name in ("two short classes", "slow coprime pair", "uniform"):
        c = certificates[name]
        weights = STABLE[name].memory_weights()
        matrix = np.eye(weights.size - 1, k=-1)
        matrix[0] = -weights[1:] / weights[0]
        rays = np.random.default_rng(3).normal(size=(5, weights.size - 1))
        deepest, state = np.zeros(5), rays.T
        for _ in range(3000):
            state = matrix @ state
            deepest = np.maximum(deepest, -state[0])
        assert clear_distance(c, rays) == pytest.approx(1 / deepest, rel=1e-9)


@pytest.mark.parametrize("name", ["two short classes", "unequal prompts", "no prompt"])
def test_the_clear_box_is_that_of_its_corners_in_the_model(name: str, certificates: dict) -> None:
    c = certificates[name]
    # Without a prompt it is the admission two iterations later that comes closest to 0.
    box = largest_clear_box(c)
    assert 0 < c.box <= box
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=len(c.matrix))))

    def evicted(share: float) -> bool:
        return any(
            iterate(c.system, steps=300, start=c.start(share * corner)).evicted.any()
            for corner in corners
        )

    assert not evicted(box * (1 - 1e-6))
    assert evicted(box * (1 + 1e-6))
    assert all(c.contains(c.start(0.999 * c.box * corner)) for corner in corners)


def test_the_ball_is_reached_in_the_worst_direction(certificates: dict) -> None:
    c = certificates["three coprime classes"]
    assert np.linalg.norm(c.worst_direction) == pytest.approx(1)
    assert c.contains(c.start(c.worst_direction * c.ball * 0.9999))
    assert not c.contains(c.start(c.worst_direction * c.ball * 1.0001))
    rays = np.random.default_rng(0).normal(size=(200, len(c.matrix)))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    assert all(c.contains(c.start(ray * c.ball * 0.9999)) for ray in rays)


def test_coprime_lyapunov_decay_at_a_large_prompt() -> None:
    # The paper's claim as the spec lists it: coprime outputs, a prompt far above the threshold.
    c = lyapunov(System(Workload.classes([(1_000_000, 15), (1_000_000, 16)]), 100_000_000))
    assert c.proved
    size = np.random.default_rng(5).normal(size=15)
    size *= 0.999 * math.sqrt(c.level / float(size @ c.matrix @ size))
    energy = energy_along(c, c.start(size), 6000)
    assert energy[0] == pytest.approx(0.999**2 * c.level)
    falling = energy[:-1] > 1e-8 * energy[0]
    assert (energy[1:][falling] <= c.decay**2 * energy[:-1][falling] * (1 + 1e-6)).all()
    # In the long run V falls as fast as the slowest mode, by the square of the spectral radius.
    radius = np.abs(np.roots(c.system.workload.memory_weights())).max()
    measured = (energy[4000] / energy[2000]) ** (1 / 4000)
    assert measured == pytest.approx(radius, abs=2e-5)
    assert radius < c.decay < 1
    assert c.half_life == pytest.approx(math.log(0.5) / math.log(c.decay))


def test_at_long_prompts_the_range_of_admissions_never_widens() -> None:
    # Ours, l0 → ∞: admissions replace completions, a_t = Σ p_k a_{t − l1_k}, so the last L of
    # them span ever less, and no state of full memory is ever evicted. One step of rounding
    # apart, the model does so at a finite prompt too.
    load = Workload.classes([(1_000_000, 15), (1_000_000, 23)])
    weights = load.memory_weights()
    rate = 1e9 / float(weights.sum())
    past = rate * np.random.default_rng(1).uniform(0, 2, size=22)
    past *= (1e9 - rate * weights[0]) / float(weights[1:] @ past)
    run = iterate(System(load, 1_000_000_000), steps=3000, start=Cohorts.of(np.r_[0.0, past]))
    assert not run.evicted.any()
    admitted = np.r_[past[::-1], run.admitted] / rate
    last = np.lib.stride_tricks.sliding_window_view(admitted, 23)
    span = last.max(axis=1) - last.min(axis=1)
    assert span[0] > 1.5
    assert np.diff(span).max() < 1e-4
    assert span[-1] < 0.1


def test_the_level_set_is_larger_than_those_of_textbook_forms(certificates: dict) -> None:
    c = certificates["slow coprime pair"]
    weights = STABLE["slow coprime pair"].memory_weights()
    step = np.eye(weights.size - 1, k=-1)
    step[0] = -weights[1:] / weights[0]

    def size(form: np.ndarray) -> float:  # mean logarithmic half-axis of {dᵀ P d · rᵀ P⁻¹ r ≤ 1}
        reach = float(step[0] @ np.linalg.solve(form, step[0]))
        return -(np.linalg.slogdet(form)[1] / len(form) + math.log(reach)) / 2

    # Q = I, and the observability Gramian of the admission, at the same decay.
    for start in (np.eye(len(step)), np.outer(step[0], step[0])):
        form, power = np.zeros_like(step), np.eye(len(step))
        for _ in range(20_000):
            form += power.T @ start @ power
            power = step @ power / c.decay
        assert size(c.matrix) > size(form) + 0.1


def test_unstable_and_undecided_equilibria_have_none() -> None:
    unstable = lyapunov(System(Workload.fixed(20, 12), 100_000))
    assert unstable.outcome is Certificate.UNSTABLE
    assert not unstable.contains(Cohorts.of(np.r_[0.0, np.full(11, 300.0)]))
    assert math.isnan(unstable.half_life)
    with pytest.raises(InputError, match="form"):
        validate(unstable)
    # w = (2, 2): the root −1 exactly.
    marginal = lyapunov(System(Workload.from_counts([1, 1], [1, 2], [1, 2]), 1000))
    assert marginal.outcome is Certificate.UNDECIDED


@pytest.mark.parametrize(("prompt", "output"), [(742, 16), (6308, 32), (51_833, 64)])
def test_a_prompt_just_past_the_threshold_is_certified_too(prompt: int, output: int) -> None:
    # theory, section 5: the least stable prompts of outputs l − 1 and l; 1 − radius is about 1e-10.
    load = Workload.classes([(prompt, output - 1), (prompt, output)])
    c = lyapunov(System(load, 1_000_000_000))
    assert c.proved
    assert c.radius < c.decay < 1
    if output > 32:
        return  # the fractions below would take ten seconds
    # Fractions say the same of what matters most: P falls along C, for the decay as it is.
    form = fractions_of(c.matrix)
    weights = [Fraction(2 * (prompt + 1 + m)) for m in range(output - 1)]
    after = carried(companion([*weights, Fraction(prompt + output)]), form)
    rate = Fraction(c.decay) ** 2
    n = range(len(form))
    assert is_positive_definite([[rate * form[i][j] - after[i][j] for j in n] for i in n])


def test_one_token_outputs_and_long_ones() -> None:
    single = lyapunov(System(Workload.fixed(9, 1), 1000))
    assert single.proved
    assert single.contains(Cohorts.of([100.0]))
    assert not single.contains(Cohorts.of([100.1]))
    with pytest.raises(InputError, match="2,048"):
        lyapunov(System(Workload.fixed(9, 2049), 10_000))
    with pytest.raises(InputError, match="cohorts"):
        single.contains(Cohorts.of([1.0, 2.0]))


def test_outputs_of_503_tokens_are_certified() -> None:
    load = Workload.classes([(262_144, output) for output in (101, 239, 503)])
    c = lyapunov(System(load, 1_000_000_000))
    assert c.proved
    assert c.radius < c.decay < 1
    start = c.start(c.worst_direction * c.ball * 0.999)
    assert c.contains(start)
    assert not iterate(c.system, steps=20_000, start=start).evicted.any()
