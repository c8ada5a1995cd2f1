"""Stable prompts against an exact brute force, published thresholds and the roots themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, example, given, settings

from kvsteady.theory.certify import Proven
from kvsteady.theory.thresholds import PromptRange, PromptSet, PromptThreshold, prompt_threshold
from kvsteady.theory.thresholds.crossings import find_crossings
from kvsteady.theory.thresholds.curve import Curve
from kvsteady.workload import Lengths, Workload, independent
from reference.systems import workloads


def weights_at(load: Workload, shift: int) -> list[int]:
    """``Σ tickets (l0 + m + 1) 1{l1 > m}`` straight from section 3, all prompts moved alike."""
    least = min(load.prompt.tolist())
    rows = list(zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True))
    return [
        sum(t * (p - least + shift + m + 1) for p, o, t in rows if o > m)
        for m in range(load.longest_output)
    ]


def schur_cohn(weights: Sequence[int]) -> bool:
    """Whether every root of ``Σ w_m z^(L−1−m)`` has |z| < 1, exactly.

    Schur's reduction: with |a_0| < |a_n| the polynomial ``(a_n F − a_0 F*) / z`` has one root less
    in the disc, and otherwise F is not stable. Whole numbers throughout.
    """
    a = list(weights)[::-1]  # a[k] z^k
    while len(a) > 1:
        if abs(a[0]) >= abs(a[-1]):
            return False
        a = [a[-1] * x - a[0] * y for x, y in zip(a, a[::-1], strict=True)][1:]
        common = math.gcd(*a)
        a = [x // common for x in a]
    return True


def tiers(outputs: Sequence[int], shares: Sequence[float] | None = None) -> Workload:
    if shares is None:
        return Workload.classes([(0, output) for output in outputs])
    return Workload.classes([(0, o, s) for o, s in zip(outputs, shares, strict=True)])


def is_coherent(found: PromptThreshold, load: Workload) -> None:
    """What must hold between the fields, and Theorem 3 at long prompts, whatever the law."""
    assert not found.undecided
    for earlier, later in zip(found.stable, found.stable[1:], strict=False):
        assert earlier.last is not None
        assert earlier.last + 1 < later.first
    always = load.longest_output == 1 or load.gcd == 1
    assert (found.least is not None) == always
    if found.least is None:
        assert found.at_least is found.below is None
        return
    assert found.stable[-1] == PromptRange(found.least, None)
    assert found.at_least.outcome is Proven.STABLE
    assert (found.below is None) == (found.least == 0)
    if found.below is not None:
        assert found.below.outcome in (Proven.UNSTABLE, Proven.MARGINAL)
        assert (found.below.outcome is Proven.MARGINAL) == (found.least - 1 in found.marginal)


@settings(deadline=None, max_examples=150)
@given(workloads(most_output=10))
@example(Workload.from_counts([1, 1], [1, 2], [1, 2]))  # −1 is a root at l0 = 1
@example(Workload.from_counts([0] * 5, range(1, 6), [1] * 5))  # palindromic weights at l0 = 0
@example(Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]))
@example(Workload.from_counts([0] * 3, [6, 9, 12], [1_000_007, 1, 1_000_000]))  # meets at 9,000,016
def test_the_set_is_that_of_an_exact_scan(load: Workload) -> None:
    found = prompt_threshold(load)
    is_coherent(found, load)
    scan = range(30) if found.least is None else range(min(found.least + 10, 60))
    for shift in scan:
        assert found.is_stable(shift) == schur_cohn(weights_at(load, shift))
    if found.least is not None and found.least > 0:
        below = schur_cohn(weights_at(load, found.least - 1))
        assert (schur_cohn(weights_at(load, found.least)), below) == (True, False)
    # Beyond the least prompt and far from it.
    for factor in (2, 7, 100):
        shift = factor * (found.least or 30)
        assert found.is_stable(shift) == schur_cohn(weights_at(load, shift))
    for shift in found.marginal:
        sizes = np.abs(np.roots(weights_at(load, shift)))
        assert sizes.max() == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=50))
def test_root_counts_between_crossings_are_the_companion_matrixs(load: Workload) -> None:
    assume(load.longest_output > 1)
    for first, last, outside in find_crossings(Curve.of(load)).runs(load.gcd - 1):
        if outside is None:
            continue
        for shift in {first, 2 * first + 50 if last is None else (first + last) // 2}:
            sizes = np.abs(np.roots(weights_at(load, shift)))
            if np.abs(sizes - 1).min() > 1e-7:
                assert outside == (sizes > 1).sum()


@pytest.mark.parametrize(
    ("outputs", "shares", "least"),
    [
        ((15, 16), None, 742),
        ((31, 32), None, 6308),
        ((63, 64), None, 51_833),
        ((31, 32), (0.2, 0.8), 10_168),
        ((95, 96), (0.2, 0.8), 278_343),
        (range(50, 71), None, 258),
        (range(30, 35), None, 807),
    ],
)
def test_published_thresholds(
    outputs: Sequence[int], shares: Sequence[float] | None, least: int
) -> None:
    # Theory, section 5 (Proposition 4): found there by scanning.
    load = tiers(outputs, shares)
    found = prompt_threshold(load)
    is_coherent(found, load)
    assert found.least == least
    assert found.shape is PromptSet.HALF_LINE
    assert found.monotone
    assert found.below.roots_outside == 2
    for shift, stable in ((least, True), (least - 1, False)):
        inside = np.abs(np.roots(weights_at(load, shift))).max() < 1
        assert bool(inside) is stable


@pytest.mark.parametrize(
    ("outputs", "stable"),
    [((127, 255, 509), False), ((101, 239, 503), True), ((121, 263, 499), True)],
)
def test_tiers_at_a_quarter_million_prompt_tokens(outputs: Sequence[int], stable: bool) -> None:
    # Theory, section 5: 6 roots outside, 0, 0 at l0 = 262,144.
    found = prompt_threshold(tiers(outputs))
    assert found.is_stable(262_144) is stable
    assert found.shape is PromptSet.HALF_LINE


def test_a_set_with_a_gap() -> None:
    # Found by random search: stable at 2, unstable at 3, stable from 4 on. Ours.
    tickets = [57_330, 15_630, 18_701, 6_169, 2_170]
    load = Workload.from_counts([0] * 5, [2, 6, 11, 20, 27], tickets)
    found = prompt_threshold(load)
    assert found.stable == (PromptRange(2, 2), PromptRange(4, None))
    assert (found.least, found.shape, found.monotone) == (4, PromptSet.WITH_GAPS, False)
    exact = [schur_cohn(weights_at(load, shift)) for shift in range(12)]
    assert exact == [False, False, True, False] + [True] * 8


@pytest.mark.parametrize(
    "load",
    [
        tiers((4, 6)),
        tiers((128, 256, 512)),
        tiers((3,)),
        tiers((6, 9, 15), (0.1, 0.1, 0.8)),
        Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]),
        Workload.classes([(500, 10), (0, 25), (3, 35)]),
    ],
    ids=lambda load: load.name,
)
def test_no_prompt_helps_where_the_outputs_share_a_divisor(load: Workload) -> None:
    # Theorem 3 for long prompts; that short ones do not help either was found for every system
    # tried. For an even divisor it is proved: F(−1) has the sign of −E[L1] (theory: section 5).
    found = prompt_threshold(load)
    assert (found.least, found.stable, found.shape) == (None, (), PromptSet.NEVER)


def test_a_root_on_the_circle_is_marginal_and_not_stable() -> None:
    # Outputs 1 and 2 with shares 1/3, 2/3: 3 (l0 + 1) z + 2 (l0 + 2) has the root −1 at l0 = 1.
    found = prompt_threshold(Workload.from_counts([0, 0], [1, 2], [1, 2]))
    assert (found.least, found.marginal) == (2, (1,))
    assert found.below.outcome is Proven.MARGINAL
    # Uniform on 1 … n: w_m = (m + 1)(n − m) / n at l0 = 0, a palindrome, decreasing from n − 1.
    found = prompt_threshold(tiers(range(1, 21)))
    assert (found.least, found.marginal) == (1, (0,))


def test_only_differences_between_prompts_matter() -> None:
    near = prompt_threshold(Workload.classes([(10, 7, 0.3), (40, 9, 0.7)]))
    far = prompt_threshold(Workload.classes([(1010, 7, 0.3), (1040, 9, 0.7)]))
    assert near == far
    assert near.least != prompt_threshold(tiers((7, 9), (0.3, 0.7))).least


def test_one_token_is_always_stable() -> None:
    found = prompt_threshold(Workload.fixed(5, 1))
    assert (found.least, found.shape) == (0, PromptSet.ALWAYS)
    assert (found.crossings, found.below) == (0, None)
    assert found.is_stable(0)


def test_traces_that_are_stable_at_every_prompt(azure: Workload) -> None:
    # Theory, section 7: no root outside at the prompts recorded.
    assert prompt_threshold(azure).is_stable(0)


def test_outputs_of_4096_tokens() -> None:
    seen: list[int] = []
    load = tiers((4095, 4096))
    found = find_crossings(Curve.of(load), progress=lambda done, _: seen.append(done))
    # For outputs l − 1 and l numpy.roots counts l − 2 roots outside at l0 = 1 (l = 16, 64, below).
    outside = {first: count for first, last, count in found.runs(0) if last is None or last >= 1}
    assert outside[min(outside)] == 4094
    assert outside[max(outside)] == 0
    for l in (16, 64):  # noqa: E741 -- the paper's l
        sizes = np.abs(np.roots(weights_at(tiers((l - 1, l)), 1)))
        assert (sizes > 1).sum() == l - 2
    assert seen
    assert seen == sorted(seen)


def test_long_narrow_laws_have_their_threshold_where_the_roots_cross() -> None:
    load = independent(Lengths.fixed(7), Lengths.uniform(400, 420))
    found = prompt_threshold(load)
    is_coherent(found, load)
    for prompt, outside in ((found.least * 101 // 100, 0), (found.least * 99 // 100, 2)):
        sizes = np.abs(np.roots(np.array(weights_at(load, prompt), dtype=float)))
        assert (sizes > 1).sum() == outside
