"""Fleets: against one machine alone, against a plain reference, and their own laws."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import (
    ROUTERS,
    ByClass,
    LeastRequests,
    Mixed,
    Replica,
    RoundRobin,
    SessionAffinity,
    Stop,
    run_fleet,
)
from kvsteady.simulate.integrity import check_integrity
from kvsteady.simulate.loads import AtOnce, Closed, Gamma, Poisson, Saturated, Sessions, Together
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload import Lengths, Workload

LAW = replace(Workload.classes([(6, 20, 0.4), (20, 5, 0.6)]), random=True)
SECOND = LinearTime(1.0, 0.0, 0.0, 0.0)
UNEVEN = LinearTime(0.3, 0.011, 0.007, 0.0009)
OPEN = Poisson(LAW, 0.5, requests=300, seed=4)
CLIENTS = Closed(LAW, 12, think=3.0, random_think=True, requests=300)
SESSIONS = Sessions(LAW, 60, 2.0, turns=Lengths.geometric(3.0), think=4.0, max_context=100)


def two(kv_tokens=110, time=UNEVEN):
    return [Replica(Paper(), kv_tokens, time), Replica(Paper(), kv_tokens + 40, time)]


def run(replicas, load, router=None, **options):
    """Rows of those that left each replica, in the order of their ids."""
    rows = [[] for _ in replicas]
    machines = run_fleet(
        replicas, load, router, finished=lambda i, batch: rows[i].append(batch), **options
    )
    for machine in machines:
        check_integrity(machine)
    left = [np.concatenate(batches) if batches else None for batches in rows]
    return [None if r is None else r[np.argsort(r["id"])] for r in left], machines


@dataclass(frozen=True)
class Looks:
    """Decides as a round robin, and looks at everything before."""

    def start(self):
        def choose(request, replicas):
            for view in replicas:
                used = view.kv_tokens - view.free_tokens
                assert 0 <= used <= view.kv_tokens
                assert view.running + view.waiting >= 0
                assert (view.waiting == 0) <= (view.waiting_tokens == 0)
            return request.number % len(replicas)

        return choose


@dataclass(frozen=True)
class Always:
    place: int

    def start(self):
        def choose(request, replicas):
            assert request.number >= 0
            assert len(replicas) > 0
            return self.place

        return choose


@dataclass(frozen=True)
class Part:
    """Of an open loop or of sessions, the requests that a condition holds for."""

    load: object
    condition: object

    def feed(self):
        feed = self.load.feed()
        return replace(feed, batches=(r[self.condition(r)] for r in feed.batches), total=None)


@pytest.mark.parametrize("load", [OPEN, CLIENTS, SESSIONS, Saturated(LAW, requests=300)])
def test_one_replica_is_a_machine_alone(load):
    (rows,), _ = run([two()[0]], load)
    found = []
    machine = Machine(Paper(), 110, UNEVEN, load.feed(), finished=found.append)
    machine.run(10**9)
    machine.flush()
    alone = np.concatenate(found)
    np.testing.assert_array_equal(rows, alone[np.argsort(alone["id"])])
    assert rows.size == load.feed().total


@pytest.mark.parametrize("load", [OPEN, Gamma(LAW, 0.5, cv=4.0, requests=300), AtOnce(LAW, 300)])
def test_looking_changes_nothing(load):
    blind, _ = run(two(), load, RoundRobin())
    seeing, _ = run(two(), load, Looks())
    for one, other in zip(blind, seeing, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("load", [OPEN, CLIENTS, SESSIONS])
@pytest.mark.parametrize("place", [0, 1])
def test_a_replica_that_gets_everything_is_alone(load, place):
    rows, _ = run(two(), load, Always(place))
    (alone,), _ = run([two()[place]], load)
    np.testing.assert_array_equal(rows[place], alone)
    assert rows[1 - place] is None


def test_replicas_do_not_disturb_each_other():
    rows, machines = run(two(), SESSIONS, SessionAffinity())
    assert all(int(machine.clock["all_preempted"]) > 0 for machine in machines)
    for place in (0, 1):
        own = Part(SESSIONS, lambda rows, place=place: rows["session"] % 2 == place)
        (alone,), _ = run([two()[place]], own, stop=Stop(seconds=1e9))
        np.testing.assert_array_equal(rows[place], alone)


def test_a_saturated_load_is_shared_out():
    rows, _ = run(two(), Saturated(LAW, requests=400), ByClass())
    for place in (0, 1):
        own = Part(Saturated(LAW, requests=400), lambda rows, place=place: rows["kind"] == place)
        (alone,), _ = run([two()[place]], own, stop=Stop(seconds=1e9))
        np.testing.assert_array_equal(rows[place], alone)


def plain_closed_loop(seconds, outputs, clients, think):
    """Clients over replicas in turn, memory without end: one iteration at a time.

    ``seconds`` per iteration of each replica; returns (replica, finish) of each request.
    """
    coming = [(0.0, n) for n in range(clients)]
    now = [0.0] * len(seconds)
    waiting = [[] for _ in seconds]
    left = [{} for _ in seconds]
    sent, order, finish = 0, clients, {}
    while True:
        busy = [i for i in range(len(seconds)) if left[i] or waiting[i]]
        i = min(busy, key=lambda i: now[i], default=None)
        if coming and (i is None or coming[0][0] <= now[i]):
            time, _ = heapq.heappop(coming)
            if sent < len(outputs):
                place = sent % len(seconds)
                if not left[place] and not waiting[place]:
                    now[place] = max(now[place], time)
                waiting[place].append(sent)
                sent += 1
            continue
        if i is None:
            return finish
        left[i].update({name: outputs[name] for name in waiting[i]})
        waiting[i] = []
        now[i] += seconds[i]
        for name in list(left[i]):
            left[i][name] -= 1
            if left[i][name] == 0:
                del left[i][name]
                finish[name] = (i, now[i])
                heapq.heappush(coming, (now[i] + think, order))
                order += 1


@settings(max_examples=100, deadline=None)
@given(
    seconds=st.lists(st.sampled_from([0.25, 0.5, 0.6875, 1.0]), min_size=2, max_size=3),
    clients=st.integers(1, 9),
    think=st.sampled_from([0.0, 0.25, 3.0]),
)
def test_clients_over_replicas_as_in_a_plain_reference(seconds, clients, think):
    law = Workload.classes([(1, 1), (1, 4), (1, 9)])
    load = Closed(law, clients, think=think, requests=60)
    outputs = np.concatenate([rows["output"] for rows in load.feed().batches]).tolist()
    replicas = [Replica(Paper(), 10_000, LinearTime(s, 0.0, 0.0, 0.0)) for s in seconds]
    found, _ = run(replicas, load, RoundRobin())
    expected = plain_closed_loop(seconds, outputs, clients, think)
    measured = {}
    for place, rows in enumerate(found):
        if rows is not None:
            pairs = zip(rows["id"].tolist(), rows["finish"].tolist(), strict=True)
            measured.update({name: (place, finish) for name, finish in pairs})
    assert measured == expected


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("load", [OPEN, CLIENTS, SESSIONS, Together((OPEN, SESSIONS))])
def test_every_router_sends_each_request_somewhere_once(name, load):
    rows, machines = run(two(), load, ROUTERS[name]())
    everyone = np.concatenate([r for r in rows if r is not None])
    assert np.unique(everyone["id"]).size == everyone.size == load.feed().total
    assert (everyone["status"] == 0).all()
    assert (everyone["arrival"] <= everyone["scheduled"]).all()
    again, _ = run(two(), load, ROUTERS[name]())
    for one, other in zip(rows, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sum(int(machine.clock["all_completed"]) for machine in machines) == everyone.size


@pytest.mark.parametrize("router", [RoundRobin(), LeastRequests()])
def test_stops(router):
    rows, machines = run(two(), replace(OPEN, requests=None), router, stop=Stop(seconds=100.0))
    for machine in machines:
        assert 95 < float(machine.clock["now"]) < 105
    assert all((r["scheduled"] < 100).all() for r in rows)
    _, machines = run(two(), replace(OPEN, requests=None), router, stop=Stop(iterations=50))
    assert [int(machine.clock["iteration"]) for machine in machines] == [50, 50]
    for load in (replace(OPEN, requests=None), replace(CLIENTS, requests=None)):
        _, machines = run(two(), load, router, stop=Stop(completed=40))
        assert 40 <= sum(int(machine.clock["all_completed"]) for machine in machines) < 80


def test_stops_of_one_replica_are_exact():
    _, (machine,) = run([two()[0]], Saturated(LAW), stop=Stop(completed=100))
    before = int(machine.clock["all_completed"]) - int(machine.clock["completed"])
    assert before < 100 <= int(machine.clock["all_completed"])
    _, (machine,) = run([two()[0]], Saturated(LAW), stop=Stop(iterations=77))
    assert int(machine.clock["iteration"]) == 77


def test_progress_ends_at_the_total():
    for load in (OPEN, CLIENTS, SESSIONS, Saturated(LAW, requests=300)):
        seen = []
        run(
            two(), load, Mixed(), progress=lambda done, total, seen=seen: seen.append((done, total))
        )
        assert seen == sorted(seen) or load is CLIENTS or load is SESSIONS
    seen = []
    run([two()[0]], Saturated(LAW), stop=Stop(iterations=9), progress=lambda *at: seen.append(at))
    assert seen[-1] == (9, 9)


def test_an_interrupt_leaves_whole_batches():
    handed = defaultdict(list)

    def interrupt(*at):
        if at[0] >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_fleet(
            two(),
            replace(OPEN, requests=100_000),
            LeastRequests(),
            finished=lambda i, rows: handed[i].append(rows),
            progress=interrupt,
        )
    rows = np.concatenate([rows for batches in handed.values() for rows in batches])
    assert rows.size >= 100
    assert np.unique(rows["id"]).size == rows.size


def test_many_requests_at_once_are_all_taken():
    # More than the inbox of an engine holds.
    rows, _ = run(two(40_000), AtOnce(LAW, 40_000), RoundRobin())
    assert [r.size for r in rows] == [20_000, 20_000]


@pytest.mark.parametrize(
    ("replicas", "load", "router", "stop", "field"),
    [
        ([], OPEN, None, None, "replicas"),
        (two(), OPEN, None, None, "router"),
        (two(), OPEN, Always(2), None, "router"),
        (two(), OPEN, ByClass(places=(0,)), None, "places"),
        (two(), Saturated(LAW), RoundRobin(), None, "stop"),
        (two(), Saturated(LAW), LeastRequests(), Stop(iterations=9), "router"),
        ([two()[0]], Poisson(LAW, 1.0), None, Stop(), "stop"),
    ],
)
def test_what_cannot_be_run_is_named(replicas, load, router, stop, field):
    with pytest.raises(InputError) as error:
        run_fleet(replicas, load, router, stop=stop)
    assert error.value.field == field


def test_a_replica_that_is_never_sent_anything_is_named(monkeypatch):
    monkeypatch.setattr("kvsteady.simulate.fleet.saturated._PATIENCE", 20_000)
    with pytest.raises(InputError, match="replica 1 is sent nothing"):
        run_fleet(two(), Saturated(LAW), Always(0), stop=Stop(seconds=1e9, completed=10**6))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Replica(Paper(), 0, SECOND), "kv_tokens"),
        (lambda: Replica(Paper(block_size=16), 15, SECOND), "kv_tokens"),
        (lambda: Stop(seconds=0.0), "seconds"),
        (lambda: Stop(iterations=0), "iterations"),
        (lambda: Stop(completed=0), "completed"),
    ],
)
def test_bad_options_are_named(make, field):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.field == field
