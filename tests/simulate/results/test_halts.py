"""Engines that do not get on: the run ends, and the result says who goes round."""

from __future__ import annotations

from by_hand import EvictsOldest, Listed, scenario

from kvsteady.model import Eviction
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.fleet import RoundRobin
from kvsteady.simulate.simulate import simulate

TWO = Listed(*[{"id": 11, "prompt": 10, "output": 20}, {"id": 12, "prompt": 10, "output": 20}])


def by_hand() -> tuple[int, set[tuple[int, int]]]:
    """Period and evictions of the two, by a plain walk: who holds how much, oldest first."""
    held: list[list[int]] = []  # [who, tokens]
    queue, seen, log = [11, 12], {}, []
    for step in range(1000):
        evicted = 0
        while sum(tokens + 1 for _, tokens in held) > 35:
            who, _ = held.pop(0)
            queue.append(who)
            log.append((step, who))
            evicted += 1
        held = [[who, tokens + 1] for who, tokens in held]
        if not evicted and queue and sum(tokens for _, tokens in held) + 11 <= 35:
            held.append([queue.pop(0), 11])
        assert all(tokens < 30 for _, tokens in held), "one would complete"
        state = (tuple(map(tuple, held)), tuple(queue))
        if state in seen:
            return step - seen[state], {entry for entry in log if entry[0] > seen[state]}
        seen[state] = step
    raise AssertionError("no cycle")


def test_a_livelock_is_reported_with_its_cycle() -> None:
    period, evictions = by_hand()
    run = simulate(scenario(TWO, 35, engine=EvictsOldest(), eviction=Eviction.RESTART))
    assert (run.outcome, run.completed, run.unfinished) == ("livelocked", 0, 2)
    assert run.cycle is not None
    assert (run.cycle.period, run.cycle.evictions) == (period, len(evictions))
    assert run.cycle.requests == (11, 12)
    assert f"every {period} iterations the same state recurs" in run.cycle.text
    assert run.advice[0].startswith("evicts-oldest: Livelock: no request completed in")
    assert run.replicas[0].ended == "livelocked"


def test_the_totals_end_where_the_livelock_was_found() -> None:
    # The iterations that were run on to find the cycle are not counted.
    run = simulate(scenario(TWO, 35, engine=EvictsOldest(), eviction=Eviction.RESTART))
    patience = 10 * (10 + 20) + 10_000  # Machine
    assert patience < run.iterations < patience + 100


def test_a_stall_names_who_waits_at_the_head() -> None:
    # Vidur's prefill batch takes 100 tokens at most: a prompt of 200 is never admitted.
    engine = VidurVllm(max_tokens_in_batch=100)
    load = Listed({"id": 3, "prompt": 200, "output": 5}, {"id": 4, "prompt": 20, "output": 5})
    run = simulate(scenario(load, 1600, engine=engine))
    assert (run.outcome, run.unfinished) == ("stalled", 2)
    assert run.cycle is not None
    assert (run.cycle.period, run.cycle.requests) == (None, (3,))
    assert "request 3 at the head of the queue" in run.cycle.text


def test_other_replicas_finish_their_work() -> None:
    one = {"prompt": 10, "output": 20}
    load = Listed(*[{"id": i, **one} for i in range(4)])
    described = scenario(
        load, 35, engine=EvictsOldest(), eviction=Eviction.RESTART, count=2, router=RoundRobin()
    )
    roomy = described.replicas[0].__class__(
        EvictsOldest(), 100, described.replicas[0].time, Eviction.RESTART
    )
    run = simulate(described.__class__(load, (described.replicas[0], roomy), router=RoundRobin()))
    assert run.outcome == "livelocked"
    assert [replica.ended for replica in run.replicas] == ["livelocked", "drained"]
    assert run.completed == 2
