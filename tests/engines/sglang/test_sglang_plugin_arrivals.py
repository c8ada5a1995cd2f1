"""When requests arrived, as a policy in SGLang's real scheduler is told."""

from __future__ import annotations

import random
from importlib import metadata
from time import perf_counter

import pytest

from recording import evicted, overheard

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Arrival, Driver, Knobs, guard, plugged, prioritised


@pytest.mark.parametrize("by", ["arrival", "priority"])
@pytest.mark.parametrize("chunk", [8192, 16])
def test_it_is_when_sglang_received_it_until_the_end(by: str, chunk: int) -> None:
    knobs = Knobs(
        tokens=400, max_running_requests=64, disable_radix_cache=True, chunked_prefill_size=chunk
    )
    draw, received = random.Random(4), {}
    # A forecast that is far too low: some are retracted.
    with plugged(policy="new-token-ratio:initial=0.05", budget_ms="60000"):
        driver = Driver(knobs)
        if by == "priority":
            prioritised(driver)
        driver.step()  # makes the guard
        begun = perf_counter()
        seen = overheard(guard(driver).regulator)
        coming = list(range(1, 61))
        for _ in range(3000):
            for prompt in coming[: draw.choice([0, 0, 1, 4])]:
                driver.add(Arrival(0, prompt, 40, 90))
                coming.remove(prompt)
                req = driver.scheduler.waiting_queue[-1]
                req.priority = draw.randint(0, 2)
                received[prompt] = req.time_stats.scheduler_recv_time
            if driver.step().nobody and not coming:
                break
        assert guard(driver).regulator.why_aside is None
    assert sorted(seen) == list(range(1, 61))
    assert begun < received[1]
    assert list(received.values()) == sorted(received.values())
    for prompt, rows in seen.items():
        assert {row.arrived for row in rows} == {received[prompt]}
        assert all(row.arrived <= row.now for row in rows)
    assert sum(map(evicted, seen.values())) > 3
