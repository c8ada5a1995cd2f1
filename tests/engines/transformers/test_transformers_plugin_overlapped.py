"""The plug-in under asynchronous batching, where the engine hears of a completion a batch late.

The engine's asynchronous part runs on the CPU with streams and events that stand for nothing
(`overlapped.py`): what it decides does not depend on them.
"""

from __future__ import annotations

import random

import pytest

pytest.importorskip("transformers")
pytest.importorskip("torch")

import kvsteady.plugins.transformers as plugin
from engines.transformers.drive import Engine
from engines.transformers.overlapped import Overlapped
from engines.transformers.plugged import OURS, UNHURRIED
from reference.engines.transformers_cases import measured

OPTIONS, REQUESTS = measured()  # 16 + 32 tokens in 960
MANY = 300


def engine(policy, requests=None, kind=Overlapped, **more):
    # Small batches: the engine counts tokens to carry over one by one, used or not.
    options = dict(OPTIONS) | {"max_batch_tokens": 256} | more
    if policy is not None:
        plugin.configure(policy=policy, **UNHURRIED)
        options["scheduler_type"] = OURS[options.get("scheduler_type", "fifo")]
    return kind(REQUESTS[:MANY] if requests is None else requests, **options)


def test_with_a_policy_nobody_is_evicted_and_tokens_are_the_same():
    """A real model: what is carried over from one batch to the next is what was sampled."""
    requests = REQUESTS[:120]
    stock = engine(None, requests, forward="model")
    evicted = sum(len(step.evicted) for step in stock.run())
    made = engine("steady", requests, forward="model")
    assert sum(len(step.evicted) for step in made.run()) == 0
    ledger = made.scheduler.regulator.ledger
    assert evicted > 60
    assert made.scheduler.regulator.why_aside is None
    assert (ledger.admitted, ledger.completed, ledger.recomputed) == (120, 120, 0)
    # Each decodes 31 times for its 32 tokens, and once more before the engine hears of its end.
    assert (ledger.prefilled, ledger.decoded) == (120 * 16, 120 * 32)
    synchronous = engine(None, requests, Engine, forward="model")
    synchronous.run()
    outputs = synchronous.outputs()
    assert len(outputs) == 120
    assert made.outputs() == stock.outputs() == outputs


def test_a_pace_that_memory_can_keep_is_kept():
    """33 batches hold 264 + 12 pages of each request: 240 pages keep 0.87 admissions per batch."""
    made = engine("rate-cap:rate=0.87")
    steps = made.run()
    assert sum(len(step.evicted) for step in steps) == 0
    assert len(made.outputs()) == MANY
    assert made.scheduler.regulator.view.facts["late"] == 1
    assert made.scheduler.regulator.ledger.overruled == 1  # the first one


@pytest.mark.parametrize("policy", ["steady", "greedy", "max-active:requests=12", "kv-watermark"])
@pytest.mark.parametrize("sharing", [False, True])
def test_rows_are_what_runs(policy, sharing):
    """Lengths of all kinds; some are cancelled where they are."""
    rng = random.Random(3)
    arrivals = sorted(rng.randrange(150) for _ in range(150))
    requests = [(when, rng.choice([4, 16, 36]), rng.randint(1, 40)) for when in arrivals]
    more = {"num_blocks": 120, "allow_block_sharing": sharing}
    made, gone = engine(policy, requests, **more), set()
    scheduler = made.scheduler
    while made.step() is not None:
        watch = scheduler._watch
        assert watch.running.names == list(scheduler.active_requests)
        for name, row in zip(watch.running.names, watch.running.filled, strict=True):
            state = scheduler.active_requests[name]
            if state.status.name == "DECODING":
                # With the token that is being computed, which the engine does not know yet.
                known = len(state.initial_tokens) + len(state.generated_tokens)
                assert row["prompt"] + row["generated"] == state.position_offset + 1
                assert row["prompt"] + row["generated"] - known in (0, 1)
        if rng.random() < 0.1:
            gone.add(rng.randrange(150))
            made.manager.cancel_request(str(max(gone)))
    regulator = scheduler.regulator
    assert regulator.why_aside is None
    outputs = made.outputs()
    assert set(range(150)) - set(outputs) <= gone
    assert all(len(tokens) == requests[name][2] for name, tokens in outputs.items())
    assert regulator.ledger.completed == len(outputs)
    assert watch.free() + watch.kept() == 120
    assert (watch.running.names, watch.waiting.names) == ([], [])


def test_what_fails_makes_it_step_aside_and_all_are_served():
    made = engine("steady")
    made.run(40)

    def broken(*_):
        raise RuntimeError("so it goes")

    made.scheduler._watch.end = broken
    made.run()
    assert "so it goes" in made.scheduler.regulator.why_aside
    assert len(made.outputs()) == MANY
