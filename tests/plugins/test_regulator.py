"""What surrounds a policy in an engine, against engines of a few lines."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, Setup, decide_of
from kvsteady.errors import InputError
from kvsteady.plugins import Regulator, Settings
from kvsteady.plugins.regulator import SLOW_IN_A_ROW, SUMMARY_EVERY

SETUP = Setup(960, 1)


def filled(regulator: Regulator, *, running: int, waiting: int, free: int = 960) -> Any:
    """A function that shows so many requests, each of prompt 16 and at most 32 tokens."""

    def fill() -> None:
        view = regulator.room_for(running)
        facts = view.facts
        facts["iteration"] += 1
        facts["ticks"] += 1
        facts["block"], facts["blocks"], facts["free"] = 1, 960, free
        facts["running"], facts["waiting"] = running, waiting
        facts["shown_running"], facts["shown_waiting"] = running, min(waiting, 256)
        for rows in (view.running, view.waiting):
            rows["prompt"], rows["limit"] = 16, 32

    return fill


class _Stubborn(NamedTuple):
    asked: Any
    answer: int


@dataclass(frozen=True)
class Stubborn:
    """Always the same answer."""

    answer: int = 0
    sees_running = False
    oracle = False

    def start(self, setup: Setup) -> _Stubborn:
        del setup
        return _Stubborn(np.zeros(1), self.answer)


@decide_of(_Stubborn)
def _answer(state: Any, view: Any) -> Any:
    state.asked[0] += view.facts.running
    return state.answer


def stubborn(monkeypatch: pytest.MonkeyPatch, answer: int = 0, **settings: Any) -> Regulator:
    monkeypatch.setattr(Settings, "make_policy", lambda _: Stubborn(answer))
    return Regulator(Settings(**settings), SETUP)


def test_a_limit_is_what_the_policy_says() -> None:
    regulator = Regulator(Settings(policy="max-active:requests=20"), SETUP)
    assert regulator.limit(filled(regulator, running=17, waiting=9)) == 3
    assert regulator.limit(filled(regulator, running=20, waiting=9)) == 0
    assert regulator.ledger.limited == 2
    assert regulator.ledger.running == 20


def test_a_shadow_limits_nothing_and_counts_what_it_would_have_put_off() -> None:
    regulator = Regulator(Settings(policy="max-active:requests=20", mode="shadow"), SETUP)
    assert regulator.limit(filled(regulator, running=17, waiting=9)) is None
    regulator.settle(admitted=7)
    assert (regulator.ledger.quota, regulator.ledger.held_back) == (3, 4)
    assert regulator.limit(filled(regulator, running=24, waiting=2)) is None
    regulator.settle(admitted=2, resumed=1)
    assert (regulator.ledger.held_back, regulator.ledger.resumed) == (6, 1)


def test_a_shadow_says_now_and_then_what_it_saw(caplog: pytest.LogCaptureFixture) -> None:
    regulator = Regulator(Settings(policy="max-active:requests=20", mode="shadow"), SETUP)
    assert regulator.limit(filled(regulator, running=19, waiting=9)) is None
    ledger = regulator.ledger
    ledger.evicted, ledger.prefilled, ledger.recomputed = 2, 400, 100
    ledger.steps = SUMMARY_EVERY - 2
    with caplog.at_level(logging.INFO, "kvsteady.plugins"):
        regulator.settle(admitted=3)
        assert caplog.messages == []
        regulator.settle(admitted=1)
    [line] = caplog.messages
    assert "put off 2 of 4 admissions" in line
    assert "2 evictions so far cost 100 recomputed tokens, 25.0% of all prefill" in line


def test_with_nobody_in_memory_the_head_goes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    regulator = stubborn(monkeypatch)
    assert regulator.limit(filled(regulator, running=0, waiting=1)) == 1
    regulator.settle(admitted=1)
    assert regulator.limit(filled(regulator, running=0, waiting=0)) == 0
    regulator.settle(admitted=0)
    assert regulator.ledger.overruled == 1


def test_nobody_waits_for_ever_while_it_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    regulator = stubborn(monkeypatch, patience=5)
    said = []
    for _ in range(12):
        said.append(regulator.limit(filled(regulator, running=3, waiting=9)))
        regulator.settle(admitted=said[-1] or 0)
    assert said == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]


def test_whom_the_engine_refuses_at_the_end_of_patience_may_enter_when_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what counts is who was admitted, not who might have been."""
    regulator = stubborn(monkeypatch, patience=3)
    said, overruled = [], []
    for admits in (0, 0, 0, 0, 0, 1, 0, 0, 1):
        said.append(regulator.limit(filled(regulator, running=3, waiting=9)))
        regulator.settle(admitted=min(admits, said[-1] or 0))
        overruled.append(regulator.ledger.overruled)
    assert said == [0, 0, 1, 1, 1, 1, 0, 0, 1]
    assert overruled == [0, 0, 0, 0, 0, 1, 1, 1, 2]


