"""The integer kernel with kept tokens against plain lists of requests, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, Eviction, State, System, find_cycle, iterate
from kvsteady.model.requeue_place import Requeue
from kvsteady.workload import Workload
from reference.integer import brute_force_period
from reference.requeue import requeueing
from reference.systems import Paced, requests_of, systems, whole_starts

UNIT = 2**30  # the model counts admission credit in this fraction of a request
PLACES = st.builds(
    Requeue,
    st.sampled_from(["head", "tail"]),
    st.sampled_from(["admitted", "generated"]),
    st.integers(1, 40),
)
RESUME = Eviction.RESUME


def runs_agree(
    system: System,
    start: State | None,
    steps: int,
    place: Requeue,
    *,
    rate: float | None = None,
    depth: float | None = None,
    seed: int = 0,
) -> None:
    policy = None if rate is None or depth is None else Paced(rate, depth)
    units = [None if x is None else Fraction(round(x * UNIT), UNIT) for x in (rate, depth)]
    engine = requeueing(system, start, place=place, rate=units[0], depth=units[1], seed=seed)
    run = iterate(
        system,
        steps=steps,
        start=start,
        policy=policy,
        arithmetic="integer",
        seed=seed,
        eviction=RESUME,
        requeue=place,
    )
    for t in range(steps):
        if t in {0, 1, 2, steps // 2, steps - 1}:
            assert requests_of(run.state(t)) == engine.in_order_of_age(), f"before iteration {t}"
            assert requests_of(run.waiting(t)) == engine.waiting(), f"before iteration {t}"
        assert run.rows[t].tolist() == engine.step(), f"iteration {t}"


@settings(deadline=None, max_examples=100)
@given(st.data(), PLACES)
def test_greedy_runs_of_random_systems_in_turn(data: st.DataObject, place: Requeue) -> None:
    system = data.draw(systems(most=10))
    runs_agree(system, data.draw(whole_starts(system)), 120, place)


@settings(deadline=None, max_examples=60)
@given(st.data(), PLACES, st.integers(1, 4000), st.integers(0, 4000))
def test_capped_runs_of_random_systems_in_turn(
    data: st.DataObject, place: Requeue, rate: int, depth: int
) -> None:
    system = data.draw(systems(most=10))
    start = data.draw(whole_starts(system))
    runs_agree(system, start, 120, place, rate=rate / 999, depth=rate / 999 + depth / 1000)


@settings(deadline=None, max_examples=60)
@given(st.data(), PLACES, st.integers(0, 2**62 - 1), st.booleans())
def test_runs_of_random_lengths(
    data: st.DataObject, place: Requeue, seed: int, capped: bool
) -> None:
    system = data.draw(systems(random=True, most=10))
    limit = {"rate": 0.923, "depth": 1.923} if capped else {}
    runs_agree(system, data.draw(whole_starts(system)), 120, place, seed=seed, **limit)


def test_more_requests_than_the_first_pool_holds() -> None:
    # Short alternating classes: thousands of runs of one request each, in one iteration.
    load = Workload.classes([(0, 3, 0.5), (1, 4, 0.5)])
    runs_agree(System(load, 5_000), None, 9, Requeue("tail", "generated", 300))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_at_the_head_both_orders_of_eviction_are_one(data: st.DataObject) -> None:
    # Ours: head re-queueing keeps requests in the order of their first admission, so who was
    # admitted earlier ran in every iteration in which a later one did, and has as many tokens.
    system = data.draw(systems(most=10, random=data.draw(st.booleans())))
    start = data.draw(whole_starts(system))
    runs = [
        iterate(
            system,
            steps=200,
            start=start,
            arithmetic="integer",
            eviction=RESUME,
            requeue=Requeue("head", order),
        )
        for order in ("admitted", "generated")
    ]
    np.testing.assert_array_equal(runs[0].rows, runs[1].rows)


@settings(deadline=None, max_examples=60)
@given(st.data(), PLACES, st.booleans())
def test_periods_are_those_that_remembering_every_state_finds(
    data: st.DataObject, place: Requeue, capped: bool
) -> None:
    system = data.draw(systems(most=4, most_output=5))
    rate, depth = (Fraction(3, 4), Fraction(7, 4)) if capped else (None, None)
    engine = requeueing(system, place=place, rate=rate, depth=depth)
    _, period = brute_force_period(engine, 5_000)
    assume(period > 0)
    policy = Paced(float(rate), float(depth)) if rate and depth else None
    cycle = find_cycle(system, arithmetic="integer", policy=policy, eviction=RESUME, requeue=place)
    assert cycle.period == period
    assert cycle.eviction is RESUME
    # One turn done by the reference, which stands on the cycle now.
    rows = np.array([engine.step() for _ in range(period)], dtype=float)
    np.testing.assert_allclose(cycle.turn.resumed, rows[:, 7].mean())
    np.testing.assert_allclose(cycle.throughput, rows[:, 2].mean())
    assert cycle.turn.resumed == pytest.approx(cycle.turn.evicted)  # who leaves comes back


def test_swap_moves_the_same_requests_and_counts_transfers_instead() -> None:
    system = System(Workload.fixed(15, 32), 960)
    resume, swap = (
        iterate(system, steps=500, arithmetic="integer", eviction=way)
        for way in (Eviction.RESUME, Eviction.SWAP)
    )
    np.testing.assert_array_equal(resume.rows, swap.rows)
    np.testing.assert_array_equal(resume.recomputed_tokens, resume.resumed_tokens)
    np.testing.assert_array_equal(
        swap.swapped_tokens, resume.evicted_tokens + resume.resumed_tokens
    )
    assert resume.swapped_tokens.sum() == swap.recomputed_tokens.sum() == swap.recompute_tax == 0
    prefilled = resume.prompt_tokens.sum() + resume.resumed_tokens.sum()
    assert resume.recompute_tax == pytest.approx(resume.resumed_tokens.sum() / prefilled)
    assert resume.averages().recompute_tax == pytest.approx(resume.recompute_tax)
    assert swap.averages().swapped_tokens == pytest.approx(swap.swapped_tokens.mean())


def test_restart_has_no_such_columns() -> None:
    run = iterate(System(Workload.fixed(2, 2), 140), steps=5, arithmetic="integer")
    assert run.rows.shape == (5, 7)
    assert requests_of(run.waiting(3)) == []
    assert np.isnan(run.averages().recompute_tax)
    with pytest.raises(InputError, match="restart"):
        _ = run.recomputed_tokens


def test_what_the_fluid_model_cannot_follow_is_refused() -> None:
    two = System(Workload.classes([(2, 3), (5, 7)]), 140)
    with pytest.raises(InputError, match="mix"):
        iterate(two, steps=2, eviction=RESUME, start=State.dense([[1.0, 1.0, 0], [0, 0, 1.0]]))
    with pytest.raises(InputError, match="tail"):
        iterate(two, steps=2, eviction=RESUME, requeue=Requeue("tail"))
    with pytest.raises(InputError, match="cohorts"):
        iterate(two, steps=2, eviction=RESUME, start=Cohorts.of([1.0]))
    with pytest.raises(InputError, match="length"):
        Requeue(length=0)


def test_what_would_pass_for_something_else_is_refused() -> None:
    system = System(Workload.fixed(2, 2), 140)
    with pytest.raises(InputError, match="eviction"):  # a word is no Eviction
        iterate(system, steps=2, eviction="restart")
    with pytest.raises(InputError, match="requeue"):
        iterate(system, steps=2, eviction=RESUME, requeue="tail")
    for way in Eviction:  # a list is no start, nor an empty memory
        with pytest.raises(InputError, match="start"):
            iterate(system, steps=2, eviction=way, start=[3, 4])
