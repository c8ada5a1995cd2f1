"""Requests that can never fit: refused before the run, and no end of them keeps a run going."""

from __future__ import annotations

import pytest
from by_hand import SECOND, scenario

from kvsteady.errors import InputError
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fleet import Replica, RoundRobin, Stop, run_fleet
from kvsteady.simulate.loads import AtOnce, Closed, Poisson, Recorded, Saturated, Sessions, burst
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.workload import Workload

# Nothing of it fits in 100 tokens.
LARGE = Workload.classes([(90, 20), (200, 11), (200, 400)])
LOADS = {
    "saturated": Saturated(LARGE),
    "closed": Closed(LARGE, 3),
    "closed, thinking": Closed(LARGE, 3, think=0.5),
    "poisson": Poisson(LARGE, 5.0),
    "at once": AtOnce(LARGE, 10),
    "burst": burst(LARGE, 5.0, 10, 2.0),
    "sessions": Sessions(LARGE, 5, 1.0),
}
STOPS = [Stop(seconds=10), Stop(iterations=10), Stop(completed=10)]


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_a_load_of_which_nothing_fits_is_refused(load: object) -> None:
    with pytest.raises(InputError) as caught:
        simulate(scenario(load, 100, stop=Stop(seconds=10)))
    assert caught.value.field == "kv_tokens"
    # 90 + 20 tokens is the least.
    assert "100 KV tokens (100 blocks of 1)" in caught.value.problem
    assert "prompt 90 and output 20, needs 110 blocks" in caught.value.problem
    assert caught.value.allowed == "110 or more"


def test_the_last_token_of_a_real_engine_takes_no_memory() -> None:
    # vLLM stores 4 + 13 - 1 = 16 tokens: one block. With one token more it needs two.
    vllm = Vllm(block_size=16)
    run = simulate(scenario(AtOnce(Workload.fixed(4, 13), 3), 16, engine=vllm))
    assert (run.completed, run.failed) == (3, 0)
    with pytest.raises(InputError, match="32 or more"):
        simulate(scenario(AtOnce(Workload.fixed(4, 14), 3), 31, engine=vllm))


def test_one_replica_that_can_serve_is_enough() -> None:
    replicas = (Replica(Paper(), 100, SECOND), Replica(Paper(), 1000, SECOND))
    run = simulate(Scenario(AtOnce(LARGE, 30), replicas, router=RoundRobin()))
    assert run.failed == 15
    assert run.completed == 15


def test_a_recorded_load_knows_its_smallest_request(tmp_path) -> None:
    from kvsteady.workload.traces import Columns, read_trace

    path = tmp_path / "mine.csv"
    path.write_text("in,out,t\n120,3,0\n90,40,2.5\n100,20,4\n")
    trace = read_trace(path, columns=Columns.parse("prompt=in,output=out,time=t"))
    assert Recorded(trace).feed().smallest == (100, 20)
    assert Recorded(trace, max_tokens=10).feed().smallest == (90, 10)


@pytest.mark.parametrize("stop", STOPS, ids=["seconds", "iterations", "completed"])
@pytest.mark.parametrize("name", ["saturated", "closed", "closed, thinking", "poisson"])
def test_the_kernels_come_back_where_everything_is_rejected(name: str, stop: Stop) -> None:
    # (Fleets bring clients and sessions one by one in Python: too slow for a test.)
    for count in (1, 2) if name in ("saturated", "poisson") else (1,):
        replicas = (Replica(Paper(), 100, SECOND),) * count
        machines = run_fleet(replicas, LOADS[name], RoundRobin(), stop=stop)
        assert all(int(machine.clock["all_completed"]) == 0 for machine in machines)
        assert all(int(machine.clock["all_rejected"]) > 0 for machine in machines)


def test_those_who_are_here_go_on_while_the_rest_is_rejected() -> None:
    # One in 200,001 fits: whoever runs must not wait until the next one comes.
    rare = Workload.classes([(4, 8, 1 / 200_001), (90, 20, 200_000 / 200_001)])
    load = Saturated(rare)
    replica = Replica(Paper(), 100, SECOND)
    (machine,) = run_fleet([replica], load, stop=Stop(completed=2))
    assert int(machine.clock["all_completed"]) >= 2
    assert int(machine.clock["iteration"]) < 100
