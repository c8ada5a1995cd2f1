"""Two classes on two replicas of Vidur: a replica for each, or both on both.

Round robin looks at no replica, so each is a machine of its own with its part of the requests.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from vidur_runs import machine_of

from kvsteady.simulate.times.linear import LinearTime

A100 = LinearTime(iteration=0.010, prefill=1e-4, decode=3e-5, kv_read=8e-8)
LONG, SHORT = (64, 448), (64, 64)
Requests = list[tuple[float, int, int]]


@dataclass(frozen=True)
class Fleet:
    """Evictions of both replicas and output tokens per second until the last is done."""

    evictions: int
    tokens: float


def fleet(kind: str, *parts: Requests) -> Fleet:
    options = {"num_blocks": 2500, "block_size": 16, "batch_size_cap": 4096}
    clocks = []
    for part in parts:
        machine = machine_of(kind, options, part, A100)
        machine.run(10**7)
        clocks.append(machine.clock)
    tokens = sum(int(clock["all_output"]) for clock in clocks)
    return Fleet(
        sum(int(clock["all_preempted"]) for clock in clocks),
        tokens / max(float(clock["now"]) for clock in clocks),
    )


def poisson(lengths: tuple[int, int], rate: float, count: int, seed: int) -> Requests:
    draws, now, requests = random.Random(seed), 0.0, []
    for _ in range(count):
        now += draws.expovariate(rate)
        requests.append((now, *lengths))
    return requests


def segregated_and_mixed(kind: str, rate: float) -> tuple[Fleet, Fleet]:
    parts = poisson(LONG, rate / 2, 2000, 1), poisson(SHORT, rate / 2, 2000, 2)
    merged = sorted(parts[0] + parts[1])
    return fleet(kind, *parts), fleet(kind, merged[::2], merged[1::2])


def test_open_loop_as_in_vidur():
    """36 requests a second. Vidur 7d47513 itself, with its round robin and the same requests and
    times: 3,219 evictions and 5,441 tokens/s segregated, none and 8,732 mixed.

    With its own time predictor and other classes: 3,645 and none, 7.6k and 9.2k tokens/s.
    """
    segregated, mixed = segregated_and_mixed("vllm", 36.0)
    assert segregated.evictions == pytest.approx(3219, rel=0.01)
    assert segregated.tokens == pytest.approx(5441, rel=0.005)
    assert mixed.evictions == 0
    assert mixed.tokens == pytest.approx(8732, rel=0.005)


@pytest.mark.parametrize("kind", ["vllm", "sarathi"])
def test_mixing_is_decisive_where_one_class_alone_is_too_much(kind):
    calm, _ = segregated_and_mixed(kind, 20.0)
    assert calm.evictions == 0
    segregated, mixed = segregated_and_mixed(kind, 36.0)
    assert segregated.evictions > 2000
    assert mixed.evictions == 0
    assert mixed.tokens > 1.3 * segregated.tokens


def all_at_once(*classes: tuple[int, int]) -> tuple[int, int]:
    """Evictions of 3,000 requests of each of two classes: a replica each, and both on both."""
    parts = [[(0.0, *lengths)] * 3000 for lengths in classes]
    pairs = list(zip(*parts, strict=True))
    both = [[request for pair in pairs[k::2] for request in pair] for k in (0, 1)]
    return fleet("vllm", *parts).evictions, fleet("vllm", *both).evictions


def test_mixing_at_saturation():
    """Expected: Vidur 7d47513 itself. Classes that are alike evict as much mixed (+1%).

    Mixing prefill-heavy with decode-heavy requests takes 39% of the evictions away, though.
    """
    assert all_at_once((64, 512), (64, 448)) == (5683 + 5128, 2 * 5482)
    assert all_at_once((64, 512), (512, 64)) == (5683 + 248, 2 * 1801)
