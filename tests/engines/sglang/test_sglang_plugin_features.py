"""What else SGLang does, with the plug-in in it: ranks, aborts, priorities, metrics."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvsteady.plugins.sglang.supported import replica_of

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import (
    Arrival,
    Driver,
    Knobs,
    gate,
    guard,
    plugged,
    prioritised,
    saturate,
)

KNOBS = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
FIXED = [Arrival(0, 20, 40, 40)] * 3000


def everything_ended(driver: Driver) -> bool:
    scheduler = driver.scheduler
    return not scheduler.waiting_queue and scheduler.running_batch.is_empty()


@pytest.mark.parametrize("radix", [False, True])
def test_aborted_requests_go_and_the_others_complete(radix: bool) -> None:
    requests = FIXED[:400]
    knobs = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=not radix)
    abort = import_module("sglang.srt.managers.io_struct").AbortReq
    rng, gone = random.Random(5), set()
    with plugged(policy="steady"):
        driver = Driver(knobs)
        finished: list[int] = []
        for request in requests:
            driver.add(request)
        for step in range(3000):
            taken = driver.step()
            finished += taken.finished
            if step % 7 == 0:
                here = [*taken.running[:1], *taken.waiting[-1:]]
                here = [n for n in here if n >= 100]  # SGLang aborts by the beginning of a name
                for number in here[: rng.randint(0, 2)]:
                    driver.scheduler.abort_request(abort(rid=str(number)))
                    gone.add(number)
            if everything_ended(driver):
                break
        regulator = guard(driver).regulator
    assert everything_ended(driver)
    assert regulator.why_aside is None
    assert set(finished) | gone == set(range(400))
    assert len(gone) > 20
    assert (
        driver.scheduler.token_to_kv_pool_allocator.available_size()
        + (driver.scheduler.tree_cache.evictable_size())
        == 1620
    )


def test_priorities_go_first_and_within_one_the_order_holds() -> None:
    knobs = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
    with plugged(policy="rate-cap:rate=1"):
        driver = Driver(knobs)
        prioritised(driver)
        for number in range(300):
            driver.add(Arrival(0, 20, 40, 40))
            driver.scheduler.waiting_queue[-1].priority = number % 3
        order: list[int] = []
        while not everything_ended(driver):
            taken = driver.step()
            if taken.kind == "prefill":
                order += [number for number, _ in taken.tokens]
        assert guard(driver).regulator.why_aside is None
    assert order == [n for priority in (2, 1, 0) for n in range(300) if n % 3 == priority]


def test_where_as_many_run_as_may_a_higher_priority_still_takes_a_place() -> None:
    """SGLang's preemption: it is no admission more, and the policy does not stand in its way."""
    knobs = Knobs(tokens=1620, max_running_requests=8, disable_radix_cache=True)
    with plugged(policy="max-active:requests=8"):
        driver = Driver(knobs)
        prioritised(driver)
        driver.scheduler.enable_priority_preemption = True
        for _ in range(20):
            driver.add(Arrival(0, 20, 100, 100))
            driver.scheduler.waiting_queue[-1].priority = 0
        for _ in range(6):
            taken = driver.step()
        assert (len(taken.running), gate(driver).quota) == (8, 0)
        driver.add(Arrival(0, 20, 10, 10))
        driver.scheduler.waiting_queue[-1].priority = 5
        taken = driver.step()
        assert dict(taken.tokens) == {20: 20}
        assert len(taken.running) == 8
        driver.step()
        ledger = guard(driver).regulator.ledger
        assert (ledger.evicted, ledger.admitted, ledger.resumed) == (1, 9, 0)


def test_metrics_of_replicas_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = import_module("prometheus_client").REGISTRY
    labels = {"engine": "sglang", "policy": "rate-cap:rate=0.7", "mode": "enforce"}
    monkeypatch.setattr("kvsteady.plugins.sglang.guard.replica_of", lambda: 3)
    driver = Driver(KNOBS)
    driver.scheduler.metrics_reporter.enable_metrics = True
    with plugged(policy="rate-cap:rate=0.7"):
        saturate(driver, FIXED, 2)
    assert registry.get_sample_value("kvsteady_active", labels | {"rank": "3"}) == 1
    assert registry.get_sample_value("kvsteady_active", labels | {"rank": "0"}) is None


def test_the_replica_is_the_data_parallel_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    context = import_module("sglang.srt.runtime_context")
    for rank, replica in ((None, 0), (2, 2)):
        monkeypatch.setattr(
            context, "get_parallel", lambda rank=rank: SimpleNamespace(dp_rank=rank)
        )
        assert replica_of() == replica


def test_metrics_are_where_sglangs_own_are(tmp_path: Path) -> None:
    """SGLang's processes write to a folder, and its web server reads them there."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }
    code = """
from engines.sglang.plugged import *
with plugged(policy="rate-cap:rate=0.8"):
    driver = Driver(Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True))
    driver.scheduler.metrics_reporter.enable_metrics = True
    run = saturate(driver, [Arrival(0, 20, 40, 40)] * 3000, 161)
    print(run.count("finished"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    code = """
import prometheus_client, sys
from prometheus_client import multiprocess
registry = prometheus_client.CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
sys.stdout.write(prometheus_client.generate_latest(registry).decode())
"""
    read = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    values = {
        line.split("{")[0]: float(line.rsplit(" ", 1)[1])
        for line in read.stdout.splitlines()
        if line.startswith("kvsteady_")
    }
    assert 'policy="rate-cap:rate=0.8"' in read.stdout
    assert values["kvsteady_active"] == 1
    assert values["kvsteady_evicted_total"] == 0
    assert 0 < values["kvsteady_completed_total"] <= int(done.stdout)
