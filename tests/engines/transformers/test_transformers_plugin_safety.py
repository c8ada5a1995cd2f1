"""Whatever goes wrong in the plug-in, the engine goes on by its own rule and loses nobody."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from types import MappingProxyType

import pytest

from engines.transformers import plugged
from engines.transformers.plugged import UNHURRIED, engine, plugin, rows_of
from kvsteady.errors import InputError
from kvsteady.plugins.regulator import SLOW_IN_A_ROW
from kvsteady.plugins.transformers.engine import why_not
from reference.engines.transformers_cases import measured

own = plugged.importlib.import_module("transformers.generation.continuous_batching.scheduler")

FEW = measured()[0], measured()[1][:120]
EVERYBODY = set(range(120))


@pytest.fixture(scope="module")
def stock():
    return rows_of(engine(FEW, None))


def lines(caplog) -> list[str]:
    return [each.message for each in caplog.records if each.name == "kvsteady.plugins"]


def started(caplog):
    caplog.set_level(logging.WARNING, "kvsteady.plugins")
    return engine(FEW, "max-active:requests=10")


@pytest.mark.parametrize("what", ["fill", "came", "leaves", "end", "wanted", "begin"])
def test_an_exception_anywhere(what, monkeypatch, caplog):
    made = started(caplog)

    def broken(*_):
        raise RuntimeError("so it goes")

    if what == "wanted":  # is only asked where pages are kept
        monkeypatch.setattr(made.scheduler._watch, "kept", lambda: 1)
    done = made.run(20)
    assert max(len(step.tokens) for step in done) == 10
    monkeypatch.setattr(made.scheduler._watch, what, broken)
    made.manager.add_request([5] * 16, request_id="120", max_new_tokens=32, eos_token_id=-1)
    done = made.run()
    assert max(len(step.tokens) for step in done) > 40  # nothing limits it any more
    assert set(made.outputs()) == EVERYBODY | {120}
    [line] = lines(caplog)
    assert "RuntimeError: so it goes" in line


def test_an_exception_while_several_are_cancelled(monkeypatch, caplog):
    made = started(caplog)
    made.run(20)

    def broken(*_):
        raise RuntimeError("so it goes")

    monkeypatch.setattr(made.scheduler._watch, "cancelled", broken)
    for name in (100, 110):
        made.manager.cancel_request(str(name))
    made.run()
    assert set(made.outputs()) == EVERYBODY - {100, 110}
    [line] = lines(caplog)
    assert "RuntimeError: so it goes" in line


def test_metrics_say_that_it_stepped_aside(monkeypatch):
    registry = pytest.importorskip("prometheus_client").REGISTRY
    plugin.configure(policy="max-active:requests=10", budget_ms=1e9)
    options, requests = FEW
    made = plugged.Engine(requests, **options | {"scheduler_type": "steady"})
    labels = {"engine": "transformers", "rank": "0", "policy": "max-active:requests=10"}

    def active():
        return registry.get_sample_value("kvsteady_active", labels | {"mode": "enforce"})

    made.run(20)
    assert active() == 1.0

    def broken(*_):
        raise RuntimeError("so it goes")

    monkeypatch.setattr(made.scheduler._watch, "end", broken)
    made.run()
    assert active() == 0.0
    assert set(made.outputs()) == EVERYBODY


def test_metrics_say_that_it_was_detached(caplog):
    registry = pytest.importorskip("prometheus_client").REGISTRY
    made = engine(FEW, None)
    made.run(20)
    policy = "max-active:requests=7"
    labels = {"engine": "transformers", "rank": "0", "policy": policy, "mode": "enforce"}
    plugin.attach(made.processor, policy=policy, budget_ms=1e9)
    made.run(20)
    assert registry.get_sample_value("kvsteady_active", labels) == 1.0
    with caplog.at_level(logging.WARNING, "kvsteady.plugins"):
        plugin.detach(made.processor)
    assert registry.get_sample_value("kvsteady_active", labels) == 0.0
    assert lines(caplog) == []
    made.run()
    assert set(made.outputs()) == EVERYBODY


def test_an_attribute_that_the_engine_no_longer_has(monkeypatch, caplog):
    made = started(caplog)
    made.run(20)
    monkeypatch.delattr(made.cache.cache_allocators["full_attention"], "num_blocks")
    made.run()
    assert set(made.outputs()) == EVERYBODY
    [line] = lines(caplog)
    assert "AttributeError" in line
    assert "num_blocks" in line


def test_a_policy_that_is_too_slow(caplog):
    caplog.set_level(logging.WARNING, "kvsteady.plugins")
    now = [0.0]

    def clock() -> float:
        now[0] += 0.002
        return now[0]

    made = started(caplog)
    regulator = made.scheduler.regulator
    regulator._clock = clock
    regulator.settings = type(regulator.settings)(policy="max-active:requests=10", budget_ms=1.0)
    done = made.run()
    assert [len(step.tokens) for step in done[: SLOW_IN_A_ROW - 1]] == [10] * (SLOW_IN_A_ROW - 1)
    assert max(len(step.tokens) for step in done) > 40
    assert set(made.outputs()) == EVERYBODY
    [line] = lines(caplog)
    assert "more than its budget of 1 ms" in line


@pytest.mark.parametrize("version", ["5.22.1", "6.0.0"])
def test_a_version_that_is_not_known(version, monkeypatch, caplog, stock):
    import transformers

    monkeypatch.setattr(transformers, "__version__", version)
    made = started(caplog)
    assert rows_of(made) == stock
    assert made.scheduler.regulator is None
    [line] = lines(caplog)
    assert f"Transformers {version} is not known to it (known: 5.23.x)" in line


def test_an_engine_that_lacks_what_it_needs():
    class Bare:
        """Some other release's scheduler."""

        schedule_batch = reset = add_waiting_request = finish_request = None

    class Cache:
        """Of a model some of whose layers look at a window only."""

        cache_allocators = MappingProxyType({"sliding_attention": None, "full_attention": None})

    assert why_not("5.23.0", Bare, Cache()) == (
        "Bare has no clear_cancelled_requests, _get_waiting_candidates, _process_candidates, "
        "_try_to_meet_safety_margin"
    )
    assert why_not("5.23.1", own.FIFOScheduler, Cache()) == (
        "the model's layers keep sliding_attention and full_attention, and it knows full "
        "attention alone"
    )


