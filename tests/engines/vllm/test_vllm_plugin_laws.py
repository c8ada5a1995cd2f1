"""The laws of policies on the real scheduler: none lost, none out of turn, none waits for ever."""

from __future__ import annotations

import random

import pytest

from kvsteady.admission import Setup
from kvsteady.errors import InputError
from kvsteady.policies.named import NAMED, policy_of
from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case, drawn, drawn_sharing

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")

from engines.vllm.drive import drive
from engines.vllm.plugged import audited, plugged, steps_of

OPTIONS = {
    "kv-watermark": "kv-watermark:watermark=0.1",
    "max-active": "max-active:requests=5",
    "rate-cap": "rate-cap:rate=0.2",
}


def can_serve(policy: str) -> bool:
    """Whether a policy needs neither true lengths nor a law of them, which nobody tells an engine.

    It is asked itself, without the plug-in.
    """
    made = policy_of(policy)
    try:
        made.start(Setup(960))
    except InputError:
        return False
    return not made.oracle


BY_NAME = [OPTIONS.get(name, name) for name in NAMED]
POLICIES = [*filter(can_serve, BY_NAME), "rate-cap:per_second=0.3"]
REFUSED = [policy for policy in BY_NAME if not can_serve(policy)]
LONGEST = 20_000


def crowd(seed: int, *, policy: str, asynchronous: bool, sharing: bool) -> Case:
    """A few dozen requests of all sizes in little memory."""
    draw = random.Random(seed)
    block = draw.choice([1, 4, 16])
    coming = []
    now = 0.0
    for _ in range(40):
        prompt, output = draw.randint(1, 60), draw.randint(1, 40)
        text = tuple(draw.choice((1, 2)) * 100 + i // 30 for i in range(prompt + output))
        coming.append(
            Arrival(int(now), prompt, output, draw.randint(0, 2), text if sharing else ())
        )
        now += draw.expovariate(draw.choice([0.3, 3]))
    blocks = int(-(-100 // block) * draw.choice([1, 1.5, 4]))
    knobs = Knobs(
        max_num_seqs=64,
        max_num_batched_tokens=draw.choice([64, 2048]),
        policy=policy,
        async_scheduling=asynchronous,
    )
    return Case(knobs, blocks, block, tuple(coming), sharing)


@pytest.mark.parametrize("queue", ["fcfs", "priority"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize("policy", POLICIES)
def test_everyone_is_served_in_turn(policy, asynchronous, queue, tmp_path):
    for seed in range(4):
        case = crowd(seed, policy=queue, asynchronous=asynchronous, sharing=seed % 2 == 1)
        slack = 30 * (seed // 2)
        driver = plugged(tmp_path, case, policy, slack=slack, patience=40)
        audit = audited(driver)
        asked = case.arrivals
        order: list[int] = []
        done: set[int] = set()
        waiting: tuple[int, ...] = ()
        without = 0

        def rank(number: int, asked=asked) -> tuple[int, int, int]:
            return (asked[number].priority, asked[number].step, number)

        for step in steps_of(driver, case, LONGEST):
            entered = step.admitted + step.resumed
            assert audit.gate_is_as_it_was()
            assert not (entered and step.preempted)
            if queue == "fcfs":
                order += step.admitted
            elif entered and step.waiting:
                assert max(map(rank, entered)) < min(map(rank, step.waiting))
            done |= set(step.finished)
            # The bound on waiting: with room for the head and nobody admitted, no longer than this.
            room = bool(step.waiting) and step.free >= _blocks(driver, step.waiting[0])
            still = room and not entered and not step.preempted and step.waiting[:1] == waiting[:1]
            without = without + 1 if still else 0
            assert without <= 42
            waiting = step.waiting
            if len(done) == len(asked):
                break
        assert done == set(range(len(asked)))
        assert order == sorted(order)
        watch = driver.scheduler.kvsteady
        ledger = watch.regulator.ledger
        assert watch.regulator.why_aside is None
        assert ledger.completed == len(asked)
        assert ledger.admitted == len(asked) + ledger.resumed
        # Asynchronously one may be evicted whose last token is on its way: it never comes back.
        assert ledger.evicted == ledger.resumed or (
            asynchronous and ledger.evicted > ledger.resumed
        )
        assert driver.scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == case.blocks


def _blocks(driver, number: int) -> int:
    request = driver.scheduler.requests.get(f"{number:08d}")
    tokens = 0 if request is None else request.num_tokens
    return -(-(tokens + 1) // driver.block)


@pytest.mark.parametrize("make", [drawn, drawn_sharing])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
def test_a_policy_that_does_not_bind_changes_nothing(make, asynchronous, tmp_path):
    for seed in range(10):
        case = make(seed, async_scheduling=asynchronous)
        stock = list(drive(tmp_path, case, 400))
        assert list(steps_of(plugged(tmp_path, case, "greedy"), case, 400)) == stock
        shadow = plugged(tmp_path, case, "steady", mode="shadow")
        assert list(steps_of(shadow, case, 400)) == stock
        told = shadow.scheduler.kvsteady.regulator.ledger
        assert told.evicted == sum(len(step.preempted) for step in stock)
        assert told.prefilled + told.decoded == sum(n for s in stock for _, n in s.tokens)


@pytest.mark.parametrize("policy", REFUSED)
def test_what_no_engine_can_serve_is_refused_at_the_start(policy, tmp_path):
    case = crowd(0, policy="fcfs", asynchronous=False, sharing=False)
    with pytest.raises(InputError, match=r"true lengths|output lengths|law of"):
        plugged(tmp_path, case, policy)


def test_a_setting_that_there_is_not_is_refused_at_the_start(tmp_path):
    case = crowd(0, policy="fcfs", asynchronous=False, sharing=False)
    with pytest.raises(InputError, match=r"--additional-config kvsteady.*polcy"):
        plugged(tmp_path, case, "steady", polcy="greedy")


def test_what_is_recomputed_is_what_is_computed_beyond_need(tmp_path):
    # Without a cache everything that an eviction threw out is computed again, and nothing else is.
    for seed in range(5):
        case = crowd(seed, policy="fcfs", asynchronous=False, sharing=False)
        driver = plugged(tmp_path, case, "greedy")
        total, done = 0, 0
        for step in steps_of(driver, case, LONGEST):
            total += sum(tokens for _, tokens in step.tokens)
            done += len(step.finished)
            if done == len(case.arrivals):
                break
        ledger = driver.scheduler.kvsteady.regulator.ledger
        needed = sum(a.prompt + a.output - 1 for a in case.arrivals)
        assert ledger.recomputed == total - needed
        assert ledger.prefilled + ledger.decoded == total
