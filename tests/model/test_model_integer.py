"""The integer kernel against a plain list of requests, exactly, states included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.model import State, System, iterate
from kvsteady.workload import Workload
from reference.integer import splitmix64
from reference.systems import Paced, engine_of, requests_of, systems, whole_starts

UNIT = 2**30  # the model counts admission credit in this fraction of a request


def runs_agree(
    system: System,
    start: State | None,
    steps: int,
    *,
    rate: float | None = None,
    depth: float | None = None,
    seed: int = 0,
) -> None:
    policy = None if rate is None or depth is None else Paced(rate, depth)
    units = [None if x is None else Fraction(round(x * UNIT), UNIT) for x in (rate, depth)]
    engine = engine_of(system, start, rate=units[0], depth=units[1], seed=seed)
    run = iterate(system, steps=steps, start=start, policy=policy, arithmetic="integer", seed=seed)
    looked_at = {0, 1, 2, 3, steps // 3, steps // 2, steps - 1}
    for t in range(steps):
        if t in looked_at:
            assert requests_of(run.state(t)) == engine.requests, f"state before iteration {t}"
        assert run.rows[t].tolist() == engine.step(), f"iteration {t}"
    assert requests_of(run.state(steps)) == engine.requests


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_greedy_runs_of_random_systems_in_turn(data: st.DataObject) -> None:
    system = data.draw(systems(most=12))
    runs_agree(system, data.draw(whole_starts(system)), 250)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 4000), st.integers(0, 4000))
def test_capped_runs_of_random_systems_in_turn(data: st.DataObject, rate: int, depth: int) -> None:
    system = data.draw(systems(most=12))
    start = data.draw(whole_starts(system))
    runs_agree(system, start, 250, rate=rate / 999, depth=rate / 999 + depth / 1000)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(0, 2**62 - 1), st.booleans())
def test_runs_of_random_lengths_follow_splitmix64(
    data: st.DataObject, seed: int, capped: bool
) -> None:
    system = data.draw(systems(random=True, most=12))
    start = data.draw(whole_starts(system))
    limit = {"rate": 0.923, "depth": 1.923} if capped else {}
    runs_agree(system, start, 200, seed=seed, **limit)


def test_splitmix64_of_the_reference_gives_the_published_stream() -> None:
    # Seed 1234567: the vector quoted with Vigna's splitmix64.c on Rosetta Code.
    stream = splitmix64(1234567)
    assert [next(stream) for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("rate", [None, 1.37])
def test_long_outputs_cross_the_calendar(random: bool, rate: float | None) -> None:
    load = Workload.from_counts([10, 50, 3], [300, 170, 7], [3, 5, 2], random=random)
    system = System(load, 20_000)
    depth = None if rate is None else rate + 1
    runs_agree(system, None, 1300, rate=rate, depth=depth, seed=7)


def test_more_requests_than_the_first_pool_holds() -> None:
    # Short alternating classes: thousands of runs of one request each, in one iteration.
    load = Workload.classes([(0, 3, 0.5), (1, 4, 0.5)])
    runs_agree(System(load, 9_000), None, 25)


def test_a_law_of_equal_tickets_takes_classes_strictly_in_turn() -> None:
    load = Workload.classes([(4, 6), (4, 7), (4, 8)])
    run = iterate(System(load, 12), steps=60, policy=Paced(0.1, 1.1), arithmetic="integer")
    outputs = [6, 7, 8]
    finished = np.flatnonzero(run.completed)
    began = np.flatnonzero(run.admitted)
    # A cap of one request in ten iterations leaves each alone in memory (l0 + l1 ≤ 12).
    for n, (start, end) in enumerate(zip(began, finished, strict=False)):
        assert end - start + 1 == outputs[n % 3]


@pytest.mark.parametrize("mass", [5e18, 1e19, 1e300])
def test_an_absurd_integer_start_is_refused_rather_than_wrapped(mass: float) -> None:
    # 5e18 · 3 tokens exceed 2^63: silent wrap-around made 4.6e18 requests fit in 140 tokens.
    start = State.dense([[0, mass]])
    with pytest.raises(ValueError, match="mass"):
        iterate(System(Workload.fixed(2, 2), 140), steps=3, start=start, arithmetic="integer")
