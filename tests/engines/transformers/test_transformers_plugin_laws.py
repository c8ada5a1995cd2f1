"""Laws that hold under every policy by name, in the real engine, without a model."""

from __future__ import annotations

import random

import pytest

from engines.transformers.plugged import engine
from kvsteady.policies.named import NAMED, policy_of

# Constants for those that need them where no law of lengths is known.
WITH = {
    "rate-cap": "rate-cap:rate=0.4",
    "max-active": "max-active:requests=6",
    "wait": "wait:rate=0.4",
}


def servable() -> list[str]:
    """Every policy that a real engine can serve, by name."""
    found = []
    for name in NAMED:
        text = WITH.get(name, name)
        if not policy_of(text).oracle and name != "nested-wait":
            found.append(text)
    return found


def case(sharing: bool):
    """Three lengths of prompts; whoever fits may pass one of another length, as in the engine."""
    rng = random.Random(7)
    arrivals = sorted(rng.randrange(120) for _ in range(120))
    requests = [(when, rng.choice([4, 16, 36]), rng.randint(1, 40)) for when in arrivals]
    options = {"page_size": 4, "num_blocks": 60, "max_batch_tokens": 8192}
    return options | {"allow_block_sharing": sharing}, requests


def test_every_policy_is_here():
    left_out = set(NAMED) - {text.partition(":")[0] for text in servable()}
    # One sees true lengths, the other takes its constants from a law of lengths.
    assert left_out == {"look-ahead", "nested-wait"}


@pytest.mark.parametrize("sharing", [False, True])
@pytest.mark.parametrize("policy", servable())
def test_nobody_is_lost_overtaken_or_left_waiting(policy, sharing):
    options, requests = case(sharing)
    patience = 30
    made = engine((options, requests), policy, patience=patience)
    regulator = made.scheduler.regulator
    fresh: list[int] = []
    without = 0
    while (done := made.step()) is not None:
        again = set(fresh)
        fresh += [name for name in done.admitted if name not in again]
        # While the head would fit and nobody came in for so long, it is let in.
        facts, head = regulator.view.facts, regulator.view.waiting[0]
        need = -(-int(head["prompt"] + head["generated"] + 1) // 4)
        idle = facts["waiting"] > 0 and need <= facts["free"] and not done.admitted
        without = without + 1 if idle and not made.scheduler.block_new_requests else 0
        assert without <= patience
        assert made.scheduler._watch.running.names == list(made.scheduler.active_requests)
        held = {name: len(tokens) for name, tokens in _tables(made).items()}
        assert made.scheduler._watch.free() + made.scheduler._watch.kept() == 60 - sum(
            held.values()
        )
    assert regulator.why_aside is None
    outputs = made.outputs()
    assert [len(outputs[i]) for i in range(120)] == [output for _, _, output in requests]
    assert sorted(fresh) == list(range(120))
    for prompt in (4, 16, 36):
        alike = [name for name in fresh if requests[name][1] == prompt]
        assert alike == sorted(alike)
    assert regulator.ledger.completed == 120
    assert regulator.ledger.evicted == regulator.ledger.resumed


def _tables(made) -> dict[str, list[int]]:
    (allocator,) = made.cache.cache_allocators.values()
    return allocator.block_table


def test_where_memory_is_ample_the_queue_keeps_its_order():
    requests = [(0, 8, 20)] * 60
    options = {"page_size": 4, "num_blocks": 600, "max_batch_tokens": 512}
    for policy in servable():
        made = engine((options, requests), policy)
        order = [name for step in made.run() for name in step.admitted]
        assert order == list(range(60)), policy
