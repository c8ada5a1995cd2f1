"""A policy decides alike in SGLang's real scheduler and in the simulated one, step by step.

The simulated engine is `RegulatedSglang`, which has no reservation either.
"""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import metadata

import pytest

from kvsteady.policies.named import policy_of
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.machine import Machine
from reference.engines.sglang import Arrival, Knobs
from sglang_cases import case, decided, kernel_decided, played
from stepping import UnitTime, feed_of

try:
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Driver, guard, plugged

FIXED = (
    Knobs(tokens=1620, max_running_requests=200, disable_radix_cache=True),
    [Arrival(0, 20, 40, 40)] * 1200,
)


def regulated(knobs: Knobs, arrivals: list[Arrival], policy: str) -> Machine:
    rows = [
        {"time": float(a.step), "prompt": a.prompt, "output": a.output, "limit": a.max_new}
        for a in arrivals
    ]
    options = {field.name: getattr(knobs, field.name) for field in fields(RegulatedSglang)}
    return Machine(
        RegulatedSglang(**options),
        knobs.tokens,
        UnitTime(),
        feed_of(rows),
        policy=policy_of(policy),
    )


def differs(knobs: Knobs, arrivals: list[Arrival], policy: str, steps: int) -> tuple[int, int]:
    """Compare every step; return how many there were, and retractions."""
    machine = regulated(knobs, arrivals, policy)
    compared = retracted = 0
    with plugged(policy=policy, budget_ms="100000"):
        driver = Driver(knobs)
        for number, taken in enumerate(played(driver, arrivals, steps)):
            ours, real = kernel_decided(machine, taken.chunked), decided(taken)
            assert ours is not None
            # The real engine keeps its own ratio up to date for when the policy steps aside.
            del ours["ratio"], real["ratio"]
            assert ours == real, (number, knobs, guard(driver).regulator.ledger)
            compared += 1
            retracted += len(taken.retracted)
        regulator = guard(driver).regulator
    assert regulator.why_aside is None
    assert regulator.ledger.overruled == 0
    return compared, retracted


@pytest.mark.parametrize("policy", ["steady", "rate-cap:rate=1"])
@pytest.mark.parametrize("mixed", [False, True])
def test_of_one_length(policy: str, mixed: bool, compared) -> None:
    knobs = replace(FIXED[0], enable_mixed_chunk=mixed)
    steps, retractions = differs(knobs, FIXED[1], policy, 900)
    compared("sglang, regulated", configurations=1, steps=steps, retractions=retractions)
    assert steps == 900


@pytest.mark.parametrize("policy", ["rate-cap:rate=1.3", "steady"])
def test_of_any_lengths_and_options(policy: str, compared) -> None:
    for seed in range(20):
        knobs, arrivals = case(seed)
        steps, retractions = differs(
            replace(knobs, disable_radix_cache=True), arrivals, policy, 400
        )
        compared("sglang, regulated", configurations=1, steps=steps, retractions=retractions)
