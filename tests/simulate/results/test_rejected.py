"""Runs that reject: the outcome says so, in its label or in its words."""

from __future__ import annotations

from by_hand import Listed, scenario

from kvsteady.simulate.fleet import Stop
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.results.outcome import Outcome
from kvsteady.simulate.simulate import simulate
from kvsteady.workload import Workload

FITS, TOO_LONG = {"prompt": 5, "output": 5}, {"prompt": 90, "output": 20}


def test_where_nothing_is_served_the_run_is_not_called_completed() -> None:
    run = simulate(scenario(Listed(*[TOO_LONG] * 3), 100))
    assert (run.outcome, run.completed, run.failed) == ("rejected", 0, 3)
    assert "3 of 3 requests were rejected" in run.outcome_text
    assert any("can never fit" in item for item in run.advice)


def test_where_most_are_rejected_that_is_the_outcome() -> None:
    run = simulate(scenario(Listed(TOO_LONG, FITS, TOO_LONG), 100))
    assert (run.outcome, run.completed, run.failed) == ("rejected", 1, 2)


def test_where_some_are_rejected_the_sentence_says_so() -> None:
    run = simulate(scenario(Listed(FITS, FITS, TOO_LONG), 100))
    assert (run.outcome, run.completed, run.failed) == ("completed", 2, 1)
    assert run.outcome_text == (
        "Every request that can fit was served. 1 of 3 requests were rejected."
    )
    assert simulate(scenario(Listed(FITS), 100)).outcome_text == Outcome.COMPLETED.text


def test_the_warm_up_counts_too() -> None:
    # The two that complete do so before measuring begins.
    load = Listed(FITS, FITS, {**TOO_LONG, "time": 30.0}, {"time": 30.0, **FITS})
    run = simulate(scenario(load, 100, warm_up=20.0))
    assert (run.outcome, run.completed) == ("completed", 1)
    assert "1 of 4 requests were rejected" in run.outcome_text


def test_rejected_is_worse_than_overloaded_and_better_than_a_halt() -> None:
    order = [outcome.label for outcome in sorted(Outcome, key=lambda each: each.concern)]
    assert order == [
        "completed", "steady", "evicting", "overloaded", "rejected", "stalled", "livelocked",
    ]  # fmt: skip


def test_a_run_that_brings_only_rejections_says_so() -> None:
    mixed = Workload.classes([(4, 8, 1e-9), (90, 20, 1 - 1e-9)])
    run = simulate(scenario(Saturated(mixed), 100, stop=Stop(seconds=1e9)))
    assert run.replicas[0].ended == "rejecting"
    assert (run.outcome, run.completed) == ("rejected", 0)
    assert run.failed > 1_000_000