def test_a_policy_that_cannot_start_is_said_before_anything_is_served():
    with pytest.raises(InputError, match="rate"):
        plugin.configure(policy="rate-cap")
    with pytest.raises(InputError, match="polcy"):
        plugin.configure(polcy="steady")


def test_settings_come_from_the_environment():
    code = (
        "import kvsteady.plugins.transformers as p\n"
        "from transformers.generation.continuous_batching.scheduler import SCHEDULER_MAPPING as m\n"
        "print(m['steady'].settings.policy, m['steady_prefill_first'].settings.mode)\n"
        "print(m['fifo'].__name__)"
    )
    environ = os.environ | {"KVSTEADY_POLICY": "greedy", "KVSTEADY_MODE": "shadow"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["greedy", "shadow", "FIFOScheduler"]
    wrong = subprocess.run(
        [sys.executable, "-c", code],
        env=environ | {"KVSTEADY_MODE": "on"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KVSTEADY_MODE" in wrong.stderr
    assert wrong.returncode != 0


def test_a_command_that_lets_no_scheduler_be_chosen():
    settings = plugin.configure(policy="steady", **UNHURRIED)
    plugin.register(settings, instead=True)
    try:
        assert own.SCHEDULER_MAPPING["fifo"].__name__ == "SteadyFIFOScheduler"
    finally:
        plugin.register(settings)
    assert own.SCHEDULER_MAPPING["fifo"] is own.FIFOScheduler


@pytest.mark.parametrize("policy", ["steady", "max-active:requests=10", "greedy"])
@pytest.mark.parametrize("seed", [1, 2])
def test_cancelled_requests_go_and_nobody_else_does(policy, seed):
    made, rng = engine(FEW, policy), random.Random(seed)
    gone: set[int] = set()
    for _ in range(60):
        made.step()
        name = rng.randrange(120)
        made.manager.cancel_request(str(name))  # one that waits, runs, or is done already
        gone.add(name)
    made.run()
    regulator = made.scheduler.regulator
    assert regulator.why_aside is None
    done = made.outputs()
    assert EVERYBODY - set(done) <= gone
    assert all(len(tokens) == 32 for tokens in done.values())
    assert regulator.ledger.completed == len(done)
    watch = made.scheduler._watch
    assert (watch.running.names, watch.waiting.names, watch._prefilling) == ([], [], set())
    assert watch.free() + watch.kept() == 240


def test_further_answers_to_one_prompt_are_seen():
    made = engine(FEW, "steady")
    made.manager.num_return_sequences = 3
    made.run()
    regulator = made.scheduler.regulator
    assert regulator.why_aside is None
    # They are not foreseen, and somebody may be evicted for them.
    assert regulator.ledger.completed == 3 * 120
    assert regulator.ledger.admitted - regulator.ledger.resumed == 3 * 120


def test_a_policy_sees_which_prefix_others_hold():
    # 80 of the 96 prompt tokens are everybody's, and computed once.
    options = measured()[0] | {"allow_block_sharing": True}
    case = options, [(2 * (i > 0), 96, 32) for i in range(120)]
    stock = len(rows_of(engine(case, None, shared=80)))
    made = engine(case, "steady", shared=80)
    made.run(20)
    view = made.scheduler.regulator.view
    assert view.running["shared"][:3].tolist() == [0, 80, 80]
    # Counting shared pages for each costs little here: the engine itself reads no more than 960
    # tokens in a batch.
    assert 20 + len(made.run()) <= 1.15 * stock
    assert made.scheduler.regulator.why_aside is None
    assert made.scheduler.regulator.ledger.prefilled == 96 + 119 * 16
    assert set(made.outputs()) == EVERYBODY


def test_a_batch_that_fails_does_not_leave_ghosts():
    made = engine(FEW, "steady")
    made.run(10)
    made.processor.prepare_next_batch()
    made.processor.handle_batch_error(RuntimeError("out of memory"))
    made.run()
    regulator = made.scheduler.regulator
    assert regulator.why_aside is None
    assert made.scheduler._watch.running.names == []
    done = made.outputs()
    assert len(done) == regulator.ledger.completed < 120
    assert all(len(tokens) == 32 for tokens in done.values())
