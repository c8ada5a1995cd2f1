"""Sessions: each turn's prompt is the whole conversation, and its keys say what is shared."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.simulate.loads import Sessions
from kvsteady.workload import Lengths, Workload

WORKLOAD = Workload.classes([(16, 32), (3, 7), (50, 1)])


def conversations(feed):
    """Turns of each session in the order in which they will come, by following them."""
    found = {}
    for rows in feed.batches:
        for row in rows:
            turns = [row]
            while turns[-1]["follow"] >= 0:
                turns.append(feed.turns[turns[-1]["follow"]])
            found[int(row["session"])] = turns
    return found


def keys_of(feed, turn):
    return feed.keys[turn["keys"] : turn["keys"] + turn["key_count"]].tolist()


def tokens_of(session, shared, upto):
    """A conversation's tokens, as (who they belong to, position)."""
    return [("all" if i < shared else session, i) for i in range(upto)]


@settings(max_examples=60, deadline=None)
@given(
    shared=st.integers(0, 70),
    key_tokens=st.sampled_from([1, 7, 16, 64]),
    max_context=st.none() | st.integers(140, 400),
    turns=st.sampled_from([Lengths.fixed(1), Lengths.fixed(5), Lengths.geometric(3.0)]),
    seed=st.integers(0, 5),
)
def test_turns_and_keys(shared, key_tokens, max_context, turns, seed):
    load = Sessions(
        WORKLOAD,
        sessions=12,
        rate=1.0,
        turns=turns,
        shared=shared,
        key_tokens=key_tokens,
        max_context=max_context,
        seed=seed,
    )
    feed = load.feed()
    found = conversations(feed)
    assert sorted(found) == list(range(12))
    # A key stands for content: tokens of the conversation up to its end, whole or at its end.
    content = {}
    for session, rows in found.items():
        context = shared
        for turn in rows:
            assert turn["session"] == session
            new = int(turn["prompt"]) - context
            assert (new, int(turn["output"])) in {(16, 32), (3, 7), (50, 1)}
            context = int(turn["prompt"] + turn["output"])
            keys = keys_of(feed, turn)
            assert len(keys) == -(-context // key_tokens)
            for i, key in enumerate(keys):
                end = (i + 1) * key_tokens
                known = content.setdefault(key, tokens_of(session, shared, end))
                assert known == tokens_of(session, shared, end)
        if max_context is not None:
            assert context <= max_context
        for earlier, later in pairwise(rows):
            assert keys_of(feed, later)[: earlier["key_count"]] == keys_of(feed, earlier)
    # What all share has the same keys, as far as they are whole.
    common = {tuple(keys_of(feed, rows[0])[: shared // key_tokens]) for rows in found.values()}
    assert len(common) == 1


def test_turn_counts_follow_their_law():
    load = Sessions(WORKLOAD, sessions=4000, rate=1.0, turns=Lengths.geometric(3.0))
    assert load.feed().total / 4000 == pytest.approx(3.0, rel=0.05)


def test_think_times():
    load = Sessions(WORKLOAD, sessions=4000, rate=1.0, think=2.0, random_think=True)
    assert load.feed().turns["think"].mean() == pytest.approx(2.0, rel=0.05)
    assert set(Sessions(WORKLOAD, 5, 1.0, think=2.0).feed().turns["think"].tolist()) == {2.0}


def test_sessions_begin_at_their_rate():
    times = np.concatenate([r["time"] for r in Sessions(WORKLOAD, 4000, 5.0).feed().batches])
    assert np.diff(times).mean() == pytest.approx(0.2, rel=0.1)
