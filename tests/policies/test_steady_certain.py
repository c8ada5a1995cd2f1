"""`Steady` where outputs end at few lengths and max_tokens says nothing of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, EVICTED, NO_LIMIT, Setup, ask, new_view
from kvsteady.league.drift import Drift
from kvsteady.league.loads import Told
from kvsteady.model import System
from kvsteady.policies import Steady
from kvsteady.policies.steady.policy import forecast, put_together, set_spans
from kvsteady.policies.steady.state import opened
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from seasons import roomy_vllm
from stepping import UnitTime


def taught(ends, *, limit=NO_LIMIT, kv_tokens=100_000):
    """View and state after completions, each watched from its first token on; and what it knows."""
    view, state = new_view(4096), Steady().start(Setup(kv_tokens))
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = 1, kv_tokens, 1
    facts["waiting"], facts["free"] = NO_LIMIT, kv_tokens
    ask(state, view)
    for number, output in enumerate(ends):
        facts["iteration"] = facts["ticks"] = 5000 * (number + 1)
        view.gone[0] = (COMPLETED, 100, output, limit)
        facts["shown_gone"] = 1
        ask(state, view)
    facts["shown_gone"] = 0
    return view, state, opened(state)


def test_few_lengths_are_the_law_whatever_max_tokens_says():
    _, _, known = taught([20, 50, 90] * 10, limit=4096)
    assert known.memo["certain"] == 3
    # The newest completion weighs 1% more than the one before.
    assert known.law["remain"][:4] == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=0.01)
    assert float(known.memo["life"]) == pytest.approx(160 / 3, rel=0.01)
    # A request holds 100 + m tokens at age m; KV of the last token is never written.
    held = [sum(range(100, 100 + n)) for n in (20, 50, 90)]
    assert float(known.memo["rate"]) == pytest.approx(100_000 / np.mean(held), rel=0.01)


@pytest.mark.parametrize(
    ("ends", "running", "certain"),
    [
        ([50] * 3, 0, 0),  # chance
        ([50] * 4, 0, 1),
        ([50] * 100, 49, 1),
        ([50] * 100, 51, 0),  # somebody has outlived it
        ([10 * n for n in range(1, 10)] * 20, 0, 0),  # more lengths than are kept
        ([77] + [50] * 99, 0, 2),
        ([77] + [50] * 400, 0, 1),  # with 150 in memory, one of 400 ago weighs exp(-2.7)
        (list(np.random.default_rng(0).geometric(1 / 50, 300)), 0, 0),
    ],
    ids=["three", "four", "young", "outlived", "nine lengths", "two", "forgotten", "geometric"],
)
def test_when_lengths_are_believed(ends, running, certain):
    view, state, known = taught(ends)
    view.facts["running"] = view.facts["shown_running"] = 1
    view.running[0] = (100, running, NO_LIMIT, 0, 0, 0, 0)
    view.facts["iteration"] += 1
    view.facts["shown_waiting"] = 1
    view.waiting[0] = (100, 0, NO_LIMIT, 0, 0, 0, 0)
    ask(state, view)
    assert known.memo["certain"] == certain


def test_lengths_below_max_tokens_of_others_are_not_the_law():
    # Ten more are cut at 30: what is longer is not seen of them.
    view, state, known = taught([50] * 100)
    for _ in range(10):
        view.facts["iteration"] += 100
        view.facts["ticks"] += 100
        view.gone[0] = (COMPLETED, 100, 30, 30)
        view.facts["shown_gone"] = 1
        ask(state, view)
    assert known.memo["certain"] == 0


def test_lengths_that_somebody_lived_beyond_to_max_tokens_are_not_the_law():
    view, state, known = taught([16] * 100)
    view.facts["iteration"] += 5000
    view.facts["ticks"] += 5000
    view.gone[0], view.facts["shown_gone"] = (COMPLETED, 100, 3000, 3000), 1
    ask(state, view)
    assert known.memo["certain"] == 0


def test_wider_cells_are_summed_over_before_anybody_is_admitted():
    # Cells of one token hold outputs of up to 512; somebody came to 600, beyond all the others.
    view, state, known = taught(list(range(1, 400)))
    assert known.memo["width"] == 1
    facts = view.facts
    facts["iteration"] += 1
    facts["ticks"] += 1
    facts["shown_gone"], view.gone[0] = 1, (EVICTED, 100, 600, NO_LIMIT)
    ask(state, view)
    assert known.memo["width"] == 2
    # The first 400 tokens, in 200 cells now, are the lives of nearly all.
    assert known.law["load"][200] > 0.8 * known.law["load"][-1]


def test_a_completion_at_another_length_is_known_before_anybody_is_admitted():
    # All ended at 512. Of 400 young ones one ends at 20: the others may still live to 512.
    view, state, known = taught([512] * 100)
    facts = view.facts
    facts["shown_waiting"], view.waiting[0] = 1, (100, 0, NO_LIMIT, 0, 0, 0, 0)
    facts["running"] = facts["shown_running"] = 400
    for age in range(10, 19):
        facts["iteration"] += 1
        facts["ticks"] += 1
        view.running[:400] = (100, age, NO_LIMIT, 0, 0, 0, 0)
        facts["free"] = 100_000 - 400 * (100 + age - 1)
        if age == 18:
            facts["shown_gone"], view.gone[0] = 1, (COMPLETED, 100, 20, NO_LIMIT)
        ask(state, view)
    assert list(known.lengths["tokens"][: known.memo["certain"]]) == [20, 512]
    assert known.memo["farthest"] == 512
    # Of those watched up to their 18th token nobody was expected to end: one completion is no
    # surprise, and the hundred are kept, each counting a 150th less than the one after it.
    assert known.memo["surprise"] == pytest.approx(1, abs=0.01)
    kept = sum((1 + 1 / 150) ** -k for k in range(1, 101))
    assert known.law["remain"][1] == pytest.approx(kept / (kept + 1), abs=0.001)


def test_outputs_of_one_token_that_nobody_watched_leave_the_forecast_a_number():
    # Where prefill has its own iterations, their only token comes without a tick.
    view, state = new_view(4096), Steady().start(Setup(20_000))
    known = opened(state)
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = 1, 20_000, 1
    facts["running"] = facts["shown_running"] = 3
    facts["waiting"], facts["shown_waiting"], facts["free"] = NO_LIMIT, 1, 20_000 - 3 * 101
    view.running[:3] = (100, 1, 16_384, 0, 0, 0, 0)
    view.waiting[0] = (100, 0, 16_384, 0, 0, 0, 0)
    for _ in range(3):
        facts["iteration"] += 1
        facts["shown_gone"], view.gone[0] = 1, (COMPLETED, 100, 1, 16_384)
        ask(state, view)
        assert np.isfinite(known.ahead["mean"]).all()
        assert known.ahead["fresh"][: known.memo["spans"]].min() >= 0


def test_the_forecast_is_exact_in_the_fullest_iteration_of_each_span():
    lengths = [20, 300, 700]
    view, _, known = taught(lengths * 60, kv_tokens=1_000_000)
    facts, draw = view.facts, np.random.default_rng(1)
    rows = []
    for i in range(300):
        generated = int(draw.integers(0, 700))
        prompt = int(draw.integers(1, 2000))
        # Some are cut before the next length, or between two.
        limit = int(draw.choice([NO_LIMIT, 4096, 700, generated + draw.integers(1, 400)]))
        view.running[i] = (prompt, generated, limit, 0, 0, 0, 0)
        rows.append((prompt, generated, limit))
    facts["running"] = facts["shown_running"] = len(rows)
    facts["ticks"] += 1
    put_together(known, view)
    set_spans(known, view)
    forecast(known, view)
    assert known.memo["certain"] == 3

    ahead, shares = np.arange(700), -np.diff(known.law["remain"][:4])  # as learned: tested above
    mean, variance, full = np.zeros((3, 700))
    for prompt, generated, limit in rows:
        # In h iterations it has h more tokens if it lives; of the newest no KV is written.
        held = prompt + generated + ahead
        left = [(n, share) for n, share in zip(lengths, shares, strict=True) if n > generated]
        alive = sum(share * (n > generated + ahead) for n, share in left)
        alive = alive / sum(share for _, share in left)
        alive = np.where(generated + ahead < limit, alive, 0.0)
        mean += held * alive
        variance += held**2 * alive * (1 - alive)
        full += held * (generated + ahead < min(limit, 700))
    shift = int(known.memo["shift"])
    edges = [0, 1]
    while edges[-1] < 1 << shift:
        edges.append(2 * edges[-1])
    edges += range(edges[-1] + (1 << shift), 700 + (1 << shift), 1 << shift)
    spans = list(pairwise(edges))[: known.memo["spans"]]
    assert spans[-1][1] >= 700
    for j, (first, behind) in enumerate(spans):
        assert known.ahead["mean"][j] == pytest.approx(mean[first:behind].max(), rel=1e-9)
        assert known.ahead["full"][j] == pytest.approx(full[first:behind].max(), rel=1e-9)
        # Who ends in the span before its fullest iteration still counts in the variance.
        most = variance[max(first - 1, 0) : behind]
        assert 0.9 * most.min() <= known.ahead["variance"][j] <= 1.1 * most.max() + 1e-6


def lives(load, policy, kv_tokens, *, count, life, block_size=16, best=None, told=None):
    """Completions over x* and evictions, life by life."""
    feed = (load if told is None else Told(load, told)).feed()
    machine = Machine(roomy_vllm(block_size), kv_tokens, UnitTime(), feed, policy=policy)
    ends, evictions = [], []
    for _ in range(count):
        before = machine.clock.copy()
        machine.run(life)
        ends.append(int(machine.clock["all_completed"] - before["all_completed"]) / life / best)
        evictions.append(int(machine.clock["all_preempted"] - before["all_preempted"]))
    return np.array(ends), np.array(evictions)


def x_star(load, kv_tokens, block_size):
    return equilibrium(System(load, kv_tokens, block_size)).admissions_blocks


TIERS = Workload.classes([(256, 128), (256, 256), (256, 512)])


@pytest.mark.parametrize("told", [600, 4096, NO_LIMIT])
@pytest.mark.parametrize("block_size", [1, 16])
@pytest.mark.parametrize(
    ("load", "kv_tokens"),
    [
        (Workload.fixed(128, 512), 430_000),
        (Workload.fixed(512, 512), 131_072),
        (TIERS, 131_072),
    ],
    ids=["430k", "131k", "tiers"],
)
def test_once_learned_few_lengths_are_not_evicted(load, kv_tokens, block_size, told):
    rates, evictions = lives(
        Saturated(load),
        Steady(),
        kv_tokens,
        count=12,
        life=512,
        block_size=block_size,
        best=x_star(load, kv_tokens, block_size),
        told=told,
    )
    assert evictions[3:].sum() == 0
    # The equilibrium of the theory, from the fourth life on.
    assert rates[3:].min() >= 0.97
    assert rates[3:].max() <= 1.03


@pytest.mark.parametrize("told", [4096, NO_LIMIT])
def test_a_small_engine_learns_untold_lengths_within_three_lives(told):
    # 20 requests of 128:512 run at once; with 4,096 tokens kept for each it would be one.
    load = Workload.fixed(128, 512)
    rates, evictions = lives(
        Saturated(load),
        Steady(),
        8_000,
        count=12,
        life=512,
        best=x_star(load, 8_000, 16),
        told=told,
    )
    assert evictions.sum() == 0
    # Of 20.4 in a life at x*, two or three are lost to whole requests and to blocks.
    assert rates[3:].min() >= 17 / 20.4
    assert rates[3:].mean() >= 0.9


@pytest.mark.parametrize(("early", "late"), [(128, 512), (512, 128), (500, 512)])
def test_when_one_certain_length_becomes_another_it_is_learned_again(early, late):
    first, then = Workload.fixed(128, early), Workload.fixed(128, late)
    best = x_star(then, 131_072, 16)
    change = round(6 * 512 * x_star(first, 131_072, 16))
    rates, evictions = lives(
        Drift(first, then, change=change),
        Steady(),
        131_072,
        count=18,
        life=512,
        best=best,
        told=4096,
    )
    assert evictions[4:6].sum() == 0
    assert evictions[-6:].sum() == 0
    assert rates[-6:].min() >= 0.97
