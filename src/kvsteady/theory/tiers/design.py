"""Tiers with the smallest spectral radius at the real prompt lengths (ours; theory: section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from kvsteady.errors import MissingExtraError
from kvsteady.progress import Progress, silent
from kvsteady.theory.tiers.candidate import (
    Design,
    as_given,
    of_point,
    outputs_of,
    with_outputs,
)
from kvsteady.theory.tiers.choices import (
    Choices,
    Direction,
    choices,
    nearest_coprime,
    nearest_primes,
    radius_floor,
)
from kvsteady.theory.tiers.exclude import Searched, Smallest, prove_smallest
from kvsteady.theory.tiers.local import Point, walk_lengths, walk_shares
from kvsteady.theory.tiers.proof import prove
from kvsteady.theory.tiers.search import smallest_radii
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

# The adjustment that the paper gives as its example of Theorem 3, shown wherever its tiers are.
_PAPER: dict[tuple[int, ...], tuple[int, ...]] = {(128, 256, 512): (127, 255, 509)}
_RESTARTS = 4


class Outcome(Enum):
    """What the search found; the value is the advice."""

    GIVEN_STABLE = "the tiers are stable as they are: leave them"
    STABLE = "the best tiers are stable: a disturbance of the equilibrium dies out"
    NONE_STABLE = "no tiers within the tolerance are stable: adjusting them is no cure"
    NONE_FOUND = "no stable tiers were found, though not every choice was looked at"


@dataclass(frozen=True, eq=False)
class TierDesign:
    """The best tiers within a tolerance, beside the given and other named ones.

    Attributes
    ----------
    outcome
        Whether tiers within the tolerance are stable.
    given
        The tiers as they are.
    best
        The designs of smallest spectral radius, smallest first; the given one may be among them.
    named
        Adjustments to compare with: by gcd, primes, and those asked for.
    candidates
        Designs looked at.
    evaluated
        Of these, spectra computed in full; the others were ruled out by one root of theirs.
    exhaustive
        Whether that was every combination of lengths, at the given shares.
    radius_floor
        No candidate's spectral radius is below this, by Vieta: at 1 or above none can be stable,
        search or no search. NaN where the candidates were not laid out.
    certified
        Whether proofs were asked for and could be had.
    smallest
        Proof that no candidate has a smaller radius than the first of ``best``, and what it
        leaves open; None where not certified.
    """

    outcome: Outcome
    given: Design
    best: tuple[Design, ...]
    named: tuple[Design, ...]
    candidates: int
    evaluated: int
    exhaustive: bool
    radius_floor: float
    certified: bool
    smallest: Smallest | None = None

    @property
    def designs(self) -> tuple[Design, ...]:
        """All of them, each once: given, named, best."""
        return (self.given, *self.named, *self.best)


def design_tiers(
    workload: Workload,
    *,
    tolerance: float,
    direction: Direction = Direction.DOWN,
    share_tolerance: float = 0.0,
    compare: Sequence[Sequence[int]] = (),
    keep: int = 3,
    most_candidates: int = 20_000,
    certified: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> TierDesign:
    """Find the output lengths, and shares, with the smallest spectral radius near the given ones.

    Parameters
    ----------
    workload
        Tiers as given, 1 to 8 classes (prompt, output, share). Prompts stay as they are.
    tolerance
        How far each length may move: an int is tokens, a float a share of the length (0.02).
    direction
        Down by default: a limit may be lowered a little without a request getting more than it
        asked for, or more than its context holds.
    share_tolerance
        How far a share may move, absolute; 0 keeps the shares. With it lengths are chosen first,
        at the given shares, and shares are then improved step by step: not exhaustive.
    compare
        Further output lengths to show, one per class in the order of ``workload.output``.
    keep
        How many of the best designs to return.
    most_candidates
        Up to so many combinations are searched exhaustively, more by local search with restarts.
    certified
        Prove the verdicts shown in exact arithmetic, if ``kvsteady[certify]`` is installed.
    seed
        Of the restarts.

    Raises
    ------
    InputError
        A number out of range, more classes than 8, random lengths.

    Notes
    -----
    The search is ours, and in floats: each candidate left out has a root of larger modulus, found
    by Newton's method. Where certified, that root is then proved, and so is that the first of the
    designs found has the smallest radius of all candidates (`TierDesign.smallest`); the order of
    those after it is numerical.
    """
    tiers = choices(workload, tolerance, direction, share_tolerance)
    keep = whole_number(keep, "keep", 1, 100)
    given = as_given(workload)
    named = _named(tiers, compare)
    exhaustive, floor = tiers.number <= most_candidates, float("nan")
    if exhaustive:
        every = tiers.every_length()
        floor = radius_floor(every)
        found = smallest_radii(every, keep, progress=progress)
        ends = [Point(every.output[i], tiers.tickets, verdict) for i, verdict in found.best]
        looked_at, evaluated = len(every), found.evaluated
        searched = [Searched(every, found.roots)]
    else:
        walk = walk_lengths(tiers, keep, restarts=_RESTARTS, seed=seed, progress=progress)
        ends, looked_at, evaluated = list(walk.ends), walk.candidates, walk.evaluated
        searched = list(walk.searched)
    if tiers.share_steps:
        for place, end in enumerate(ends):
            walk = walk_shares(tiers, end, progress=progress)
            ends[place] = walk.ends[0]
            looked_at, evaluated = looked_at + walk.candidates, evaluated + walk.evaluated
            searched += walk.searched
        ends.sort(key=lambda point: point.verdict.radius)
        exhaustive, floor = False, float("nan")
    best = [of_point(rank, end, workload) for rank, end in enumerate(ends, start=1)]
    if certified:
        given, named, best, certified = _proved(given, named, best, progress)
    smallest = None
    if certified:
        smallest = prove_smallest(best[0].workload, searched, progress=progress)
    outcome = _outcome(given, best[0], exhaustive, floor)
    return TierDesign(
        outcome,
        given,
        tuple(best),
        tuple(named),
        looked_at,
        evaluated,
        exhaustive,
        floor,
        certified,
        smallest,
    )


def _named(tiers: Choices, compare: Sequence[Sequence[int]]) -> list[Design]:
    """Adjustments by rule and those asked for, each set of lengths once."""
    given = outputs_of(tiers.workload)
    rules = [
        ("the paper's example", _PAPER.get(given)),
        ("pairwise coprime", nearest_coprime(tiers)),
        ("nearest primes", nearest_primes(tiers)),
        *(("to compare", tuple(outputs)) for outputs in compare),
    ]
    shown_already = {given}
    named = []
    for name, outputs in rules:
        if outputs is not None and outputs not in shown_already:
            shown_already.add(outputs)
            named.append(with_outputs(tiers.workload, outputs, name))
    return named


def _outcome(given: Design, best: Design, exhaustive: bool, floor: float) -> Outcome:
    if given.stable:
        return Outcome.GIVEN_STABLE
    if best.stable:
        return Outcome.STABLE
    return Outcome.NONE_STABLE if exhaustive or floor >= 1 else Outcome.NONE_FOUND


def _proved(
    given: Design, named: list[Design], best: list[Design], progress: Progress
) -> tuple[Design, list[Design], list[Design], bool]:
    """The same designs with proofs, and whether there are any to be had."""
    every = [given, *named, *best]
    done = []
    for count, design in enumerate(every):
        progress(count, len(every))
        try:
            proof = prove(design.workload)
        except MissingExtraError:
            return given, named, best, False
        done.append(replace(design, proof=proof))
    end = 1 + len(named)
    return done[0], done[1:end], done[end:], True
