"""Engines that make no progress are found out, with what they do over and over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest

from kvsteady.errors import KvsteadyError
from kvsteady.simulate import arriving
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.doors import fits, hold, left_of, schedule_of
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import Replica, Stop, run_fleet
from kvsteady.simulate.lists import append
from kvsteady.simulate.loads import AtOnce, Closed, Saturated
from kvsteady.simulate.machine import Machine, SimulationError
from kvsteady.simulate.moves import admit, evict, prefill
from kvsteady.simulate.records import COMPLETED, REJECTED
from kvsteady.simulate.results.halt import find_halt
from kvsteady.simulate.state import RUNNING, WAITING
from kvsteady.workload import Workload
from stepping import UnitTime, feed_of


class _Habits(NamedTuple):
    unused: float = 0.0


@dataclass(frozen=True)
class Restless:
    """Takes the queue's head in for one iteration, then prefers the next: nobody gets anywhere."""

    name: str = "restless"
    block_size: int = 1
    unwritten: int = 1

    def habits(self):
        return _Habits()

    def memory(self, blocks, slots):
        del blocks, slots
        return Counted()


@schedule_of(_Habits)
def _schedule(engine, memory, s):  # noqa: ARG001 - codes behind a door share a signature
    slot = s.lists[RUNNING].first
    if slot >= 0:
        evict(memory, s, slot, RUNNING)
        append(s, WAITING, slot)
    slot = s.lists[WAITING].first
    if slot >= 0 and fits(memory, s, slot, s.requests[slot].prompt, 0):
        hold(memory, s, slot, s.requests[slot].prompt)
        admit(s, slot, 0)
        prefill(s, slot, s.requests[slot].prompt - 1)  # all but the token that would bring one


@left_of(_Habits)
def _left(engine, s, slot):  # noqa: ARG001 - as above
    return


def test_engines_that_numba_cannot_tell_apart_are_refused():
    class Alike(NamedTuple):
        another: int = 0  # one whole number, as the paper engine's habits

    with pytest.raises(TypeError, match="numba would take"):
        schedule_of(Alike)


def test_a_livelock_is_found_with_its_cycle():
    requests = [{"prompt": 8, "output": 4} for _ in range(3)]
    machine = Machine(Restless(), 64, UnitTime(), feed_of(requests))
    assert machine.run(10**6) == arriving.LIVELOCK
    assert machine.clock["all_completed"] == 0
    halt = find_halt(machine, machine.run, arriving.LIVELOCK)
    # Three requests take turns: one eviction an iteration, the same state every three.
    assert (halt.livelocked, halt.period, halt.evictions) == (True, 3, 3)
    assert halt.requests == (0, 1, 2)


@pytest.mark.parametrize("load", [AtOnce, Saturated])
def test_a_fleet_reports_it_by_replica_and_keeps_what_left(load):
    workload = Workload.classes([(8, 1), (8, 20)])
    left = []
    fleet = [Replica(Paper(), 4096, UnitTime()), Replica(Restless(), 64, UnitTime(), name="bad")]

    class ByTurn:
        def start(self):
            return lambda request, _: request.number % 2

    with pytest.raises(SimulationError) as error:
        run_fleet(
            fleet,
            load(workload, requests=40),
            ByTurn(),
            stop=Stop(seconds=1e6),
            finished=lambda i, rows: left.append((i, rows)),
        )
    assert isinstance(error.value, KvsteadyError)
    text = str(error.value)
    assert text.startswith("replica 1 (bad): Livelock")
    assert "the same state recurs" in text
    assert "\n" not in text
    assert {i for i, _ in left} <= {0, 1}
    ids = np.concatenate([rows["id"] for i, rows in left if i == 0])
    assert np.unique(ids).size == ids.size == 20


def test_a_request_that_can_never_fit_is_rejected_by_name():
    requests = [
        {"prompt": 8, "output": 4},
        {"prompt": 30, "output": 20},
        {"prompt": 1, "output": 1},
    ]
    left = []
    (machine,) = run_fleet(
        [Replica(Paper(), 40, UnitTime())],
        _Given(requests),
        finished=lambda _, rows: left.append(rows),
    )
    rows = np.concatenate(left)
    status = dict(zip(rows["id"].tolist(), rows["status"].tolist(), strict=True))
    assert status == {0: COMPLETED, 1: REJECTED, 2: COMPLETED}
    clock = machine.clock
    assert (clock["all_arrived"], clock["all_completed"], clock["all_rejected"]) == (3, 2, 1)
    rejected = rows[rows["id"] == 1][0]
    assert (rejected["prompt"], rejected["output"], rejected["scheduled"]) == (30, 20, -1.0)


def test_a_client_whose_request_is_rejected_goes_on():
    workload = Workload.classes([(8, 4), (30, 20)])
    left = []
    run_fleet(
        [Replica(Paper(), 40, UnitTime())] * 2,
        Closed(workload, 3, requests=30),
        _Halves(),
        finished=lambda _, rows: left.append(rows),
    )
    rows = np.concatenate(left)
    assert np.bincount(rows["status"]).tolist() == [15, 15]
    assert np.unique(rows["id"]).size == 30


class _Halves:
    def start(self):
        return lambda request, _: request.number // 2 % 2


class _Given:
    def __init__(self, requests):
        self.requests = requests

    def feed(self):
        return replace(feed_of(self.requests), total=len(self.requests))