def test_no_head_is_pushed_in_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    regulator = stubborn(monkeypatch, patience=2)
    # 16 tokens and the one to come need 17 blocks of one token.
    said = [regulator.limit(filled(regulator, running=3, waiting=9, free=16)) for _ in range(9)]
    assert said == [0] * 9
    assert 1 in [regulator.limit(filled(regulator, running=3, waiting=9, free=17)) for _ in "ab"]


def test_a_failure_is_said_once_and_is_the_last(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    regulator = stubborn(monkeypatch, 4)
    assert regulator.limit(filled(regulator, running=1, waiting=9)) == 4

    def broken() -> None:
        raise RuntimeError("no such attribute")

    with caplog.at_level(logging.WARNING, "kvsteady.plugins"):
        assert regulator.limit(broken) is None
        assert regulator.limit(filled(regulator, running=1, waiting=9)) is None
    regulator.settle(admitted=3)
    [line] = caplog.messages
    assert "RuntimeError: no such attribute" in line
    assert not regulator.enforces
    assert regulator.ledger.steps == 1  # what the engine does is still counted


def test_a_slow_policy_is_asked_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Settings, "make_policy", lambda _: Stubborn(4))
    now, pace = [0.0], [0.002]

    def clock() -> float:
        now[0] += pace[0]
        return now[0]

    regulator = Regulator(Settings(budget_ms=1.0), SETUP, clock=clock)
    fill = filled(regulator, running=1, waiting=9)
    pattern = [0.002] * (SLOW_IN_A_ROW - 1) + [0.0005] + [0.002] * SLOW_IN_A_ROW
    said = []
    for each in pattern:
        pace[0] = each
        said.append(regulator.limit(fill))
    # One fast decision in between: the count starts over.
    assert said == [4] * (2 * SLOW_IN_A_ROW - 1) + [None]
    assert "budget of 1 ms" in caplog.text
    assert regulator.limit(fill) is None


def test_who_left_is_told_once() -> None:
    regulator = Regulator(Settings(policy="greedy"), SETUP)
    regulator.gone(COMPLETED, 16, 32, 32)
    regulator.limit(filled(regulator, running=1, waiting=1))
    assert regulator.view.facts["shown_gone"] == 1
    assert tuple(regulator.view.gone[0]) == (COMPLETED, 16, 32, 32)
    regulator.limit(filled(regulator, running=1, waiting=1))
    assert regulator.view.facts["shown_gone"] == 0


def test_more_requests_than_there_was_room_for() -> None:
    regulator = Regulator(Settings(policy="max-active:requests=2000"), SETUP)
    assert regulator.limit(filled(regulator, running=1999, waiting=9)) == 1
    assert regulator.view.running.size >= 1999


def test_a_policy_that_cannot_start_is_said_beforehand() -> None:
    with pytest.raises(InputError, match="rate"):
        Regulator(Settings(policy="rate-cap"), SETUP)
