"""The plug-in around the real scheduler, looked at from outside while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.vllm.drive import Driver, driven, driver_of
from kvsteady.plugins.vllm.rows import seen
from kvsteady.plugins.vllm.watch import Watch
from reference.engines.vllm import Step
from vllm_runs import Case

# What a policy costs is measured elsewhere; a busy machine must not make it step aside here.
PATIENT = {"metrics": False, "budget_ms": 60_000.0}


def plugged(folder: Path, case: Case, policy: str, *, slack: int = 0, **settings: Any) -> Driver:
    """The engine of a case with the plug-in, nobody there yet; seconds are its iterations."""
    given = {"policy": policy, **PATIENT, **settings}
    driver = driver_of(folder, case, kvsteady=given, slack=slack)
    watch = driver.scheduler.kvsteady
    watch.clock, watch._begun = (lambda: float(watch._step)), 0.0
    watch._step = 0
    return driver


def steps_of(
    driver: Driver, case: Case, steps: int, each: Callable[[int], None] | None = None
) -> Iterator[Step]:
    """Its iterations; ``each`` is called before every one with its number."""
    run = driven(driver, case, steps)
    for number in range(steps):
        if each is not None:
            each(number)
        step = next(run, None)
        if step is None:
            return
        watch = driver.scheduler.kvsteady
        if watch is not None:
            watch._step = number + 1
        yield step


@dataclass
class Audit:
    """Compares what the policy is shown with the scheduler's own lists, in every iteration."""

    watch: Watch
    scheduler: Any
    looks: int = 0

    def __post_init__(self) -> None:
        fill = self.watch._fill
        self.gate = getattr(self.scheduler, self.watch.gate)

        def audited(paused: bool) -> None:
            fill(paused)
            self.look(paused)

        self.watch._fill = audited

    def look(self, paused: bool) -> None:
        s, view = self.scheduler, self.watch.regulator.view
        facts, longest = view.facts, self.watch._longest
        holding = list(s.kv_holding_waiting)
        arrived = self.watch._arrivals.of

        def row(request: Any) -> Any:
            return seen(request, longest, arrived=arrived(request))

        running = [row(r) for r in [*s.running, *holding]]
        if self.watch._sharing is None:
            assert not view.running["shared"][: len(running)].any()
        waiting = [] if paused else [row(r) for r in list(s.waiting)[:256]]
        for rows, many, wanted in (
            (view.running, facts["shown_running"], running),
            (view.waiting, facts["shown_waiting"], waiting),
        ):
            # What requests share is looked at in turn, and held against the pool elsewhere.
            for name in ("prompt", "generated", "limit", "arrived"):
                here = np.array(wanted, dtype=rows.dtype)
                np.testing.assert_array_equal(rows[name][:many], here[name])
        assert facts["running"] == len(running) - s.num_waiting_for_streaming_input
        assert facts["free"] == s.kv_cache_manager.block_pool.get_num_free_blocks()
        self.looks += 1

    def gate_is_as_it_was(self) -> bool:
        return bool(getattr(self.scheduler, self.watch.gate) == self.gate)


def audited(driver: Driver) -> Audit:
    """An audit of a driver's plug-in."""
    return Audit(driver.scheduler.kvsteady, driver.scheduler)
