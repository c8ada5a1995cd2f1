"""Every load: rows that hold together, the law that was asked for, the same from the same seed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.model import System, iterate
from kvsteady.simulate.loads import (
    AtOnce,
    Closed,
    Gamma,
    Poisson,
    PrefixTrace,
    Recorded,
    Saturated,
    Sessions,
    Together,
    burst,
)
from kvsteady.simulate.records import ARRIVAL
from kvsteady.workload import Arrivals, Lengths, Workload

TWO = Workload.classes([(16, 32), (3, 7)])
DRAWN = replace(Workload.classes([(16, 32, 0.25), (3, 7, 0.75)]), random=True)
TRACE = Workload.from_counts(
    [5, 6],
    [7, 8],
    [2, 1],
    arrivals=Arrivals.recorded([10.0, 11.0, 14.0], [5, 6, 5], [7, 8, 7]),
    random=True,
)
KEYED = PrefixTrace(
    np.array([0.0, 1.0]),
    np.array([40, 20]),
    np.array([5, 9]),
    np.array([0, 1, 2, 0, 3]),
    np.array([0, 3, 5]),
    16,
)
LOADS = [
    Saturated(DRAWN, requests=40_000),
    Closed(DRAWN, 7, think=2.0, random_think=True, requests=500),
    AtOnce(TWO, 300, at=5.0),
    Poisson(DRAWN, 11.0, requests=40_000),
    Gamma(DRAWN, 11.0, cv=3.0, requests=40_000),
    Recorded(TRACE),
    KEYED,
    burst(TWO, 11.0, 300, 100.0, requests=20_000),
    Sessions(DRAWN, 200, 0.5, turns=Lengths.geometric(3.0), think=1.0, shared=40),
    Together((Sessions(TWO, 20, 0.5, shared=40), Sessions(TWO, 9, 0.1), KEYED)),
]


def rows_of(load, count=None):
    feed = load.feed()
    batches = list(itertools.islice(feed.batches, count))
    return feed, np.concatenate([np.zeros(0, dtype=ARRIVAL), *batches])


@pytest.mark.parametrize("load", LOADS, ids=lambda load: type(load).__name__)
def test_rows_hold_together(load):
    feed, rows = rows_of(load)
    everything = np.concatenate([rows, feed.turns])
    assert feed.total == everything.size
    assert np.unique(everything["id"]).size == everything.size
    assert everything["output"].max() == feed.largest_output
    assert everything["prompt"].max() == feed.largest_prompt
    assert everything["prompt"].min() >= feed.smallest_prompt
    assert (everything["output"] >= 1).all()
    assert (everything["limit"] >= everything["output"]).all()
    assert (np.diff(rows["time"]) >= 0).all()
    ends = everything["keys"] + everything["key_count"]
    assert (ends <= feed.keys.size).all()
    follows = everything["follow"][everything["follow"] >= 0]
    assert np.array_equal(np.sort(follows), np.arange(feed.turns.size))  # each turn comes once


@pytest.mark.parametrize("load", LOADS, ids=lambda load: type(load).__name__)
def test_a_feed_starts_over(load):
    first, again = rows_of(load), rows_of(load)
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].turns.tobytes() == again[0].turns.tobytes()
    assert first[0].keys.tobytes() == again[0].keys.tobytes()


@pytest.mark.parametrize(
    "load",
    [
        Saturated(DRAWN),
        Poisson(DRAWN, 2.0),
        Gamma(DRAWN, 2.0),
        Sessions(DRAWN, 50, 1.0, think=1.0, random_think=True),
    ],
    ids=lambda load: type(load).__name__,
)
def test_another_seed_is_another_load(load):
    assert rows_of(load, 1)[1].tobytes() != rows_of(replace(load, seed=1), 1)[1].tobytes()


def test_arrival_times_do_not_depend_on_lengths():
    one, other = rows_of(Poisson(DRAWN, 2.0), 2)[1], rows_of(Poisson(TWO, 2.0), 2)[1]
    np.testing.assert_array_equal(one["time"], other["time"])


@pytest.mark.parametrize("random", [False, True])
def test_saturated_comes_in_the_order_of_the_exact_model(random):
    # Two never fit, so the exact model's requests complete in the order of its queue.
    law = replace(Workload.classes([(10, 3, 0.5), (9, 5, 0.3), (12, 2, 0.2)]), random=random)
    run = iterate(System(law, 14), steps=2000, arithmetic="integer", seed=3)
    completed = np.flatnonzero(run.completed)
    outputs = np.diff(completed, prepend=-1)
    rows = rows_of(Saturated(law, seed=3), 1)[1]
    assert outputs.size > 500
    np.testing.assert_array_equal(rows["output"][: outputs.size], outputs)


def test_gaps_have_their_rate_and_variation():
    for load, cv in ((Poisson(TWO, 11.0), 1.0), (Gamma(TWO, 11.0, cv=3.0), 3.0)):
        gaps = np.diff(rows_of(load, 10)[1]["time"])
        assert gaps.mean() == pytest.approx(1 / 11, rel=6 * cv / np.sqrt(gaps.size))
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.1)


def test_shares_are_met():
    kinds = rows_of(Saturated(DRAWN), 10)[1]["kind"]
    outputs = DRAWN.output[kinds]
    assert (outputs == 32).mean() == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / kinds.size))


def test_cutting_into_batches_changes_nothing(monkeypatch):
    loads = [Poisson(DRAWN, 2.0, requests=999), Gamma(DRAWN, 2.0, requests=999)]
    loads += [Closed(DRAWN, 3, 1.0, True, requests=999), burst(TWO, 2.0, 50, 20.0, requests=999)]
    whole = [rows_of(load)[1] for load in loads]
    monkeypatch.setattr("kvsteady.simulate.loads.requests.BATCH", 10)
    for load, rows in zip(loads, whole, strict=True):
        np.testing.assert_array_equal(rows_of(load)[1], rows)


def test_max_tokens_cuts_outputs_and_is_known():
    rows = rows_of(Saturated(TWO, max_tokens=10), 1)[1]
    assert set(rows["output"].tolist()) == {7, 10}
    assert set(rows["limit"].tolist()) == {10}
    recorded = rows_of(Recorded(TRACE, max_tokens=7))
    assert recorded[1]["output"].tolist() == [7, 7, 7]
    assert recorded[0].largest_output == 7


def test_a_recorded_trace_is_stretched_and_cut():
    assert rows_of(Recorded(TRACE))[1]["time"].tolist() == [0.0, 1.0, 4.0]
    # Two gaps in 4 s are 0.5 per second; four times the rate is a quarter of the time.
    assert rows_of(Recorded(TRACE, rate=2.0))[1]["time"].tolist() == [0.0, 0.25, 1.0]
    feed, rows = rows_of(Recorded(TRACE, requests=2))
    assert (feed.total, rows["prompt"].tolist()) == (2, [5, 6])


def test_a_burst_stands_on_a_steady_rate():
    steady = rows_of(Poisson(TWO, 11.0, requests=20_000))[1]
    rows = rows_of(burst(TWO, 11.0, 300, 100.0, requests=20_000))[1]
    assert np.count_nonzero(rows["time"] == 100.0) == 300
    np.testing.assert_array_equal(rows["time"][rows["time"] != 100.0], steady["time"])


def test_clients_think():
    assert Closed(TWO, 3).feed().clients == 3
    fixed = next(Closed(TWO, 3, think=2.0).feed().batches)["think"]
    drawn = next(Closed(TWO, 3, think=2.0, random_think=True).feed().batches)["think"]
    assert (fixed == 2.0).all()
    assert drawn.mean() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Saturated("x"), "workload"),
        (lambda: Saturated(TWO, seed=-1), "seed"),
        (lambda: Saturated(TWO, max_tokens=0), "max_tokens"),
        (lambda: Poisson(TWO, 0.0), "rate"),
        (lambda: Poisson(TWO, 1.0, requests=0), "requests"),
        (lambda: Gamma(TWO, 1.0, cv=1000.0), "cv"),
        (lambda: Closed(TWO, 0), "clients"),
        (lambda: Closed(TWO, 1, think=-1.0), "think"),
        (lambda: AtOnce(TWO, 3, at=float("nan")), "at"),
        (lambda: Recorded(TWO), "workload"),
        (lambda: Recorded(TRACE, rate=-1.0), "rate"),
        (lambda: Together(()), "loads"),
        (lambda: Together((Saturated(TWO),)).feed(), "loads"),
        (lambda: Together((KEYED, Sessions(TWO, 3, 1.0, key_tokens=8))).feed(), "loads"),
        (lambda: Sessions(TWO, 3, 1.0, key_tokens=0), "key_tokens"),
        (lambda: Sessions(TWO, 3, 1.0, turns=3), "turns"),
        (lambda: Sessions(TWO, 3, 1.0, max_context=9).feed(), "max_context"),
    ],
)
def test_bad_options_are_named(make, field):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.field == field


def test_all_recorded_at_once_cannot_be_stretched():
    at_once = replace(TRACE, arrivals=Arrivals.recorded([1.0, 1.0], [5, 6], [7, 8]))
    assert rows_of(Recorded(at_once))[1]["time"].tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="all at once"):
        rows_of(Recorded(at_once, rate=1.0))


def test_a_class_of_small_share_still_comes():
    law = Workload.classes([(1, 1, Fraction(1, 1000)), (2, 2, Fraction(999, 1000))])
    kinds = rows_of(Saturated(law, requests=5000))[1]["kind"]
    assert np.bincount(kinds).tolist() == [5, 4995]
