"""Counting against collections.Counter, and what happens at the limits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT
from kvsteady.workload.traces.checks import Batch
from kvsteady.workload.traces.tally import Record, Tally

edges = st.sampled_from([0, 1, 2, 3, 5, MAX_PROMPT - 1, MAX_PROMPT])
prompts = st.one_of(edges, st.integers(0, MAX_PROMPT))
outputs = st.one_of(st.integers(1, 4), st.integers(1, MAX_OUTPUT))
requests = st.lists(st.lists(st.tuples(prompts, outputs), max_size=20), max_size=8)


def batch(rows: list[tuple[int, int]], seconds: list[float] | None = None) -> Batch:
    table = np.array(rows, dtype=np.int32).reshape(-1, 2)
    times = None if seconds is None else np.array(seconds)
    return Batch(table[:, 0], table[:, 1], times)


@settings(deadline=None)
@given(requests, st.integers(1, 30))
def test_counts_are_exact_while_pairs_fit(
    batches: list[list[tuple[int, int]]], pending: int
) -> None:
    tally = Tally(pending=pending)
    for rows in batches:
        tally.add(batch(rows))
    expected = Counter(pair for rows in batches for pair in rows)
    prompt, output, count = (each.tolist() for each in tally.pairs())
    assert dict(zip(zip(prompt, output, strict=True), count, strict=True)) == expected
    assert tally.requests == expected.total()
    assert tally.note() == ()


@settings(deadline=None)
@given(requests, st.integers(1, 10), st.integers(1, 6))
def test_too_many_pairs_are_rounded(
    batches: list[list[tuple[int, int]]], pending: int, limit: int
) -> None:
    rows = [pair for each in batches for pair in each]
    tally = Tally(max_pairs=limit, pending=pending)
    for each in batches:
        tally.add(batch(each))
    prompt, output, count = tally.pairs()
    cell = tally.cell

    # However the requests came in, each stands in the cell of its own prompt.
    expected = Counter((min(p // cell * cell + cell // 2, MAX_PROMPT), o) for p, o in rows)
    found = zip(zip(prompt.tolist(), output.tolist(), strict=True), count.tolist(), strict=True)
    assert dict(found) == expected
    assert len(expected) <= max(limit, len({o for _, o in rows}))
    if cell == 1:
        assert tally.note() == ()
    else:
        assert f"cells of {cell} tokens" in tally.note()[0]
        # No coarser than needed.
        assert len({(p // (cell // 2), o) for p, o in rows}) > limit


def test_rounding_hardly_moves_the_mean() -> None:
    random = np.random.default_rng(5)
    prompt = random.integers(0, 50_000, 20_000).astype(np.int32)
    tally = Tally(max_pairs=1_000, pending=3_000)
    tally.add(Batch(prompt, np.ones(prompt.size, dtype=np.int32)))
    middle, _, count = tally.pairs()
    assert tally.cell == 64
    # A cell's middle is half a token above its mean; 64/√12 is the spread within a cell.
    error = (middle @ count) / count.sum() - prompt.mean()
    assert error == pytest.approx(0.5, abs=5 * 64 / 12**0.5 / 20_000**0.5)


def test_arrivals_beyond_the_limit_are_left_out() -> None:
    record = Record(limit=5)
    for start in (0, 4, 8):
        record.add(
            batch([(n, n + 1) for n in range(start, start + 4)], list(range(start, start + 4)))
        )
    assert record.note() == ("arrivals are those of the first 5 of 12 requests",)
    arrivals = record.arrivals()
    assert arrivals is not None
    assert arrivals.seconds.tolist() == [0, 1, 2, 3, 4]
    assert arrivals.output.tolist() == [1, 2, 3, 4, 5]


def test_no_times_no_arrivals() -> None:
    record = Record()
    record.add(batch([(1, 1)]))
    assert record.arrivals() is None
    assert record.note() == ()
