"""Equilibrium and caps in closed form, recomputed here in plain Python."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import System, iterate
from kvsteady.policies import RateCap
from kvsteady.theory import (
    equilibrium,
    rate_caps,
    reservation_rate,
    worst_cycle,
)
from kvsteady.workload import Workload
from reference.systems import systems, workloads


def life_in_memory(load: Workload, block: int = 1) -> Fraction:
    """Expected tokens, in whole blocks, summed over the iterations of one request's life."""
    total = sum(load.tickets.tolist())
    return sum(
        Fraction(tickets, total)
        * sum(math.ceil(Fraction(l0 + age + 1, block)) * block for age in range(l1))
        for l0, l1, tickets in zip(
            load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True
        )
    )


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 9))
def test_the_equilibrium_is_memory_over_the_tokens_of_one_life(
    data: st.DataObject, block: int
) -> None:
    load = data.draw(workloads())
    largest = int((load.prompt + load.output).max())
    memory = data.draw(st.integers(largest + block, 20 * largest + 20))
    system = System(load, memory, block)
    balance = equilibrium(system)
    usable = memory // block * block
    assert balance.admissions == pytest.approx(float(memory / life_in_memory(load)), rel=1e-12)
    in_blocks = float(usable / life_in_memory(load, block))
    assert balance.admissions_blocks == pytest.approx(in_blocks, rel=1e-12)
    assert rate_caps(system).fluid == pytest.approx(balance.admissions)
    assert rate_caps(system).blocks == pytest.approx(in_blocks)
    means = [
        float(np.average(lengths, weights=load.tickets)) for lengths in (load.output, load.prompt)
    ]
    assert balance.running == pytest.approx(balance.admissions * means[0])
    assert balance.prefill_tokens == pytest.approx(balance.admissions * means[1])


def test_one_class_has_the_equilibrium_of_the_paper() -> None:
    # x* = 2M / (l1 (2 l0 + l1 + 1))
    balance = equilibrium(System(Workload.fixed(16, 32), 960))
    assert balance.admissions == pytest.approx(2 * 960 / (32 * 65))


