"""What the plug-in is worth in the whole engine, with a model, counted."""

from __future__ import annotations

import pytest

from engines.transformers.plugged import UNHURRIED, engine, plugin, rows_of
from reference.engines.transformers_cases import measured

COMPUTED = 1000 * (16 + 32 - 1)  # the last token of each is never computed again


def test_the_engine_alone_evicts(measured_run):
    stock = measured_run(None)
    # As measured for the specification, which counts attempts.
    assert (stock.attempts, stock.evictions) == (1238, 815)
    assert stock.batches == 1235
    assert stock.tokens == 69_624  # 32% of them a second time


def test_steady_evicts_nobody_in_fewer_steps_and_changes_no_token(measured_run):
    stock, ours = measured_run(None), measured_run("steady")
    assert ours.evictions == 0
    assert ours.batches < stock.batches
    assert ours.tokens == COMPUTED
    assert ours.outputs == stock.outputs
    assert len(ours.outputs) == 1000
    ledger = ours.regulator.ledger
    assert (ledger.prefilled, ledger.decoded, ledger.recomputed) == (16_000, 31_000, 0)


def test_a_rate_cap_evicts_nobody_in_fewer_steps(measured_run):
    stock, capped = measured_run(None), measured_run("rate-cap:rate=0.9")
    # 1,000 requests at 0.9 per step take 1,111 steps, and the last one 31 more. The page-rounded
    # equilibrium is 240 pages / 264 = 0.909: memory is nearly full, and some wait for a page.
    assert 1142 <= capped.batches <= 1180 < stock.batches
    assert capped.evictions == 0
    assert capped.outputs == stock.outputs


def test_where_it_does_not_bind_all_is_as_before(measured_run):
    stock, free = measured_run(None), measured_run("greedy")
    assert (free.batches, free.attempts, free.tokens) == (
        stock.batches,
        stock.attempts,
        stock.tokens,
    )
    assert free.outputs == stock.outputs
    ledger = free.regulator.ledger
    assert ledger.evicted == ledger.resumed == 815
    assert ledger.prefilled + ledger.decoded == stock.tokens
    assert ledger.recomputed == stock.tokens - COMPUTED


@pytest.mark.parametrize("scheduler", ["prefill_first", "fifo"])
def test_kept_pages_make_way(scheduler):
    # Sharing is on by default. Alone, prefill_first leaves the pages of those who completed until
    # somebody who runs finds none (1,390 steps); with the plug-in they do not matter.
    options, requests = measured(allow_block_sharing=True)
    options |= {"scheduler_type": scheduler, "safety_margin": None}
    stock = len(rows_of(engine((options, requests), None)))
    assert stock == {"prefill_first": 1390, "fifo": 1231}[scheduler]
    made = engine((options, requests), "steady")
    assert 1142 <= len(rows_of(made)) <= 1220 < stock  # steady: 1,172
    assert made.scheduler.regulator.ledger.evicted == 0


def test_shadow_changes_nothing_and_says_what_it_would_have_done():
    case = measured()
    stock = rows_of(engine(case, None))
    made = engine(case, "steady", mode="shadow")
    assert rows_of(made) == stock
    ledger = made.scheduler.regulator.ledger
    assert (ledger.evicted, ledger.resumed, ledger.admitted) == (815, 815, 1815)
    assert ledger.recomputed == 69_624 - COMPUTED
    assert ledger.held_back > 815
    assert ledger.recompute_tax == pytest.approx(ledger.recomputed / ledger.prefilled)


def test_switched_on_in_the_middle_of_a_cycle_it_recovers():
    # In the cycle those who run go from 60 down to 20, complete together, and start again.
    made = engine(measured(), None)
    before = made.run(400)
    assert sum(len(step.evicted) for step in before[200:]) > 100
    plugin.attach(made.processor, policy="steady", **UNHURRIED)
    made.scheduler = made.processor.scheduler
    after = made.run()
    # Two of the longest outputs later nobody is evicted any more.
    assert sum(len(step.evicted) for step in after[64:]) == 0
    assert len(made.outputs()) == 1000


def test_switched_off_the_engine_goes_back_to_its_own_rule():
    made = engine(measured(), "steady")
    assert sum(len(step.evicted) for step in made.run(300)) == 0
    plugin.detach(made.processor)
    made.scheduler = made.processor.scheduler
    assert type(made.scheduler).__name__ == "PrefillFirstScheduler"
    after = made.run()
    assert sum(len(step.evicted) for step in after) > 100
    assert len(made.outputs()) == 1000
