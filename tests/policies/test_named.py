"""Policies by name: what their options may be, and what is said of others."""

from __future__ import annotations

import pytest

from kvsteady.errors import InputError
from kvsteady.policies import Aimd, MaxActive, RateCap, Steady, Wait, policy_of
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime

REFUSED = [
    ("aimd:increase=inf", "policy.increase", "above 0, at most 1,000,000"),
    ("aimd:increase=1e30", "policy.increase", "above 0, at most 1,000,000"),
    ("aimd:increase=0", "policy.increase", "above 0"),
    ("aimd:decrease=nan", "policy.decrease", "between 0 and 1"),
    ("aimd:low=0.9,high=0.8", "policy.low, high", "low ≤ high"),
    ("rate-cap:rate=1e300", "policy.rate", "at most 1,000,000"),
    ("rate-cap:rate=nan", "policy.rate", "at most 1,000,000"),
    ("rate-cap:per-second=-1", "policy.per_second", "above 0"),
    ("rate-cap:z=1e300", "policy.z", "0 to 1000"),
    ("rate-cap:rate=1,rate=2", "policy.rate", "given twice"),
    ("rate-cap:per_second=1,per-second=1", "policy.per_second", "given twice"),
    ("greedy:victim=largest-memory,victim=last-admitted", "policy.victim", "given twice"),
    ("wait:rate=inf", "policy.rate", "at most 1,000,000"),
    ("wait:batch=1e300", "policy.batch", "whole number from 1"),
    ("max-active:requests=nan", "policy.requests", "whole number from 1"),
    ("max-active:requests=2.5", "policy.requests", "whole number from 1"),
    ("nested-wait:segments=inf", "policy.segments", "1 to 64"),
    ("new-token-ratio:initial=nan", "policy.initial", "0 to 1"),
    ("kv-watermark:watermark=1", "policy.watermark", "less than 1"),
    ("steady:risk=inf", "policy.risk", "0 or more"),
]


@pytest.mark.parametrize(("text", "field", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_out_of_range_names_the_option(text: str, field: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        policy_of(text)
    assert refused.value.field == field
    assert words in str(refused.value)
    assert len(str(refused.value)) < 200


def test_numbers_are_of_the_kind_that_the_option_has() -> None:
    assert policy_of("max-active: requests=2e1") == MaxActive(20)
    for text, field in (("rate-cap:rate=1", "rate"), ("aimd:increase=4", "increase")):
        assert type(getattr(policy_of(text), field)) is float


@pytest.mark.parametrize(
    "policy",
    [
        Aimd(increase=1e6),
        RateCap(1e6),
        RateCap(per_second=1e6),
        RateCap(z=1000.0),
        Wait(batch=2**31),
        Wait(rate=1e6),
        Steady(1e300),
    ],
    ids=repr,
)
def test_the_ends_of_the_ranges_run(policy) -> None:
    load = Workload.fixed(4, 8)
    engine = Vllm(block_size=4, enable_prefix_caching=False, async_scheduling=False)
    machine = Machine(engine, 400, UnitTime(), Saturated(load).feed(), policy=policy, workload=load)
    machine.run(500)
    assert machine.clock["all_completed"] > 0 or policy in (RateCap(z=1000.0), Wait(batch=2**31))
