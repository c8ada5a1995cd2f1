"""When requests arrived, as a policy of the exact model is told.

Every class has a prompt of its own and comes once, so that a request is known again: it must bear
the time at which it was first shown, whatever happens to it.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.model import Eviction, State, System, iterate
from kvsteady.model.arrivals import Arrivals, Line
from kvsteady.model.requeue_place import AT_HEAD, Requeue
from kvsteady.workload import Workload
from recording import Recorder, evicted

CLASSES, STEPS = 200, 100
PLACES = st.builds(
    Requeue,
    st.sampled_from(["head", "tail"]),
    st.sampled_from(["admitted", "generated"]),
    st.integers(1, 40),
)


def system_of(seed, kv_tokens=700):
    draw = random.Random(seed)
    lengths = [(prompt, draw.choice([1, 2, 15, 60])) for prompt in range(1, CLASSES + 1)]
    return System(Workload.classes(lengths), kv_tokens)


def run(seed, eviction, place, every, *, kv_tokens=700, steps=STEPS, start=None):
    """A run in memory for a few at once, in which no class comes twice."""
    policy = Recorder(STEPS, CLASSES, every)
    went = iterate(
        system_of(seed, kv_tokens),
        steps=steps,
        start=start,
        policy=policy,
        arithmetic="integer",
        eviction=eviction,
        requeue=place,
    )
    again = went.resumed.sum() if eviction is Eviction.RESUME else 0
    assert went.admitted.sum() - again < CLASSES - 32  # no class was shown a second time
    return policy.seen


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**30), PLACES, st.integers(0, 2))
def test_who_keeps_its_tokens_keeps_its_time_of_arrival(seed, place, every):
    seen = run(seed, Eviction.RESUME, place, every)
    for rows in seen.values():
        assert {row.arrived for row in rows} == {rows[0].now}
    if every == 0:
        assert any(map(evicted, seen.values()))


@pytest.mark.parametrize("seed", range(4))
def test_who_begins_anew_is_somebody_else(seed):
    seen = run(seed, Eviction.RESTART, AT_HEAD, 0)
    for rows in seen.values():
        assert {row.arrived for row in rows} == {rows[0].now}
    assert not any(map(evicted, seen.values()))


def test_who_is_admitted_unseen_arrived_just_then():
    # The first iterations admit more than the 32 that are shown.
    seen = run(0, Eviction.RESUME, AT_HEAD, 0, kv_tokens=6000, steps=3)
    unseen = [rows for rows in seen.values() if not rows[0].waits]
    assert len(unseen) > 10
    assert {rows[0].now - rows[0].arrived for rows in unseen} == {1.0}
    assert all(len({row.arrived for row in rows}) == 1 for rows in seen.values())


def test_who_is_there_at_the_start_came_as_long_before_as_it_has_generated():
    load = system_of(0).workload
    table = np.zeros((CLASSES, 60))
    ages = {CLASSES - 3: 0, CLASSES - 2: 7, CLASSES - 1: 7}  # of the longest outputs
    for row, age in ages.items():
        table[row, age] = 1
    seen = run(0, Eviction.RESUME, AT_HEAD, 1, start=State.dense(table))
    for row, age in ages.items():
        assert {each.arrived for each in seen[int(load.prompt[row])]} == {-age}


@pytest.mark.parametrize(("place", "waits"), [("head", [-2, -1]), ("tail", [-1, -2])])
def test_of_several_evicted_at_once_the_last_went_first(place, waits):
    # At the head each goes before the one evicted before it, at the tail behind it.
    arrivals = Arrivals(np.array([3, 2, 1]), Requeue(place))
    nobody = Line(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    memory = Line(np.array([3, 2, 1]), np.array([9, 9, 9]))
    arrivals.follow(0, (memory, nobody, nobody), np.array([4]), evicted=2, resumed=0, fresh=0)
    assert (arrivals.running.tolist(), arrivals.evicted.tolist()) == ([-3], waits)
