"""Tier design against the roots of every candidate, and the published numbers on gcd alone."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.theory.tiers import (
    Direction,
    Outcome,
    Searched,
    design_tiers,
    prove_smallest,
    spread_tiers,
    stable_extra_prompt,
    stable_prompt_within,
    stable_spread,
    stable_tolerance,
    with_outputs,
)
from kvsteady.theory.tiers import design as design_module
from kvsteady.theory.tiers.choices import choices, nearest_coprime, nearest_primes, radius_floor
from kvsteady.theory.tiers.exclude import proved_root
from kvsteady.theory.tiers.search import smallest_radii
from kvsteady.theory.tiers.sparse import Candidates, largest_found, root_sizes
from kvsteady.workload import Workload


def radius_by_hand(prompts: list[int], outputs: list[int], shares: list[float]) -> float:
    """Largest root of Σ w_m z^(L−1−m), w summed class by class (theory: section 3)."""
    w = np.zeros(max(outputs))
    for prompt, output, share in zip(prompts, outputs, shares, strict=True):
        w[:output] += share * (prompt + 1 + np.arange(output))
    return float(np.abs(np.roots(w)).max(initial=0.0))


def three_tiers(prompt: int) -> Workload:
    return Workload.classes([(prompt, output) for output in (128, 256, 512)])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 3, 40, 900]), st.integers(2, 24)), min_size=1, max_size=3
    ),
    st.integers(0, 3),
    st.sampled_from(list(Direction)),
)
def test_the_best_of_small_tiers_are_those_of_every_candidates_roots(
    rows: list[tuple[int, int]], reach: int, direction: Direction
) -> None:
    load = Workload.classes(sorted(set(rows)))
    found = design_tiers(load, tolerance=reach, direction=direction, keep=4, certified=False)
    down = 0 if direction is Direction.UP else reach
    up = 0 if direction is Direction.DOWN else reach
    axes = [range(max(1, n - down), n + up + 1) for n in load.output.tolist()]
    share, prompts = load.share.tolist(), load.prompt.tolist()
    every = {lengths: radius_by_hand(prompts, list(lengths), share) for lengths in product(*axes)}
    assert found.exhaustive
    assert found.candidates == len(every)
    expected = sorted(every.values())[:4]
    # Roots of multiplicity are known to about the root of machine precision.
    assert [d.radius for d in found.best] == pytest.approx(expected, rel=1e-6)
    for design in found.best:
        assert design.radius == pytest.approx(every[design.outputs], rel=1e-6)
    if not math.isnan(found.radius_floor):
        assert found.radius_floor <= expected[0] * (1 + 1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(2, 40), st.integers(1, 9)),
        min_size=1,
        max_size=3,
    ),
    st.floats(0.8, 1.2),
    st.floats(0.05, 3.1),
)
def test_what_rules_a_candidate_out_is_no_larger_than_its_largest_root(
    rows: list[tuple[int, int, int]], limit: float, angle: float
) -> None:
    prompt, output, tickets = (np.array(column) for column in zip(*rows, strict=True))
    candidate = Candidates(prompt, output[None], tickets[None])
    truth = radius_by_hand(prompt.tolist(), output.tolist(), (tickets / tickets.sum()).tolist())
    start = complex(limit * np.exp(1j * angle))
    sizes, roots = root_sizes(candidate, np.array([0]), start)
    assert sizes[0] <= truth * (1 + 1e-6)
    flint = pytest.importorskip("flint")
    for root in (start, complex(roots[0])):
        assert proved_root(flint, candidate, 0, root) <= truth * (1 + 1e-9)
    assert largest_found(candidate, 0, limit)[0] <= truth * (1 + 1e-6)


def test_a_simple_root_is_proved_to_the_last_digits() -> None:
    flint = pytest.importorskip("flint")
    candidate = Candidates(np.array([9]), np.array([[3]]), np.array([[1]]))
    # 10 z² + 11 z + 12: a pair of modulus √1.2.
    root = complex(-11, math.sqrt(480 - 121)) / 20
    bound = proved_root(flint, candidate, 0, root)
    assert math.sqrt(1.2) * (1 - 1e-14) < bound <= math.sqrt(1.2)
    assert proved_root(flint, candidate, 0, 0j) == 0
    assert (
        proved_root(flint, Candidates(np.array([9]), np.array([[1]]), np.array([[1]])), 0, 1j) == 0
    )


@pytest.mark.parametrize(
    ("rows", "reach", "most"),
    [
        ([(50, 16), (50, 24)], 6, 20_000),
        ([(3, 9), (40, 12), (40, 20)], 2, 20_000),
        ([(30, 16), (30, 18)], 3, 20_000),  # (16, 18) and (18, 16) are one law
        ([(30, 12), (30, 18), (30, 24)], 3, 30),  # local search
    ],
)
def test_the_smallest_radius_is_proved(rows: list[tuple[int, int]], reach: int, most: int) -> None:
    pytest.importorskip("flint")
    load = Workload.classes(rows)
    found = design_tiers(
        load, tolerance=reach, direction=Direction.BOTH, keep=2, most_candidates=most
    )
    assert found.smallest is not None
    assert found.smallest.proved
    assert found.smallest.gap == 0
    low, high = found.smallest.radius_low, found.smallest.radius_high
    share, prompts = load.share.tolist(), load.prompt.tolist()
    axes = [range(n - reach, n + reach + 1) for n in load.output.tolist()]
    every = {lengths: radius_by_hand(prompts, list(lengths), share) for lengths in product(*axes)}
    best = every[found.best[0].outputs]
    assert low * (1 - 1e-9) <= best <= high * (1 + 1e-9)
    if found.exhaustive:
        assert best == pytest.approx(min(every.values()), rel=1e-9)
        laws = {tuple(sorted(zip(prompts, n, share, strict=True))) for n in every}
        law = tuple(sorted(zip(prompts, found.best[0].outputs, share, strict=True)))
        assert law in laws
        swapped = [n for n in every if tuple(sorted(zip(prompts, n, share, strict=True))) == law]
        assert found.smallest.compared == len(every) - len(swapped)


def test_a_design_that_is_not_the_best_leaves_a_gap() -> None:
    pytest.importorskip("flint")
    load = Workload.classes([(50, 16), (50, 24)])
    every = choices(load, 3, Direction.DOWN, 0.0).every_length()
    found = smallest_radii(every)
    ((index, _),) = found.best
    radii = [radius_by_hand([50, 50], n, [0.5, 0.5]) for n in every.output.tolist()]
    ranked = sorted(range(len(radii)), key=radii.__getitem__)
    assert index == ranked[0]
    third = every.workload(ranked[2])
    left = prove_smallest(third, [Searched(every, found.roots)])
    assert not left.proved
    assert left.compared - left.excluded == 2
    assert left.gap == pytest.approx(1 - radii[ranked[0]] / radii[ranked[2]], abs=1e-8)


def test_the_best_of_three_tiers_is_proved() -> None:
    pytest.importorskip("flint")
    found = design_tiers(three_tiers(256), tolerance=0.02, keep=1)
    assert found.smallest is not None
    assert (found.smallest.compared, found.smallest.excluded) == (197, 197)
    best = radius_by_hand([256] * 3, [*found.best[0].outputs], [1 / 3] * 3)
    assert found.smallest.radius_low <= best * (1 + 1e-9)
    assert best <= found.smallest.radius_high * (1 + 1e-9)


def test_the_product_of_all_roots_bounds_the_radius_of_every_candidate() -> None:
    # Vieta: |product| = w_{L−1} / w_0. At prompt 2 the last of (5, 9) alone outweighs the start.
    tiers = choices(Workload.classes([(2, 5), (2, 9)]), 2, Direction.BOTH, 0.0)
    every = tiers.every_length()
    by_hand = min(
        (0.5 * (2 + max(n)) * (1 + (n[0] == n[1])) / 3) ** (1 / (max(n) - 1))
        for n in every.output.tolist()
    )
    assert radius_floor(every) == pytest.approx(by_hand, rel=1e-12)
    assert radius_floor(every) > 1
    found = smallest_radii(every)
    assert found.best[0][1].radius >= by_hand


@pytest.mark.parametrize(
    ("outputs", "outside"), [((127, 255, 509), 6), ((101, 239, 503), 0), ((121, 263, 499), 0)]
)
def test_gcd_one_is_far_from_enough(outputs: tuple[int, ...], outside: int) -> None:
    # theory, section 5: checked there by simulation, at a prompt of 262,144 and equal shares.
    pytest.importorskip("flint")
    tiers = three_tiers(262_144)
    found = design_tiers(tiers, tolerance=0, compare=[outputs], keep=1)
    named = {design.outputs: design for design in (*found.named, found.given)}
    proof = named[outputs].proof
    assert proof is not None
    assert proof.roots_outside == named[outputs].spectrum.roots_outside == outside
    assert proof.verdict == ("unstable" if outside else "stable")
    assert proof.radius_low <= named[outputs].radius * (1 + 1e-9)
    assert named[outputs].radius <= proof.radius_high * (1 + 1e-9)


def test_better_tiers_than_the_papers_example() -> None:
    found = design_tiers(three_tiers(262_144), tolerance=0.02, certified=False)
    # 128 − 2, 256 − 5, 512 − 10 at most: 3 · 6 · 11 combinations.
    assert (found.candidates, found.exhaustive) == (198, True)
    assert found.outcome is Outcome.STABLE
    paper = next(design for design in found.named if design.outputs == (127, 255, 509))
    assert paper.spectrum.roots_outside == 6
    best = found.best[0]
    assert best.spectrum.roots_outside == 0
    share = [1 / 3] * 3
    by_hand = radius_by_hand([262_144] * 3, list(best.outputs), share)
    assert best.radius == pytest.approx(by_hand, rel=1e-9)
    assert by_hand < radius_by_hand([262_144] * 3, [127, 255, 509], share)


def test_at_real_prompts_no_tiers_within_the_tolerance_are_stable() -> None:
    found = design_tiers(three_tiers(256), tolerance=0.02, certified=False)
    assert found.outcome is Outcome.NONE_STABLE
    assert all(design.spectrum.roots_outside > 200 for design in found.designs)


def test_a_local_search_ends_in_roots_that_are_there() -> None:
    load = Workload.classes([(300, 30), (300, 60)])
    whole = design_tiers(load, tolerance=6, keep=1, certified=False)
    local = design_tiers(load, tolerance=6, keep=1, certified=False, most_candidates=10)
    assert whole.exhaustive
    assert not local.exhaustive
    best = local.best[0]
    assert best.radius == pytest.approx(radius_by_hand([300, 300], [*best.outputs], [0.5, 0.5]))
    # Two tiers: everything is two lengths away.
    assert best.radius == pytest.approx(whole.best[0].radius, rel=1e-12)


def test_shares_move_within_their_tolerance_and_lower_the_radius() -> None:
    load = Workload.classes([(400, 20), (400, 33)])
    fixed = design_tiers(load, tolerance=0, keep=1, certified=False)
    moved = design_tiers(load, tolerance=0, share_tolerance=0.1, keep=1, certified=False)
    best = moved.best[0]
    assert max(abs(share - 0.5) for share in best.shares) <= 0.1 + 1e-12
    assert not moved.exhaustive
    by_hand = radius_by_hand([400, 400], [20, 33], list(best.shares))
    assert best.radius == pytest.approx(by_hand)
    assert by_hand < fixed.best[0].radius
    # No share of the grid is better by more than a step's worth.
    scan = [radius_by_hand([400, 400], [20, 33], [p, 1 - p]) for p in np.arange(0.4, 0.601, 0.01)]
    assert by_hand <= min(scan) * (1 + 1e-6)


def test_rules_give_the_nearest_lengths() -> None:
    tiers = choices(three_tiers(256), 0.02, Direction.DOWN, 0.0)
    assert nearest_coprime(tiers) == (128, 255, 511)
    assert nearest_primes(tiers) == (127, 251, 509)
    assert nearest_primes(choices(three_tiers(256), 0, Direction.DOWN, 0.0)) is None


def test_the_cures_are_the_edges_of_stability() -> None:
    # theory, section 5: (l − 1, l) in equal shares is stable from a prompt of 742 for l = 16.
    assert stable_extra_prompt(Workload.classes([(0, 15), (0, 16)])) == 742
    assert stable_extra_prompt(Workload.classes([(700, 15), (700, 16)])) == 42
    assert stable_extra_prompt(Workload.fixed(5, 8)) is None  # Theorem 2
    # Of the tiers within a token of (16, 16) and (15, 16), none needs a shorter prompt.
    within = stable_prompt_within(Workload.classes([(0, 15), (0, 16)]), 1, Direction.DOWN)
    assert within is not None
    edge, outputs = within
    assert radius_by_hand([edge] * 2, list(outputs), [0.5] * 2) < 1
    every = product((14, 15), (15, 16))
    assert all(radius_by_hand([edge - 1] * 2, list(n), [0.5] * 2) > 1 for n in every)


def test_a_wider_tolerance_is_the_first_with_stable_tiers() -> None:
    # Of the rungs of the ladder 40% is the one below 50%.
    found = stable_tolerance(Workload.classes([(60, 8), (60, 16)]), Direction.DOWN)
    assert found.tolerance == 0.5
    assert found.outputs is not None
    radius = {
        n: radius_by_hand([60, 60], list(n), [0.5, 0.5]) for n in product(range(4, 9), range(8, 17))
    }
    assert radius[found.outputs] == pytest.approx(min(radius.values()))
    assert min(radius.values()) < 1
    less = [size for (a, b), size in radius.items() if a >= 8 - 3 and b >= 16 - 6]
    assert min(less) > 1


def test_lengths_that_spread_are_stable_where_tiers_are_not() -> None:
    width = stable_spread(three_tiers(256))
    assert width == 0.2
    for percent, stable in ((20, True), (19, False)):
        lengths = [n - cut for n in (128, 256, 512) for cut in range(n * percent // 100 + 1)]
        shares = [1 / (3 * (n * percent // 100 + 1)) for n in (128, 256, 512)
                  for _ in range(n * percent // 100 + 1)]  # fmt: skip
        assert (radius_by_hand([256] * len(lengths), lengths, shares) < 1) is stable
        law = spread_tiers(three_tiers(256), percent / 100)
        assert law.output.tolist() == sorted(lengths)
        assert law.mean_output == pytest.approx(np.dot(lengths, shares))


def test_the_narrowest_spread_is_found_though_wider_ones_are_unstable() -> None:
    load = Workload.classes([(200, 41), (200, 58)])
    stable = []
    for percent in range(12):
        tiers = [[n - cut for cut in range(n * percent // 100 + 1)] for n in (41, 58)]
        shares = [0.5 / len(tier) for tier in tiers for _ in tier]
        lengths = [length for tier in tiers for length in tier]
        stable.append(radius_by_hand([200] * len(shares), lengths, shares) < 1)
    assert stable == [False] * 7 + [True, False, True, True, True]
    assert stable_spread(load) == 0.07


def test_without_the_extra_designs_are_returned_uncertified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(workload: Workload) -> None:  # noqa: ARG001 -- stands in for prove
        raise MissingExtraError("flint", "certify")

    monkeypatch.setattr(design_module, "prove", missing)
    found = design_tiers(Workload.classes([(50, 4), (50, 5)]), tolerance=1)
    assert not found.certified
    assert all(design.proof is None for design in found.designs)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": 0.6}, "tolerance"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": "2%"}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"share_tolerance": -0.1}, "share_tolerance"),
        ({"share_tolerance": float("nan")}, "share_tolerance"),
        ({"compare": [(1, 2, 3)]}, "compare"),
        ({"compare": [(0, 2)]}, "compare"),
        ({"keep": 0}, "keep"),
        ({"workload": Workload.classes([(1, n) for n in range(1, 10)])}, "workload"),
        ({"workload": Workload.from_counts([1, 1], [2, 3], [1, 1], random=True)}, "workload"),
    ],
)
def test_bad_input_names_its_field(change: dict[str, object], field: str) -> None:
    usual: dict[str, object] = {"workload": Workload.classes([(5, 4), (5, 8)]), "tolerance": 1}
    with pytest.raises(InputError) as caught:
        design_tiers(**{**usual, **change})
    assert caught.value.field == field


def test_other_lengths_keep_prompts_and_shares_in_place() -> None:
    load = Workload.classes([(10, 4, 0.25), (20, 8, 0.75)])
    design = with_outputs(load, (9, 6), "crossed")
    assert (design.outputs, design.shares) == ((9, 6), (0.25, 0.75))
    assert sorted(
        zip(design.workload.prompt.tolist(), design.workload.output.tolist(), strict=True)
    ) == [(10, 9), (20, 6)]
