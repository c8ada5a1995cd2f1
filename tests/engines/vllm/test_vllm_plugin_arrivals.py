"""When requests arrived, as a policy in the real scheduler of vLLM is told."""

from __future__ import annotations

import random
import time

import pytest

from recording import evicted, overheard
from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")

from vllm.sampling_params import SamplingParams
from vllm.v1.request import Request

from engines.vllm.drive import driven, driver_of
from engines.vllm.plugged import PATIENT

GREEDY = {"policy": "greedy", **PATIENT}


def case_of(queue: str, asynchronous: bool) -> Case:
    """Prompts of their own, in memory that is too small for those who come together."""
    draw, step, asked = random.Random(2), 0, []
    for prompt in range(1, 61):
        step += draw.choice([0, 0, 1, 9])
        asked.append(Arrival(step, prompt, 40, draw.randint(0, 2)))
    return Case(Knobs(policy=queue, async_scheduling=asynchronous), 100, 4, tuple(asked))


@pytest.mark.parametrize("queue", ["fcfs", "priority"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
def test_it_is_vllms_own_time_until_the_end(tmp_path, queue, asynchronous):
    # The driver tells vLLM the number of the iteration: seconds of a wall clock, in 1970.
    case = case_of(queue, asynchronous)
    driver = driver_of(tmp_path, case, kvsteady=GREEDY)
    watch = driver.scheduler.kvsteady
    seen = overheard(watch.regulator)
    for _ in driven(driver, case, 2000):
        pass
    assert watch.regulator.why_aside is None
    assert sorted(seen) == list(range(1, 61))
    begun = seen[1][0].arrived - case.arrivals[0].step
    for prompt, rows in seen.items():
        assert len({row.arrived for row in rows}) == 1
        assert rows[0].arrived - begun == pytest.approx(case.arrivals[prompt - 1].step, abs=0.5)
        assert all(row.arrived <= row.now for row in rows)
    assert sum(map(evicted, seen.values())) > 3
    assert not watch._arrivals._came


def test_seconds_before_it_came_to_the_scheduler_count_and_none_to_come(tmp_path):
    driver = driver_of(tmp_path, case_of("fcfs", False), kvsteady=GREEDY)
    seen = overheard(driver.scheduler.kvsteady.regulator)
    for prompt, ahead in ((10, -3.0), (20, 3600.0)):
        params = SamplingParams(max_tokens=9, ignore_eos=True)
        came = time.time() + ahead
        driver.scheduler.add_request(
            Request(f"{prompt}", [1] * prompt, params, None, arrival_time=came)
        )
    driver.scheduler.schedule()
    assert 3.0 <= seen[10][0].now - seen[10][0].arrived < 60.0
    assert 0.0 <= seen[20][0].now - seen[20][0].arrived < 60.0
