"""Whatever fails in the plug-in, the engine goes on by its own rule, and says so once.

Each failure is injected in the middle of a run. From then on every decision must be the one that
the real scheduler takes if the plug-in is taken out by hand at that moment.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from kvsteady.admission import decide_of
from kvsteady.plugins import regulator as regulating
from kvsteady.plugins.regulator import SLOW_IN_A_ROW
from kvsteady.plugins.settings import Settings
from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")

from prometheus_client import REGISTRY

from engines.vllm.drive import drive
from engines.vllm.plugged import plugged, steps_of
from kvsteady.plugins.vllm import scheduler as plugin
from kvsteady.plugins.vllm import versions

AT, STEPS = 60, 300
CASE = Case(Knobs(async_scheduling=False), 240, 4, (Arrival(0, 16, 32),) * 120)


def taken_out(tmp_path, at: int) -> list[Any]:
    """The run in which the plug-in is taken out before iteration ``at``."""
    driver = plugged(tmp_path, CASE, "max-active:requests=9")

    def each(number: int) -> None:
        if number == at:
            driver.scheduler.kvsteady = None

    return list(steps_of(driver, CASE, STEPS, each))


def raising(*_: Any, **__: Any) -> Any:
    raise RuntimeError("injected")


def in_policy(_, monkeypatch):
    monkeypatch.setattr(regulating, "ask", raising)


def in_view(watch, _):
    watch._pool = SimpleNamespace()  # no get_num_free_blocks


def in_rows(watch, _):
    watch._running.fill = raising


def in_counting(watch, _):
    watch._count_tokens = raising


def in_arrivals(watch, _):
    watch._waiting.came = watch._waiting.admitted = raising


FAILURES = {
    "policy": (in_policy, "RuntimeError: injected"),
    "view": (in_view, "get_num_free_blocks"),
    "rows": (in_rows, "RuntimeError: injected"),
    "counting": (in_counting, "RuntimeError: injected"),
    "queue": (in_arrivals, "RuntimeError: injected"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_failure_vllm_decides(failure, tmp_path, monkeypatch, caplog):
    inject, said = FAILURES[failure]
    driver = plugged(tmp_path, CASE, "max-active:requests=9")
    watch = driver.scheduler.kvsteady

    def each(number: int) -> None:
        if number == AT:
            inject(watch, monkeypatch)

    with caplog.at_level(logging.WARNING, "kvsteady"):
        steps = list(steps_of(driver, CASE, STEPS, each))
    [line] = [message for message in caplog.messages if "steps aside" in message]
    assert said in line
    monkeypatch.undo()
    free = AT
    if failure == "counting":  # after schedule()
        free += 1
    elif failure == "queue":  # when somebody leaves it
        free = 1 + next(number for number in range(AT, STEPS) if steps[number].admitted)
    assert steps == taken_out(tmp_path, free)
    assert sum(len(step.finished) for step in steps) == len(CASE.arrivals)
    assert len(steps[free].running) > 20  # stock; at most nine before


@pytest.mark.parametrize("failure", FAILURES)
def test_metrics_say_that_it_stepped_aside(failure, tmp_path, monkeypatch):
    driver = plugged(tmp_path, CASE, "max-active:requests=9", metrics=True)
    labels = {"engine": "vllm", "rank": "0", "policy": "max-active:requests=9", "mode": "enforce"}
    active = []

    def each(number: int) -> None:
        if number == AT:
            FAILURES[failure][0](driver.scheduler.kvsteady, monkeypatch)
        active.append(REGISTRY.get_sample_value("kvsteady_active", labels))

    list(steps_of(driver, CASE, STEPS, each))
    assert active[: AT + 1] == [1.0] * (AT + 1)
    assert active[-1] == 0.0


def test_without_metrics_no_line_promises_any(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(plugin, "metrics_of", lambda *_, **__: None)
    with caplog.at_level(logging.INFO, "kvsteady"):
        plugged(tmp_path, CASE, "max-active:requests=9", metrics=True)
    [line] = [message for message in caplog.messages if "narrows" in message]
    assert line.endswith(". No metrics")


class _Slow(NamedTuple):
    spun: Any
    answer: int


@dataclass(frozen=True)
class Spinning:
    """A policy whose every decision takes far longer than its budget."""

    sees_running = False
    oracle = False

    def start(self, setup: Any) -> _Slow:
        del setup
        return _Slow(np.zeros(2), 9)


@decide_of(_Slow)
def _spin(state: Any, view: Any) -> Any:
    for i in range(1_000_000):
        state.spun[0] += np.sqrt(state.spun[1] + i)
    return max(state.answer - view.facts.running, 0)


def test_a_policy_over_its_budget_is_asked_no_more(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Settings, "make_policy", lambda _: Spinning())
    driver = plugged(tmp_path, CASE, "max-active:requests=9", budget_ms=0.01)
    with caplog.at_level(logging.WARNING, "kvsteady"):
        steps = list(steps_of(driver, CASE, STEPS))
    [line] = [message for message in caplog.messages if "steps aside" in message]
    assert "budget of 0.01 ms" in line
    monkeypatch.undo()
    assert steps == taken_out(tmp_path, SLOW_IN_A_ROW - 1)


def test_a_gate_that_vllm_does_not_heed_is_noticed(tmp_path, caplog):
    driver = plugged(tmp_path, CASE, "max-active:requests=9")
    driver.scheduler.kvsteady.gate = "no_gate"
    driver.scheduler.no_gate = 1000
    with caplog.at_level(logging.WARNING, "kvsteady"):
        steps = list(steps_of(driver, CASE, STEPS))
    assert "vLLM admitted" in caplog.text
    assert steps == list(drive(tmp_path, CASE, STEPS))


def test_the_gate_is_put_back_when_vllm_itself_fails(tmp_path):
    driver = plugged(tmp_path, CASE, "max-active:requests=9")
    scheduler = driver.scheduler
    gate = scheduler.kvsteady.gate
    own = getattr(scheduler, gate)
    narrowed = []

    def failing(*_: Any, **__: Any) -> Any:
        narrowed.append(getattr(scheduler, gate))
        raise RuntimeError("vLLM's own")

    def each(number: int) -> None:
        if number == AT:
            scheduler.kv_cache_manager.allocate_slots = failing

    with pytest.raises(RuntimeError, match="vLLM's own"):
        list(steps_of(driver, CASE, STEPS, each))
    assert narrowed == [9]
    assert getattr(scheduler, gate) == own > 9


@pytest.mark.parametrize("lacks", ["a method", "a gate"])
def test_a_version_without_what_is_needed_runs_as_if_alone(lacks, tmp_path, monkeypatch, caplog):
    if lacks == "a method":
        needed = (*versions.NEEDED, "kv_cache_manager.block_pool.take_all")
        monkeypatch.setattr(versions, "NEEDED", needed)
    else:
        monkeypatch.setattr(versions, "GATES", ("max_num_guests",))
    with caplog.at_level(logging.WARNING, "kvsteady"):
        steps = list(drive(tmp_path, CASE, STEPS, kvsteady={"policy": "max-active:requests=9"}))
    [line] = [message for message in caplog.messages if "steps aside" in message]
    assert ("take_all" if lacks == "a method" else "no limit") in line
    assert steps == list(drive(tmp_path, CASE, STEPS))


def test_a_gate_that_cannot_be_set_is_noticed_at_the_start(tmp_path, monkeypatch, caplog):
    def once(self, value):
        if "gate" in vars(self):
            raise AttributeError("read only")
        vars(self)["gate"] = value

    gate = versions.find_gate(plugin.Scheduler.schedule)
    computed = property(lambda self: vars(self)["gate"], once)
    monkeypatch.setattr(plugin.SteadySyncScheduler, gate, computed, raising=False)
    with caplog.at_level(logging.WARNING, "kvsteady"):
        steps = list(drive(tmp_path, CASE, STEPS, kvsteady={"policy": "max-active:requests=9"}))
    [line] = [message for message in caplog.messages if "steps aside" in message]
    assert "read only" in line
    assert steps == list(drive(tmp_path, CASE, STEPS))


def test_an_unknown_version_with_all_that_is_needed_works(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(plugin.vllm, "__version__", "0.99.1")
    with caplog.at_level(logging.INFO, "kvsteady"):
        driver = plugged(tmp_path, CASE, "max-active:requests=9")
    assert "0.99.1, not tested" in caplog.text
    assert max(len(step.running) for step in steps_of(driver, CASE, STEPS)) == 9


def test_the_gate_is_what_schedule_reads():
    def newer(self):
        return len(self.running) < self.max_num_active_reqs <= self.max_num_running_reqs

    def older(self):
        return len(self.running) < self.max_num_running_reqs

    assert versions.find_gate(newer) == "max_num_active_reqs"
    assert versions.find_gate(older) == "max_num_running_reqs"
    assert versions.find_gate(len) is None