def paged_peak(run_system: System, rate: float, steps: int) -> int:
    """Most tokens in whole blocks that a run with unlimited memory ever holds."""
    block = run_system.block_size
    roomy = System(run_system.workload, 2**31 - 1)
    run = iterate(roomy, steps=steps, policy=RateCap(rate), arithmetic="integer")
    assert run.evicted.sum() == 0
    most = 0
    prompt = run_system.workload.prompt
    for t in range(steps):
        state = run.state(t + 1)  # needed by the iteration to come, before its admissions
        held = -(-(prompt[state.row] + state.age + 1) // block) * block
        most = max(most, int(state.mass @ held))
    return most


@settings(deadline=None, max_examples=200)
@given(systems(most=30), st.integers(1, 300))
def test_the_steady_cap_never_evicts_classes_in_turn(system: System, more: int) -> None:
    held = int((system.workload.prompt + system.workload.output).sum())
    # Where not even one request of each class fits, it says that it may evict.
    system = System(system.workload, max(system.kv_tokens, held) + more)
    caps = rate_caps(system)
    assert 0 < caps.steady <= caps.blocks <= caps.fluid * (1 + 1e-12)
    assert 0 <= caps.given_up < 1
    run = iterate(system, steps=1500, policy=RateCap(), arithmetic="integer")
    assert run.pace.rate == caps.steady
    assert run.evicted.sum() == 0
    assert abs(run.admitted.sum() - 1500 * caps.steady) <= 1  # nor is the cap held back


@settings(deadline=None, max_examples=40)
@given(systems(most=12), st.integers(2, 16))
def test_the_steady_cap_keeps_whole_blocks_within_memory(system: System, block: int) -> None:
    load = system.workload
    held = int((-(-(load.prompt + load.output) // block) * block).sum())
    paged = System(load, (held + system.kv_tokens) // block * block, block)
    rate = rate_caps(paged).steady
    assert paged_peak(paged, rate, 80) <= paged.kv_tokens


@pytest.mark.parametrize(
    ("classes", "memory", "block"),
    [([(16, 32)], 960, 1), ([(16, 32)], 960, 16), ([(5, 300), (70, 9)], 9_000, 16)],
)
def test_the_steady_cap_in_fixed_systems(
    classes: list[tuple[int, int]], memory: int, block: int
) -> None:
    system = System(Workload.classes(classes), memory, block)
    rate = rate_caps(system).steady
    assert paged_peak(system, rate, 900) <= memory
    assert rate > 0.8 * equilibrium(system).admissions_blocks


def test_the_steady_cap_of_a_large_system_is_close_to_the_equilibrium() -> None:
    system = System(Workload.classes([(100, 200), (300, 50)]), 1_000_000_000)
    caps = rate_caps(system)
    assert 0 < caps.given_up < 1e-5
    # Just where the closed bound takes over (20,000 requests) the cap stays continuous.
    load = Workload.fixed(10, 100)
    per_request = equilibrium(System(load, 10_000_000)).running / 10_000_000
    below, above = (
        rate_caps(System(load, round(20_000 * f / per_request))).steady * per_request / f / 20_000
        for f in (0.999, 1.001)
    )
    assert below == pytest.approx(above, rel=2e-3)


def test_without_room_for_one_of_each_class_the_cap_stays_above_0() -> None:
    system = System(Workload.classes([(2, 10), (3, 11), (4, 12)]), 16)
    caps = rate_caps(system)
    assert 0 < caps.steady < caps.fluid


@pytest.mark.parametrize(("kv_tokens", "most"), [(100_000, 0.12), (430_000, 0.036)])
def test_greedy_evicts_azure_conversations_by_noise(
    azure: Workload, kv_tokens: int, most: float
) -> None:
    # Theory, section 7: 3.6% of completions at 430k tokens, 12% at 100k.
    run = iterate(System(azure, kv_tokens), steps=100_000, burn_in=5_000, arithmetic="integer")
    assert run.evicted.sum() / run.completed.sum() == pytest.approx(most, rel=0.12)


@pytest.mark.parametrize(
    ("prompt", "output", "tokens", "block"),
    [(0, 3, 13, 1), (1, 3, 20, 1), (2, 4, 41, 1), (0, 4, 27, 2), (5, 3, 47, 1), (1, 5, 21, 1)],
)
def test_no_order_of_whole_requests_beats_the_even_pace(
    prompt: int, output: int, tokens: int, block: int
) -> None:
    # By every state that there is, the last admissions that fit: what the longest of all walks of
    # 5,000 iterations admits is the largest mean, but for one filling of memory.
    rate = rate_caps(System(Workload.fixed(prompt, output), tokens, block)).steady
    memory = tokens // block * block
    held = [-(-(prompt + age + 1) // block) * block for age in range(output)]
    fits = [
        recent
        for recent in product(range(memory // held[0] + 1), repeat=output)
        if sum(map(int.__mul__, recent, held)) <= memory
    ]
    number = {recent: place for place, recent in enumerate(fits)}
    steps = [
        (number[recent], number[(new, *recent[:-1])], new)
        for recent in fits
        for new in range(memory // held[0] + 1)
        if (new, *recent[:-1]) in number
    ]
    begin, end, gain = (np.array(column) for column in zip(*steps, strict=True))
    most, iterations = np.zeros(len(fits)), 5000
    for _ in range(iterations):
        longer = np.full(len(fits), -np.inf)
        np.maximum.at(longer, end, most[begin] + gain)
        most = longer
    assert most.max() / iterations == pytest.approx(rate, abs=5e-3)


@pytest.mark.parametrize("kv_tokens", [100_000, 430_000])
def test_the_margin_for_random_lengths_makes_evictions_rare(
    azure: Workload, kv_tokens: int
) -> None:
    system = System(azure, kv_tokens)
    # x W + z √(x V) = M, V = Σ_m (E[need_m²] − E[need_m]²) for evenly paced admissions.
    share = azure.tickets / azure.tickets.sum()
    whole, variance = 0.0, 0.0
    for m in range(1000):
        alive = slice(int(np.searchsorted(azure.output, m, side="right")), None)
        need = azure.prompt[alive] + m + 1.0
        first, second = (share[alive] * need).sum(), (share[alive] * need**2).sum()
        whole, variance = whole + first, variance + second - first**2
    evictions = []
    for z in (0.0, 2.0, 4.0):
        caps = rate_caps(system, z=z)
        expected = caps.steady * whole + z * math.sqrt(caps.steady * variance)
        assert expected == pytest.approx(kv_tokens, rel=1e-9)
        run = iterate(
            system,
            steps=60_000,
            burn_in=2_000,
            policy=RateCap(caps.steady),
            arithmetic="integer",
        )
        evictions.append(run.evicted.sum() / run.completed.sum())
    assert evictions[0] > evictions[1] > evictions[2]
    assert evictions[1] < 0.01
    assert evictions[2] < 1e-4


@settings(deadline=None, max_examples=50)
@given(systems(most=10), st.integers(1, 8))
def test_reserving_prompt_and_output_for_life(system: System, block: int) -> None:
    load = system.workload
    memory = system.kv_tokens + int(load.output.max()) * block
    paged = System(load, memory, block)
    total = sum(load.tickets.tolist())
    tokens = sum(
        Fraction(t * l1 * math.ceil(Fraction(l0 + l1, block)) * block, total)
        for l0, l1, t in zip(
            load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True
        )
    )
    rate = float(memory // block * block / tokens)
    assert reservation_rate(paged) == pytest.approx(rate, rel=1e-12)


def test_reservation_has_the_throughput_of_the_worst_cycle_for_one_class() -> None:
    system = System(Workload.fixed(128, 512), 100_000)
    assert reservation_rate(system) == pytest.approx(100_000 / (512 * 640))
    assert worst_cycle(system).throughput == pytest.approx(reservation_rate(system))
    # worst / best = (2 l0 + l1 + 1) / (2 (l0 + l1))
    best = equilibrium(system).admissions
    assert worst_cycle(system).throughput / best == pytest.approx(769 / 1280)


@pytest.mark.parametrize("z", [-1.0, float("nan"), float("inf")])
def test_margins_out_of_range_are_refused(z: float) -> None:
    with pytest.raises(InputError):
        rate_caps(System(Workload.fixed(2, 2), 140), z=z)


@pytest.mark.parametrize("hold", [0.0, 1 / 16, 1 / 17, 1 / 18, 0.02, 0.05])
def test_few_evictions_add_little_to_the_even_pace(hold: float) -> None:
    # vLLM's order in a few lines, 16:32 in 960 tokens: at most one starts or comes back per
    # iteration, none after an eviction, and some iterations are held back.
    draws, iterations = np.random.default_rng(7).random(20_000), 20_000
    running: list[list[int]] = []  # number and age, the oldest first
    waiting: list[list[int]] = []
    evicted: set[int] = set()
    begun = completed = 0
    for draw in draws:
        full = False
        while sum(16 + age for _, age in running) > 960:
            waiting.insert(0, running.pop())
            evicted.add(waiting[0][0])
            full = True
        head = waiting[0] if waiting else [begun, 0]
        held = sum(16 + age for _, age in running)
        if not full and draw >= hold and held + 16 + head[1] <= 960:
            running.append(head)
            if waiting:
                waiting.pop(0)
            else:
                begun += 1
        for request in running:
            request[1] += 1
        if running[0][1] == 32:
            running.pop(0)
            completed += 1
    assert evicted
    # Where one window of 32 iterations ends the run, so many may be off.
    assert 16 * completed <= 15 * iterations + 32 / 31 * len(evicted) + 16 * 32
