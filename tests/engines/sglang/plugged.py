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


def guard(driver: Driver) -> Any:
    return driver.scheduler._kvsteady_guard


__all__ = ["Arrival", "Driver", "Knobs", "Run", "guard", "plugged", "saturate"]
