"""Growth other than one token per iteration, against single lives, coin flips and fluid runs."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.theory import Monotone, Stability, spectrum
from kvsteady.theory.growth import (
    Growth,
    block_growth,
    block_roots,
    growth_spectrum,
    speculation_threshold,
    speculative_growth,
    stabilising_acceptances,
    steady_growth,
)
from kvsteady.workload import Workload, preset
from reference import weighted
from reference.speculative import Engine, every_life, gained
from reference.systems import workloads


def lives(load: Workload) -> list[tuple[int, int, Fraction]]:
    total = int(load.tickets.sum())
    rows = zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True)
    return [(l0, l1, Fraction(count, total)) for l0, l1, count in rows]


def padded(values: list[Fraction], size: int) -> list[float]:
    return [float(v) for v in values] + [0.0] * (size - len(values))


@settings(deadline=None, max_examples=60)
@given(workloads(), st.integers(1, 8))
def test_steady_growth_is_that_of_single_lives(load: Workload, tokens: int) -> None:
    weights: list[Fraction] = []
    times = []
    for l0, l1, share in lives(load):
        have, n = 0, 0
        while have < l1:
            have = min(have + tokens, l1)
            weights.extend([Fraction(0)] * (n + 1 - len(weights)))
            weights[n] += share * (l0 + have)
            n += 1
        times.append(n)
    growth = steady_growth(load, tokens)
    assert growth.weights == pytest.approx(padded(weights, growth.weights.size), rel=1e-14)
    assert growth.weights.size == max(times)
    assert growth.gcd == math.gcd(*times)
    mean = sum(n * float(share) for n, (*_, share) in zip(times, lives(load), strict=True))
    assert growth.mean_iterations == pytest.approx(mean)
    assert growth.admissions(1000) == pytest.approx(1000 / float(sum(weights)))


@settings(deadline=None, max_examples=30)
@given(workloads())
def test_one_token_per_iteration_gives_back_the_spectrum(load: Workload) -> None:
    for growth in (steady_growth(load, 1), block_growth(load, 1), speculative_growth(load, 0, 0.5)):
        assert growth.weights == pytest.approx(load.memory_weights(), rel=1e-13)
        assert growth_spectrum(growth).radius == pytest.approx(spectrum(load).radius, rel=1e-6)


@pytest.mark.parametrize("tokens", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("prompt", [0, 50, 100_000])
def test_a_fixed_length_is_unstable_whatever_an_iteration_adds(prompt: int, tokens: int) -> None:
    growth = steady_growth(Workload.fixed(prompt, 41), tokens)
    assert growth.monotone is Monotone.INCREASING
    verdict = growth_spectrum(growth)
    assert verdict.outcome is Stability.UNSTABLE
    assert verdict.roots_outside == -(-41 // tokens) - 1
    assert (np.abs(np.roots(growth.weights)) > 1).all()


@settings(deadline=None, max_examples=40)
@given(
    workloads(most_output=5),
    st.integers(0, 3),
    st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(4, 5), Fraction(1)]),
)
def test_speculative_growth_is_that_of_every_possible_life(
    load: Workload, drafts: int, acceptance: Fraction
) -> None:
    kept: dict[int, Fraction] = {}
    written: dict[int, Fraction] = {}
    alive: dict[int, Fraction] = {}
    for l0, l1, share in lives(load):
        for chance, course in every_life(l1, drafts, acceptance):
            for n, (before, after) in enumerate(zip([0, *course], course, strict=False)):
                mass = share * chance
                alive[n] = alive.get(n, 0) + mass
                kept[n] = kept.get(n, 0) + mass * (l0 + after)
                written[n] = written.get(n, 0) + mass * (l0 + before + 1 + drafts)
    for reserve, expected in ((True, written), (False, kept)):
        growth = speculative_growth(load, drafts, float(acceptance), reserve_drafts=reserve)
        assert growth.weights == pytest.approx([float(expected[n]) for n in sorted(expected)])
        assert growth.survival == pytest.approx([float(alive[n]) for n in sorted(alive)])


def test_speculative_growth_is_that_of_coin_flips() -> None:
    prompt, output, drafts, acceptance, flips = 30, 40, 4, 0.7, 20_000
    coin = random.Random(1)
    total = np.zeros(output)
    square = np.zeros(output)
    for _ in range(flips):
        have = n = 0
        while have < output:
            need = prompt + have + 1 + drafts
            total[n] += need
            square[n] += need**2
            have += gained(drafts, acceptance, coin)
            n += 1
    mean = total / flips
    error = np.sqrt((square / flips - mean**2) / flips)
    growth = speculative_growth(Workload.fixed(prompt, output), drafts, acceptance)
    exact = np.pad(growth.weights, (0, output - growth.weights.size))
    assert (np.abs(exact - mean) <= 5 * error + 1e-3).all()
    # Mean tokens per iteration (1 − a^(k+1)) / (1 − a), but for the last iteration's surplus.
    assert growth.tokens == pytest.approx((1 - 0.7**5) / 0.3, rel=0.05)


@pytest.mark.parametrize(
    ("output", "drafts", "acceptance"), [(32, 4, 0.8), (64, 3, 0.6), (48, 1, 0.5), (40, 7, 0.9)]
)
@pytest.mark.parametrize("reserve", [True, False])
def test_the_speculation_threshold_is_the_companion_matrixs(
    output: int, drafts: int, acceptance: float, reserve: bool
) -> None:
    found = speculation_threshold(output, drafts, acceptance, reserve_drafts=reserve)
    for prompt, stable in ((found.prompt, True), (found.prompt - 1, False)):
        growth = speculative_growth(
            Workload.fixed(prompt, output), drafts, acceptance, reserve_drafts=reserve
        )
        assert bool(np.abs(np.roots(growth.weights)).max() < 1) is stable
        outcome = Stability.STABLE if stable else Stability.UNSTABLE
        assert growth_spectrum(growth).outcome is outcome


@pytest.mark.parametrize(("drafts", "acceptance"), [(1, 0.6), (3, 0.6), (4, 0.8), (7, 0.8)])
def test_the_threshold_grows_with_the_square_of_the_length(drafts: int, acceptance: float) -> None:
    # g l² / (2π² v), g and v the mean and variance of the tokens of an iteration, term by term.
    chance = [acceptance**j * (1 - acceptance) for j in range(drafts)] + [acceptance**drafts]
    mean = sum((j + 1) * p for j, p in enumerate(chance))
    variance = sum((j + 1) ** 2 * p for j, p in enumerate(chance)) - mean**2
    misses = []
    for output in (128, 512):
        found = speculation_threshold(output, drafts, acceptance)
        law = mean * output**2 / (2 * math.pi**2 * variance)
        misses.append(1 - found.prompt / law)
        assert found.estimate == pytest.approx(law, rel=0.03)
    assert 0 < misses[1] < 0.03
    assert misses[1] < misses[0] / 3


@pytest.mark.parametrize("acceptance", [0.0, 1.0])
def test_certain_drafts_stabilise_nothing(acceptance: float) -> None:
    assert speculation_threshold(50, 4, acceptance).prompt is None


def test_what_completes_in_its_first_iteration_is_stable_at_every_prompt() -> None:
    # Nothing is in memory when the next are admitted: no history, no root.
    for output, acceptance in ((1, 0.8), (5, 1.0)):
        assert speculation_threshold(output, 4, acceptance).prompt == 0


def test_only_acceptances_in_between_stabilise() -> None:
    found = stabilising_acceptances(100, 32, 4, steps=20)
    for step in range(1, 20):
        weights = speculative_growth(Workload.fixed(100, 32), 4, step / 20).weights
        assert bool(np.abs(np.roots(weights)).max() < 1) is (step / 20 in found)
    assert 0.05 not in found
    assert 0.8 in found
    assert 0.95 not in found
    assert stabilising_acceptances(0, 32, 4, steps=10) == ()


@pytest.mark.parametrize(("prompt", "stable"), [(200, True), (20, False)])
def test_a_fluid_run_settles_or_evicts_as_the_threshold_says(prompt: int, stable: bool) -> None:
    assert (speculation_threshold(32, 4, 0.8).prompt <= prompt) is stable
    weights = speculative_growth(Workload.fixed(prompt, 32), 4, 0.8).weights.tolist()
    rate = 1e6 / sum(weights)
    wave = [rate * (1 + 0.01 * math.cos(n)) for n in range(len(weights) - 1)]
    admitted, evicted = weighted.run(weights, 1e6, wave, 1500)
    if stable:
        assert not any(evicted)
        assert admitted[-10:] == pytest.approx([rate] * 10, rel=1e-4)
    else:
        assert any(evicted[-100:])


def test_coin_flips_spread_requests_that_would_move_together() -> None:
    # 64 tokens, prompt 2,000 (the threshold is 248): restarts in a request-level run.
    def lost(drafts: int, acceptance: float) -> float:
        engine = Engine(2000, 64, 600 * 2040, drafts, acceptance, seed=3)
        rows = np.array([engine.step() for _ in range(1200)])[600:]
        return rows[:, 1].sum() / rows[:, 2].sum()

    fixed = lost(3, 1.0)  # four tokens each iteration: 16 iterations, always
    spread = lost(4, 0.8)
    assert speculation_threshold(64, 4, 0.8).prompt < 2000
    assert spread < 0.002 < fixed


@settings(deadline=None, max_examples=60)
@given(workloads(), st.integers(1, 12))
def test_block_growth_is_that_of_single_lives(load: Workload, size: int) -> None:
    expected = [
        float(
            sum(
                share * math.ceil((l0 + m + 1) / size) * size
                for l0, l1, share in lives(load)
                if l1 > m
            )
        )
        for m in range(load.longest_output)
    ]
    growth = block_growth(load, size)
    assert growth.weights == pytest.approx(expected, rel=1e-14)
    assert growth.weights == pytest.approx(load.memory_weights(size), rel=1e-13)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 20))
def test_the_roots_of_one_class_in_blocks(prompt: int, output: int, size: int) -> None:
    weights = [math.ceil((prompt + m + 1) / size) * size for m in range(output)]
    sizes = np.abs(np.roots(weights)) - 1
    assume(not ((np.abs(sizes) > 1e-8) & (np.abs(sizes) < 1e-5)).any())
    found = block_roots(prompt, output, size)
    assert found.on_circle == (np.abs(sizes) < 1e-8).sum()
    assert found.outside == (sizes > 1e-8).sum()
    assert found.on_circle + found.outside == output - 1
    outcome = growth_spectrum(block_growth(Workload.fixed(prompt, output), size)).outcome
    if found.outside:
        assert outcome is Stability.UNSTABLE
    elif found.on_circle:
        assert outcome is Stability.UNDECIDED


def run_of_blocks(growth: Growth, shape: list[float], steps: int) -> tuple[np.ndarray, list[float]]:
    weights = growth.weights.tolist()
    rate = growth.admissions(1e6)
    admitted, evicted = weighted.run(weights, 1e6, [rate * (1 + d) for d in shape], steps)
    return np.array(admitted) / rate - 1, evicted


def test_aligned_blocks_keep_a_pattern_between_blocks_for_ever() -> None:
    # Prompt 32, output 64, blocks of 16: admissions that alternate keep doing so, neither growing
    # nor dying; any other disturbance grows until requests are evicted.
    growth = block_growth(Workload.fixed(32, 64), 16)
    assert block_roots(32, 64, 16).on_circle == 15
    deviation, evicted = run_of_blocks(growth, [0.3 * (-1) ** n for n in range(63)], 400)
    assert not any(evicted)
    assert np.abs(deviation) == pytest.approx(0.3, abs=1e-6)
    _, evicted = run_of_blocks(
        growth, [0.01 * math.cos(2 * math.pi * n / 64) for n in range(63)], 900
    )
    assert any(evicted)


def test_requests_that_never_outgrow_their_block_are_never_evicted() -> None:
    growth = block_growth(Workload.fixed(5, 10), 16)
    assert block_roots(5, 10, 16).outside == 0
    shape = np.random.default_rng(2).uniform(-0.9, 0.05, size=9)
    deviation, evicted = run_of_blocks(growth, shape.tolist(), 300)
    assert not any(evicted)
    assert deviation[200:210] == pytest.approx(deviation[210:220], abs=1e-6)


def test_azure_stays_stable_under_every_growth() -> None:
    load = preset("azure-conv")
    steady = steady_growth(load, 4)
    radius = growth_spectrum(steady).radius
    assert radius == pytest.approx(np.abs(np.roots(steady.weights)).max(), rel=1e-7)
    for growth in (steady, speculative_growth(load, 4, 0.8), block_growth(load, 16)):
        assert growth_spectrum(growth).outcome is Stability.STABLE


@pytest.mark.parametrize(
    "wrong",
    [
        lambda load: steady_growth(load, 0),
        lambda load: speculative_growth(load, -1, 0.5),
        lambda load: speculative_growth(load, 4, 1.5),
        lambda load: speculative_growth(load, 4, math.nan),
        lambda load: speculative_growth(load, 4, True),
        lambda load: block_growth(load, 0),
        lambda _: block_roots(-1, 5, 16),
        lambda load: steady_growth(load, 2).admissions(0),
    ],
)
def test_impossible_growth_is_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        wrong(Workload.fixed(10, 20))
