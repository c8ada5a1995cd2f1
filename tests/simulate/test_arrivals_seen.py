"""When requests arrived, as a policy on a simulated engine is told."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from kvsteady.admission import decide_of
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.engines.transformers import Transformers
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times import LinearTime
from recording import Recorder, evicted
from stepping import feed_of

TIME = LinearTime(iteration=0.25, prefill=0.001, decode=0.01, kv_read=0.0)
MANY = 60
ENGINES = (
    Vllm(block_size=1, enable_prefix_caching=False),
    Vllm(block_size=1, enable_prefix_caching=False, policy="priority"),
    Sglang(disable_radix_cache=True, init_new_token_ratio=0.05),  # forecasts too little
    Transformers(page_size=4, allow_block_sharing=False),
)


def load():
    """Requests with prompts of their own, some at once, in memory that is too small for them."""
    draw = random.Random(3)
    now, requests = 0.0, []
    for prompt in range(1, MANY + 1):
        now += draw.choice([0.0, 0.1, 2.5])
        row = {"time": now, "prompt": prompt, "output": 50, "priority": draw.randint(0, 2)}
        requests.append(row)
    return requests


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: f"{e.name}-{getattr(e, 'policy', '')}")
def test_it_is_the_loads_time_until_the_end(engine):
    policy = Recorder(4000, MANY)
    Machine(engine, 400, TIME, feed_of(load()), policy=policy).run(4000)
    assert sorted(policy.seen) == list(range(1, MANY + 1))
    for request in load():
        rows = policy.seen[request["prompt"]]
        assert {row.arrived for row in rows} == {request["time"]}
        assert all(row.now >= row.arrived for row in rows)
        # It is seen in the first iteration after it came.
        assert rows[0].waits
    assert sum(map(evicted, policy.seen.values())) >= 3


def test_of_who_came_before_the_policy_was_adopted_it_is_negative():
    machine = Machine(ENGINES[0], 400, TIME, feed_of(load()))
    machine.run(40)
    begun = float(machine.clock["now"])
    policy = Recorder(4000, MANY)
    machine.adopt(policy)
    machine.run(4000)
    times = {request["prompt"]: request["time"] for request in load()}
    for prompt, rows in policy.seen.items():
        for row in rows:
            assert row.arrived == pytest.approx(times[prompt] - begun, abs=1e-9)
            assert row.now >= row.arrived
    arrived = [rows[0].arrived for rows in policy.seen.values()]
    assert min(arrived) < 0 < max(arrived)


def test_where_requests_come_on_demand_it_is_when_they_were_put_into_the_queue():
    policy = Recorder(4000, MANY)
    feed = feed_of(load(), on_demand=True)
    machine = Machine(ENGINES[0], 400, TIME, feed, policy=policy)
    machine.clock["backlog"] = 5
    machine.run(4000)
    seen = policy.seen
    assert sorted(seen) == list(range(1, MANY + 1))
    for rows in seen.values():
        assert {row.arrived for row in rows} == {rows[0].now}
    assert sum(map(evicted, seen.values())) >= 3
    # Five wait at a time, and one that came waits for as long as those before it.
    assert any(rows[3].waits for rows in seen.values())


class Window(NamedTuple):
    seconds: float


@decide_of(Window)
def _waited(state, view):
    facts = view.facts
    for i in range(facts.shown_waiting):
        if facts.now - view.waiting[i].arrived < state.seconds:
            return i
    return facts.shown_waiting


@dataclass(frozen=True)
class Later:
    """Nobody enters before it has waited so long: who comes together is prefilled together."""

    seconds: float

    sees_running = False
    oracle = False

    def start(self, setup):
        del setup
        return Window(self.seconds)


def test_a_policy_may_go_by_how_long_one_has_waited():
    done, log = [], []
    machine = Machine(
        ENGINES[0],
        4000,
        TIME,
        feed_of(load()),
        policy=Later(1.5),
        finished=done.append,
        iterations=log.append,
        log_every=1,
    )
    machine.run(4000)
    machine.flush()
    rows, starts = np.concatenate(done), np.concatenate(log)["start"]
    assert rows.size == MANY
    assert rows["preemptions"].sum() == 0
    # Each is admitted by the first iteration that begins 1.5 seconds after it came.
    first = starts[np.searchsorted(starts, rows["arrival"] + 1.5 - 1e-9)]
    np.testing.assert_allclose(rows["scheduled"], first, atol=1e-9)
