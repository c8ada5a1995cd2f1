"""The joint law of lengths against expectations taken request by request."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.workload import Arrivals, Lengths, Workload, independent
from reference.systems import workloads

Rows = list[tuple[int, int, int]]


def rows_of(load: Workload) -> Rows:
    return list(zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True))


def exact_weights(rows: Rows, block: int = 1, power: int = 1) -> list[Fraction]:
    """``E[(tokens held at age m, in whole blocks)^power 1{L1 > m}]``, m = 0 … L − 1."""
    total = sum(tickets for _, _, tickets in rows)
    return [
        sum(
            Fraction(tickets, total) * (-(-(l0 + m + 1) // block) * block) ** power
            for l0, l1, tickets in rows
            if l1 > m
        )
        for m in range(max(l1 for _, l1, _ in rows))
    ]


@settings(deadline=None, max_examples=100)
@given(workloads(most_output=40), st.integers(1, 20))
def test_memory_weights_are_expectations_over_requests(load: Workload, block: int) -> None:
    rows = rows_of(load)
    for size in (1, block):
        expected = [float(w) for w in exact_weights(rows, size)]
        np.testing.assert_allclose(load.memory_weights(size), expected, rtol=1e-12)
    squares = [float(w) for w in exact_weights(rows, power=2)]
    np.testing.assert_allclose(load.squared_weights(), squares, rtol=1e-12)


@settings(deadline=None, max_examples=100)
@given(workloads(most_output=40))
def test_weight_drops_are_exact_differences(load: Workload) -> None:
    weights = [*exact_weights(rows_of(load)), Fraction(0)]
    total = sum(load.tickets.tolist())
    expected = [(a - b) * total for a, b in itertools.pairwise(weights)]
    assert load.weight_drops().tolist() == expected


def test_weight_drops_do_not_round_where_floats_do() -> None:
    # The drop at age 1, (l0 + 2) finishing − the survivors, is 1 part in 10^16 here.
    n = 2**52
    load = Workload.from_counts([0, 0, 0], [1, 2, 3], [1, n, 2 * n - 1])
    assert load.weight_drops().tolist() == [1 - (3 * n - 1), 2 * n - (2 * n - 1), 3 * (2 * n - 1)]


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=40))
def test_survival_and_means(load: Workload) -> None:
    rows = rows_of(load)
    total = sum(n for _, _, n in rows)
    survival = [sum(n for _, l1, n in rows if l1 > m) / total for m in range(load.longest_output)]
    np.testing.assert_allclose(load.survival, survival, rtol=1e-12)
    assert load.survival[0] == pytest.approx(1)
    assert load.mean_prompt == pytest.approx(sum(l0 * n for l0, _, n in rows) / total)
    assert load.mean_output == pytest.approx(sum(l1 * n for _, l1, n in rows) / total)
    assert load.survival.sum() == pytest.approx(load.mean_output)  # E[L1] = Σ P(L1 > m)
    assert load.longest_output == max(l1 for _, l1, _ in rows)
    assert load.largest_request == max(l0 + l1 for l0, l1, _ in rows)
    assert load.gcd == math.gcd(*(l1 for _, l1, _ in rows))
    assert load.share.sum() == pytest.approx(1)


@settings(deadline=None, max_examples=60)
@given(workloads())
def test_by_output_keeps_the_mass_and_the_mean_prompt_of_each_output(load: Workload) -> None:
    rows = rows_of(load)
    total = sum(n for _, _, n in rows)
    output, share, prompt = load.by_output
    assert output.tolist() == sorted({l1 for _, l1, _ in rows})
    for l1, p, l0 in zip(output, share, prompt, strict=True):
        mass = sum(n for _, other, n in rows if other == l1)
        assert p == pytest.approx(mass / total)
        assert l0 == pytest.approx(sum(a * n for a, other, n in rows if other == l1) / mass)


def test_large_blocks_and_prompts_stay_exact() -> None:
    rows = [(2**24, 5, 1), (2**24 - 1, 7, 2), (65_535, 3, 4)]
    load = Workload.from_counts(*zip(*rows, strict=True))
    for block in (1, 16, 65_536):
        expected = [float(w) for w in exact_weights(rows, block)]
        np.testing.assert_allclose(load.memory_weights(block), expected, rtol=1e-14)


def test_equal_pairs_are_merged_and_rows_sorted_by_output_then_prompt() -> None:
    load = Workload.from_counts([5, 1, 5, 3], [2, 9, 2, 2], [1, 2, 3, 0])
    assert rows_of(load) == [(5, 2, 4), (1, 9, 2)]


def test_shares_are_the_decimals_that_were_typed() -> None:
    load = Workload.classes([(1, 2, 0.1), (1, 3, 0.2), (1, 4, 0.7)])
    assert load.tickets.tolist() == [1, 2, 7]
    thirds = Workload.classes([(1, 2, 1 / 3), (1, 3, 1 / 3), (1, 4, 1 / 3)])
    assert thirds.tickets.tolist() == [1, 1, 1]
    fractions = Workload.classes([(1, 2, Fraction(1, 7)), (1, 3, Fraction(6, 7))])
    assert fractions.tickets.tolist() == [1, 6]
    billionth = Workload.classes([(1, 2, 1e-9), (1, 3, 1 - 1e-9)])
    assert billionth.share[0] == pytest.approx(1e-9, rel=1e-12)
    assert Workload.classes([(1, 2), (1, 3)]).share.tolist() == [0.5, 0.5]
    long = [0.1234567890123456, 0.3141592653589793, 0.5623839456286751]
    given = Workload.classes([(1, n, p) for n, p in enumerate(long, start=1)])
    np.testing.assert_allclose(given.share, long, rtol=1e-11)


@pytest.mark.parametrize(
    "share",
    [True, None, "0.5", math.nan, math.inf, -0.5, 0, 0.0, 1.5, 10**5000, [0.5], 0.5 + 0j],
    ids=range(12),
)
def test_bad_shares_are_refused(share: object) -> None:
    with pytest.raises(InputError) as caught:
        Workload.classes([(1, 2, share), (1, 3, 0.5)])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "classes",
    [
        [],
        [(1, 2, 0.5), (1, 3)],
        [(1, 2, 0.5), (1, 3, 0.4)],
        [(1, 2, 0.5), (1, 3, 0.500002)],
        [(1,)],
        [(1, 2, 0.5, 0.5)],
        [5],
    ],
)
def test_classes_that_do_not_add_up_are_refused(classes: list[tuple[float, ...]]) -> None:
    with pytest.raises(InputError):
        Workload.classes(classes)


BAD_LENGTHS = [True, None, "5", math.nan, math.inf, -1, 1.5, 10**5000, 2**24 + 1, 5 + 0j]


@pytest.mark.parametrize("length", BAD_LENGTHS, ids=range(len(BAD_LENGTHS)))
def test_bad_lengths_are_refused(length: object) -> None:
    for pair in ((length, 5), (5, length)):
        with pytest.raises(InputError):
            Workload.fixed(*pair)
    with pytest.raises(InputError):
        Workload.classes([(1, 2), (length, 2)])


def test_the_ends_of_the_ranges() -> None:
    assert Workload.fixed(0, 1).largest_request == 1
    assert Workload.fixed(2**24, 2**20).longest_output == 2**20
    assert Workload.fixed(np.int64(5), 7.0).prompt.tolist() == [5]
    for pair in ((5, 0), (5, 2**20 + 1)):
        with pytest.raises(InputError):
            Workload.fixed(*pair)


@pytest.mark.parametrize(
    ("prompt", "output", "count"),
    [
        ([], [], []),
        ([1], [2], [0]),
        ([1], [2], [-1]),
        ([1, 1], [2, 3], [5, -1]),
        ([-1], [2], [1]),
        ([1], [0], [1]),
        ([1], [2**20 + 1], [1]),
        ([2**24 + 1], [2], [1]),
        ([1], [2], [2**53 + 1]),
        ([1.7], [2], [1]),
        ([1], [2.9], [1]),
        ([1], [2], [1.5]),
        ([1], [2, 3], [1, 1, 1]),
        ([1], [2, 3], [1]),
        ([math.nan], [2], [1]),
        ([10**30], [2], [1]),
        (["a"], [2], [1]),
    ],
    ids=str,
)
def test_counts_that_cannot_be_are_refused(
    prompt: list[float], output: list[float], count: list[float]
) -> None:
    with pytest.raises(InputError):
        Workload.from_counts(prompt, output, count)


def test_counts_that_overflow_together_are_not_called_empty() -> None:
    # 1,024 · 2^53 = 2^63: the sum wraps round in 64 bits.
    with pytest.raises(InputError, match="count") as caught:
        Workload.from_counts([1] * 1024, range(1, 1025), [2**53] * 1024)
    assert "no request" not in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=30), st.integers(1, 35))
def test_a_cap_leaves_an_atom_of_everything_beyond_it(load: Workload, cap: int) -> None:
    capped = load.capped(cap)
    cut = [(l0, min(l1, cap), n) for l0, l1, n in rows_of(load)]
    assert capped.longest_output == max(l1 for _, l1, _ in cut)
    expected = [float(w) for w in exact_weights(cut)]
    np.testing.assert_allclose(capped.memory_weights(), expected, rtol=1e-12)
    at_cap = sum(n for _, l1, n in rows_of(load) if l1 >= cap)
    assert capped.tickets[capped.output == cap].sum() == at_cap
    assert capped.random == load.random


def test_a_cap_cuts_recorded_arrivals_too() -> None:
    arrivals = Arrivals.recorded([3.0, 1.0], [7, 8], [90, 4])
    load = Workload.from_counts([7, 8], [90, 4], [1, 1], arrivals=arrivals, random=True)
    capped = load.capped(50)
    assert capped.arrivals is not None
    assert capped.arrivals.output.tolist() == [4, 50]
    assert capped.random
    assert any("50.0%" in note for note in capped.notes)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "a", math.nan, 10**9])
def test_caps_out_of_range_are_refused(cap: object) -> None:
    with pytest.raises(InputError):
        Workload.fixed(1, 5).capped(cap)


@pytest.mark.parametrize("block", [0, -1, 1.5, math.nan])
def test_block_sizes_out_of_range_are_refused(block: float) -> None:
    with pytest.raises(InputError):
        Workload.fixed(2, 5).memory_weights(block)


def test_arrivals_are_sorted_and_counted_from_the_first() -> None:
    arrivals = Arrivals.recorded([12.0, 10.0, 11.0, 10.0], [1, 2, 3, 4], [5, 6, 7, 8])
    assert arrivals.seconds.tolist() == [0, 0, 1, 2]
    assert arrivals.prompt.tolist() == [2, 4, 3, 1]
    assert (len(arrivals), arrivals.span, arrivals.rate) == (4, 2.0, 1.5)
    empty = Arrivals.recorded([], [], [])
    assert (len(empty), empty.span, empty.rate) == (0, 0.0, 0.0)


def test_a_law_cannot_be_written_to() -> None:
    load = independent(Lengths.fixed(3), Lengths.uniform(1, 4))
    for array in (load.prompt, load.output, load.tickets, load.share, load.memory_weights()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
