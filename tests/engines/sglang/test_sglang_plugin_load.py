"""The plug-in in SGLang's real scheduler under loads that its own rule retracts in.

The fixed load is that of the paper, prompt 20, output 40, 16,200 tokens: x* = 10 requests per
decode step. Counted are completions per decode step, since SGLang prefills in steps of its own.
"""

from __future__ import annotations

import random
from collections import Counter
from importlib import metadata

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Arrival, Driver, Knobs, OverlapDriver, guard, plugged, saturate

TOKENS, RATE = 16_200, 10.0
OPTIONS = {"tokens": TOKENS, "max_running_requests": 2000, "disable_radix_cache": True}
FIXED = [Arrival(0, 20, 40, 40)] * 40_000
STEPS, HALF = 2000, 1000


def lengths(seed: int, many: int, output, slack: int = 1) -> list[Arrival]:
    """Requests of prompts 5 to 35, whose outputs are drawn and whose max_tokens are longer."""
    rng = random.Random(seed)
    drawn = [(rng.randint(5, 35), output(rng, i)) for i in range(many)]
    return [Arrival(0, prompt, tokens, slack * tokens) for prompt, tokens in drawn]


def test_as_it_comes_sglang_retracts_and_serves_little() -> None:
    run = saturate(Driver(Knobs(**OPTIONS)), FIXED, STEPS)
    assert run.count("retracted") > 50
    assert 6.5 < run.rate(HALF) < 7.8


@pytest.mark.parametrize(
    ("policy", "share", "per_step"), [("steady", 0.98, 7.8), (f"rate-cap:rate={RATE}", 1.0, 4.9)]
)
def test_with_a_policy_nobody_is_retracted_and_it_serves_what_it_can(
    policy: str, share: float, per_step: float
) -> None:
    with plugged(policy=policy):
        driver = Driver(Knobs(**OPTIONS))
        run = saturate(driver, FIXED, STEPS)
    assert run.count("retracted", HALF) == 0
    assert run.rate(HALF) >= share * RATE
    # A cap has a prefill between any two decode steps. The batches of steady come as others end:
    # nearly as many per decode step, and 57% more per step. SGLang alone completes 5.7 per step.
    assert run.count("finished", HALF) / (STEPS - HALF) >= per_step
    ledger = guard(driver).regulator.ledger
    # Until lengths are learned a few may go.
    assert ledger.evicted == run.count("retracted") <= 0.01 * ledger.admitted
    # Those of the last step are heard of in the next.
    assert ledger.completed == run.count("finished") - len(run.steps[-1].finished)
    assert ledger.overruled == 0


@pytest.mark.parametrize(("policy", "share"), [("steady", 0.95), ("rate-cap:rate=3", 0.97)])
def test_so_it_is_where_prefill_and_decode_share_a_step(policy: str, share: float) -> None:
    options = {**OPTIONS, "tokens": 4860, "enable_mixed_chunk": True}
    with plugged(policy=policy):
        run = saturate(Driver(Knobs(**options)), FIXED, 900)
    assert run.count("retracted", 300) == 0
    assert run.rate(300) >= share * 3
    stock = saturate(Driver(Knobs(**options)), FIXED, 900)
    assert stock.rate(300) < 0.75 * 3


def test_switched_on_in_the_middle_retractions_end() -> None:
    driver = Driver(Knobs(**{**OPTIONS, "tokens": 4860}))
    with plugged(policy="greedy"):  # as without any reservation for who runs
        before = saturate(driver, FIXED, 400)
    assert before.count("retracted", 200) > 50
    del driver.scheduler._kvsteady_gate  # a new one finds the others in memory
    with plugged(policy="steady"):
        after = saturate(driver, FIXED, 1000)
    assert after.count("retracted", 300) == 0
    assert after.rate(500) >= 0.9 * 3


@pytest.mark.parametrize("policy", ["steady", "max-active:requests=60"])
def test_a_shadow_changes_nothing(policy: str) -> None:
    options = {**OPTIONS, "tokens": 4860}
    alone = saturate(Driver(Knobs(**options)), FIXED, 600)
    with plugged(policy=policy, mode="shadow"):
        driver = Driver(Knobs(**options))
        shadowed = saturate(driver, FIXED, 600)
    assert shadowed.steps == alone.steps
    ledger = guard(driver).regulator.ledger
    assert ledger.held_back > 0
    assert ledger.evicted == alone.count("retracted") > 0
    assert ledger.recomputed > 0


CASES = {
    # Outputs spread out, and max_tokens known.
    "heterogeneous": lambda rng, _: rng.choice((8, 20, 60, 160)),
    # They end where the model says so, long before max_tokens.
    "end-of-sequence": lambda rng, _: 1 + min(int(rng.expovariate(1 / 40)), 300),
    # Longer and longer.
    "drift": lambda rng, i: rng.randint(10, 40 + i // 50),
}


@pytest.mark.parametrize("case", CASES)
def test_where_lengths_are_not_known_more_is_served_and_hardly_anybody_retracted(
    case: str,
) -> None:
    options = {**OPTIONS, "tokens": 3000}
    served, evicted = Counter(), Counter()
    for seed in (3, 4, 5):
        requests = lengths(seed, 8000, CASES[case], 1 if case == "heterogeneous" else 2)
        served["stock"] += saturate(Driver(Knobs(**options)), requests, 600).rate(200)
        for policy in ("greedy", "steady"):
            with plugged(policy=policy):
                run = saturate(driver := Driver(Knobs(**options)), requests, 600)
            served[policy] += run.rate(200)
            evicted[policy] += run.count("retracted")
            heard = run.count("retracted") - len(run.steps[-1].retracted)
            assert guard(driver).regulator.ledger.evicted == heard
    assert evicted["steady"] <= 0.15 * evicted["greedy"]
    assert served["steady"] >= 1.05 * served["stock"]


def test_with_overlap_a_completion_is_heard_of_late_and_nobody_is_retracted() -> None:
    options = {**OPTIONS, "tokens": 4860}
    with plugged(policy="steady"):
        run = saturate(driver := OverlapDriver(Knobs(**options)), FIXED, 900)
    assert guard(driver).regulator.view.facts["late"] == 1
    assert run.count("retracted", 300) == 0
    # Where so little is held, a prefill is taken for nearly a decode step: batches are large.
    assert run.rate(300) >= 0.87 * 3
    assert run.count("finished", 300) / 600 >= 0.77 * 3
    stock = saturate(OverlapDriver(Knobs(**options)), FIXED, 900)
    assert stock.rate(300) < 0.8 * 3
    assert stock.count("finished", 300) / 600 < 0.7 * 3


def test_a_burst_leaves_nothing_behind() -> None:
    with plugged(policy="steady"):
        driver = Driver(Knobs(**{**OPTIONS, "tokens": 3240}))
        calm = saturate(driver, FIXED[:300], 600, queue=1)
        for request in FIXED[:1500]:
            driver.add(request)
        burst = saturate(driver, [], 2000)
    assert calm.count("finished") + burst.count("finished") == 1800
    # A few while it learns, and no cycle.
    assert burst.count("retracted") < 20
    assert burst.count("retracted", 1000) == 0
    assert not driver.scheduler.waiting_queue
