"""Pausing an SGLang with the plug-in in it, as weight updates do: SGLang's own pause and resume."""

from __future__ import annotations

from importlib import import_module, metadata
from types import SimpleNamespace
from typing import Any

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Arrival, Driver, Knobs, OverlapDriver, guard, plugged, saturate

PAUSE = import_module("sglang.srt.managers.io_struct").PauseGenerationReqInput
RESUME = import_module("sglang.srt.managers.io_struct").ContinueGenerationReqInput
KNOBS = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
REQUESTS = [Arrival(0, 20, 40, 40)] * 400


def can_pause(driver: Driver) -> Driver:
    """Put there what the constructor would have put for a pause."""
    scheduler: Any = driver.scheduler
    scheduler._engine_paused, scheduler._pause_started_at = False, None
    scheduler._pause_intervals = []
    scheduler.kv_events_publisher = SimpleNamespace(publish_kv_events=lambda: None)
    scheduler.metrics_reporter.current_scheduler_metrics_enabled = False
    scheduler.process_batch_result = lambda batch, _: driver.process(batch)
    return driver


@pytest.mark.parametrize("mode", ["in_place", "retract"])
@pytest.mark.parametrize("kind", [Driver, OverlapDriver])
@pytest.mark.parametrize("policy", ["steady", "rate-cap:rate=1"])
def test_after_a_pause_it_goes_on_and_everybody_completes(
    mode: str, kind: type[Driver], policy: str
) -> None:
    with plugged(policy=policy):
        driver = can_pause(kind(KNOBS))
        scheduler = driver.scheduler
        before = saturate(driver, REQUESTS, 150)
        ran = {int(req.rid) for req in scheduler.running_batch.reqs if not req.finished()}
        assert len(ran) > 10
        scheduler.pause_generation(PAUSE(mode=mode))
        if mode == "retract":
            free = scheduler.token_to_kv_pool_allocator.available_size()
            assert free == KNOBS.tokens
        scheduler.continue_generation(RESUME(torch_empty_cache=False))
        after = saturate(driver, [], 1200)
        regulator = guard(driver).regulator
    # One that was retracted with its last token under way completes in the pause.
    assert 398 <= before.count("finished") + after.count("finished") <= 400
    assert not scheduler.waiting_queue
    assert scheduler.running_batch.is_empty()
    assert scheduler.token_to_kv_pool_allocator.available_size() == KNOBS.tokens
    assert regulator.why_aside is None
    ledger = regulator.ledger
    assert ledger.admitted - ledger.resumed == 400
    assert ledger.resumed == ledger.evicted
    if mode == "retract":
        assert ledger.evicted >= len(ran) - 2
    else:
        assert ledger.evicted == before.count("retracted") + after.count("retracted")
