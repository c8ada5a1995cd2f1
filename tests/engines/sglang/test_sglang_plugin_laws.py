"""What holds of every policy by name, in SGLang's real scheduler."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import pytest

from kvsteady.admission import Setup, decide_of
from kvsteady.plugins import Settings
from kvsteady.policies.named import NAMED
from reference.engines.sglang import Arrival, Knobs, Step

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Driver, guard, plugged

# Some have to be told a constant, where nobody knows the law of lengths.
OPTIONS = {"rate-cap": "rate=0.5", "max-active": "requests=9", "wait": "rate=0.5"}
# No engine can serve these: one needs that law, the other true lengths.
REFUSED = ("nested-wait", "look-ahead")
POLICIES = [name for name in NAMED if name not in REFUSED]
KNOBS = Knobs(tokens=600, max_running_requests=64)


def requests(seed: int) -> list[Arrival]:
    rng = random.Random(seed)
    drawn = [(rng.randint(0, 300), rng.randint(1, 40), rng.randint(1, 60)) for _ in range(150)]
    return [
        Arrival(step, prompt, output, output + rng.randint(0, 40))
        for step, prompt, output in sorted(drawn)
    ]


def served(driver: Driver, arrivals: list[Arrival], steps: int) -> list[Step]:
    """Steps until everybody has completed, at most so many."""
    coming, taken = list(arrivals), []
    for step in range(steps):
        while coming and coming[0].step <= step:
            driver.add(coming.pop(0))
        taken.append(driver.step())
        if not coming and taken[-1].nobody:
            break
    return taken


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("mode", ["plain", "mixed", "chunked", "radix"])
def test_nobody_is_lost_or_overtaken(name: str, mode: str) -> None:
    knobs = replace(
        KNOBS,
        enable_mixed_chunk=mode == "mixed",
        chunked_prefill_size=16 if mode == "chunked" else 8192,
        disable_radix_cache=mode != "radix",
    )
    arrivals = requests(7)
    option = OPTIONS.get(name)
    with plugged(policy=f"{name}:{option}" if option else name, patience="60"):
        driver = Driver(knobs)
        steps = served(driver, arrivals, 6000)
        regulator = guard(driver).regulator
    assert regulator.why_aside is None
    finished = [number for step in steps for number in step.finished]
    assert sorted(finished) == list(range(150))
    first, seen = [], set()
    for step in steps:
        for number, _ in step.tokens:
            if number not in seen:
                seen.add(number)
                first.append(number)
    assert first == sorted(first)
    tokens = driver.scheduler.token_to_kv_pool_allocator.available_size()
    assert tokens + driver.scheduler.tree_cache.evictable_size() == KNOBS.tokens
    ledger = regulator.ledger
    assert ledger.admitted == 150 + ledger.resumed
    assert ledger.evicted == ledger.resumed == sum(len(step.retracted) for step in steps)
    assert ledger.prefilled + ledger.decoded == sum(n for s in steps for _, n in s.tokens)


@pytest.mark.parametrize("name", REFUSED)
def test_a_policy_that_needs_what_no_engine_knows_is_refused(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with plugged(policy=name):
        steps = served(Driver(KNOBS), requests(7), 100)
    assert steps == served(Driver(KNOBS), requests(7), 100)
    [line] = [r.getMessage() for r in caplog.records if r.name == "kvsteady.plugins"]
    assert "steps aside" in line


class _Never(NamedTuple):
    asked: Any


@dataclass(frozen=True)
class Never:
    """Lets nobody in."""

    sees_running = False
    oracle = False

    def start(self, setup: Setup) -> _Never:
        del setup
        return _Never(np.zeros(1))


@decide_of(_Never)
def _never(state: Any, view: Any) -> Any:
    state.asked[0] += view.facts.running
    return 0


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the queue's head fits, somebody is admitted in every 40 iterations at least."""
    monkeypatch.setattr(Settings, "make_policy", lambda _: Never())
    arrivals = [Arrival(0, 10, 200, 200)] * 8
    with plugged(policy="greedy", patience="40"):
        driver = Driver(replace(KNOBS, tokens=3000, disable_radix_cache=True))
        steps = served(driver, arrivals, 1000)
    admitted = [number for number, step in enumerate(steps) if step.kind == "prefill"]
    assert admitted == [0, 40, 80, 120, 160, 200, 240, 280]
    assert guard(driver).regulator.ledger.overruled == 8


def test_whom_sglang_refuses_for_its_max_tokens_enters_as_soon_as_it_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At step 80 the third has waited 40 iterations, 172 tokens are free, and SGLang wants 211."""
    monkeypatch.setattr(Settings, "make_policy", lambda _: Never())
    arrivals = [Arrival(0, 100, 100, 100), Arrival(0, 10, 150, 150), Arrival(0, 10, 200, 200)]
    with plugged(policy="greedy", patience="40"):
        driver = Driver(replace(KNOBS, tokens=400, disable_radix_cache=True))
        steps = served(driver, arrivals, 1000)
    admitted = [number for number, step in enumerate(steps) if step.kind == "prefill"]
    [first_left] = [number for number, step in enumerate(steps) if 0 in step.finished]
    assert admitted == [0, 40, first_left + 1]
    assert 80 < first_left < 119
    assert guard(driver).regulator.ledger.overruled == 3
