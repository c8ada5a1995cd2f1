"""The plug-in in SGLang's real scheduler, hooked as SGLang's own plugin loader does it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest import mock

from engines.sglang.drive import Driver, Scheduler
from kvsteady.plugins.sglang import plugin
from reference.engines.sglang import Arrival, Knobs, Step

REGISTRY = import_module("sglang.srt.plugins.hook_registry").HookRegistry
HOOKED = (
    "__init__",
    "_should_defer_prefill",
    "get_prefill_adder_class",
    "get_next_batch_to_run",
)


@contextmanager
def plugged(**environment: str) -> Iterator[None]:
    """SGLang with the plug-in, under such variables ``KVSTEADY_…``; none: it does nothing."""
    given = {f"KVSTEADY_{name.upper()}": value for name, value in environment.items()}
    before = {name: Scheduler.__dict__[name] for name in HOOKED}
    REGISTRY.reset()
    try:
        with mock.patch.dict(os.environ, given):
            plugin()
        REGISTRY.apply_hooks()
        yield
    finally:
        REGISTRY.reset()
        for name, original in before.items():
            setattr(Scheduler, name, original)


@dataclass
class Run:
    """Counts of a run, from a step on."""

    steps: list[Step] = field(default_factory=list)

    def count(self, what: str, after: int = 0) -> int:
        return sum(len(getattr(step, what)) for step in self.steps[after:])

    def decodes(self, after: int = 0) -> int:
        return sum(step.kind in ("decode", "mixed") for step in self.steps[after:])

    def rate(self, after: int = 0) -> float:
        """Completions per decode step."""
        return self.count("finished", after) / self.decodes(after)


def saturate(driver: Driver, requests: list[Arrival], steps: int, queue: int = 400) -> Run:
    """Step with a queue that never runs dry while there are requests."""
    run, coming = Run(), iter(requests)
    for _ in range(steps):
        while len(driver.scheduler.waiting_queue) < queue:
            following = next(coming, None)
            if following is None:
                break
            driver.add(following)
        run.steps.append(driver.step())
    return run


class OverlapDriver(Driver):
    """A result is processed while the next batch runs: ``Scheduler.event_loop_overlap``."""

    def build_options(self, s: Any) -> None:
        super().build_options(s)
        s.enable_overlap = s.enable_skip_finishing_decode = True

    def step(self) -> Step:
        s = self.scheduler
        self.retracted, self.aborted = [], []
        plan = s.get_next_batch_to_run(running_batch=s.running_batch, last_batch=s.last_batch)
        s.running_batch, batch = plan.running_batch, plan.batch_to_run
        at_once = s.is_disable_overlap_for_batch(batch, last_batch=s.last_batch)
        finished = self.pop() if at_once else ()
        kind, tokens = self.described(batch) if batch else ("idle", ())
        if batch:
            s.forward_ct += 1
            s.result_queue.append((batch.copy(), None))
        if s.last_batch and not at_once:
            finished = self.pop()
        s.last_batch = batch
        return Step(
            kind=kind,
            tokens=tokens,
            retracted=tuple(self.retracted),
            aborted=tuple(self.aborted),
            finished=finished,
            free=s.token_to_kv_pool_allocator.available_size(),
            evictable=s.tree_cache.evictable_size(),
            ratio=s.new_token_ratio_tracker.current,
            chunked=None if s.chunked_req is None else int(s.chunked_req.rid),
            running=(),
            waiting=tuple(int(r.rid) for r in s.waiting_queue),
        )

    def pop(self) -> tuple[int, ...]:
        """Process the oldest result; who completes with it."""
        batch, _ = self.scheduler.result_queue.popleft()
        before = {r.rid for r in batch.reqs if r.finished()}
        self.process(batch)
        return tuple(int(r.rid) for r in batch.reqs if r.finished() and r.rid not in before)


def prioritised(driver: Driver) -> None:
    """The queue by priority, the larger number first."""
    scheduler = driver.scheduler
    scheduler.enable_priority_scheduling = True
    scheduler.policy.enable_priority_scheduling = True
    scheduler.policy.priority_sign = -1


def gate(driver: Driver) -> Any:
    return driver.scheduler._kvsteady_gate


def guard(driver: Driver) -> Any:
    return driver.scheduler._kvsteady_gate.lead


__all__ = [
    "Arrival",
    "Driver",
    "Knobs",
    "OverlapDriver",
    "Run",
    "Scheduler",
    "gate",
    "guard",
    "plugged",
    "prioritised",
    "saturate",
]
