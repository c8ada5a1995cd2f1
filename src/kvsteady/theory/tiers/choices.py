"""Which tiers may be chosen: lengths within a tolerance, shares within another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError, shown
from kvsteady.theory.tiers.sparse import Candidates
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, whole_number

MOST_TIERS = 8
_LARGEST_TOLERANCE = 0.5
# Shares move in steps of about this.
_SHARE_STEPS = 1000


class Direction(Enum):
    """Which way an output length may move; the value says what that asks of the operator."""

    DOWN = "shorter only: nothing exceeds the max_tokens that was asked for"
    UP = "longer only: nothing that was asked for is cut, and more is generated"
    BOTH = "shorter or longer: for lengths that are the operator's own"


@dataclass(frozen=True, eq=False)
class Choices:
    """Tiers as given, and how far each may move.

    Attributes
    ----------
    workload
        The tiers as given, one per class.
    lengths
        Allowed output lengths of each tier, those nearest to the given one first.
    share_steps
        Largest move of a share, in steps of which all of them together hold ``tickets.sum()``.
    tickets
        Whole-number shares as given, on that grid.
    """

    workload: Workload
    lengths: tuple[IntArray, ...]
    tickets: IntArray
    share_steps: int

    @property
    def number(self) -> int:
        """How many combinations of lengths there are."""
        return math.prod(len(allowed) for allowed in self.lengths)

    def every_length(self) -> Candidates:
        """Every combination of lengths at the given shares, the given tiers first."""
        axes = np.meshgrid(*self.lengths, indexing="ij")
        return self.at_given_shares(np.stack(axes, axis=-1).reshape(-1, len(self.lengths)))

    def at_given_shares(self, output: IntArray) -> Candidates:
        """Candidates of these output lengths, shape ``(n, K)``."""
        return Candidates(self.workload.prompt, output, self.workload.tickets[None])


def choices(
    workload: Workload, tolerance: float, direction: Direction, share_tolerance: float
) -> Choices:
    """Check and lay out what may be chosen.

    Parameters
    ----------
    workload
        Tiers as given: 1 to 8 classes.
    tolerance
        Whole number: tokens. Otherwise a share of each length, 0 to 0.5, rounded down to tokens.
    direction
        Which way lengths may move.
    share_tolerance
        How far a share may move, in absolute terms (0.05: from 0.30 to 0.25 … 0.35).

    Raises
    ------
    InputError
        More classes than 8, random lengths, or a tolerance out of range.
    """
    if workload.random or len(workload) > MOST_TIERS:
        kind = "random lengths" if workload.random else f"{len(workload)} classes"
        raise InputError(kind, field="workload", allowed=f"1 to {MOST_TIERS} classes")
    lengths = tuple(
        _allowed(int(output), _reach(tolerance, int(output)), direction)
        for output in workload.output
    )
    if isinstance(share_tolerance, bool) or not 0 <= share_tolerance < 1:
        raise InputError(
            shown(share_tolerance), field="share_tolerance", allowed="0 or more, under 1"
        )
    total = int(workload.tickets.sum())
    finer = -(-_SHARE_STEPS // total)
    steps = math.floor(share_tolerance * total * finer * (1 + 1e-12))
    return Choices(workload, lengths, workload.tickets * finer, steps)


def nearest_coprime(tiers: Choices) -> tuple[int, ...] | None:
    """Pairwise coprime lengths, each tier in turn the nearest allowed; None if there are none."""
    return _nearest(tiers, lambda length, taken: all(math.gcd(length, t) == 1 for t in taken))


def nearest_primes(tiers: Choices) -> tuple[int, ...] | None:
    """Distinct primes, each tier in turn the nearest allowed; None if there are none."""
    return _nearest(tiers, lambda length, taken: _is_prime(length) and length not in taken)


def radius_floor(candidates: Candidates) -> float:
    """A bound that no candidate's spectral radius is below (ours).

    The product of all roots is ``w_{L−1} / w_0``, so the largest has a modulus of at least
    ``(w_{L−1} / w_0)^{1/(L−1)}``. At 1 or above no candidate is stable: the longest tier alone
    holds as much memory at its end as all of them at their start.
    """
    longest = candidates.output.max(axis=1, keepdims=True)
    last = candidates.tickets * (candidates.output == longest) * (candidates.prompt + longest)
    first = candidates.tickets * (candidates.prompt + 1)
    ratio = last.sum(axis=1) / first.sum(axis=1)
    degree = longest[:, 0] - 1
    floor = np.where(degree > 0, ratio ** (1 / np.maximum(degree, 1)), 0.0)
    return float(floor.min())


def _reach(tolerance: float, length: int) -> int:
    """Tokens by which a length may move."""
    plain = tolerance.item() if isinstance(tolerance, np.generic) else tolerance
    allowed = f"whole tokens, or a share of the length from 0 to {_LARGEST_TOLERANCE}"
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise InputError(f"{shown(plain)} is not a number", field="tolerance", allowed=allowed)
    if isinstance(plain, int):
        return whole_number(plain, "tolerance", 0, MAX_OUTPUT)
    if not 0 <= plain <= _LARGEST_TOLERANCE:
        raise InputError(f"{shown(plain)} is out of range", field="tolerance", allowed=allowed)
    return math.floor(plain * length * (1 + 1e-12))


def _allowed(length: int, reach: int, direction: Direction) -> IntArray:
    low = length if direction is Direction.UP else max(1, length - reach)
    high = length if direction is Direction.DOWN else min(MAX_OUTPUT, length + reach)
    around = np.arange(low, high + 1)
    nearest: IntArray = around[np.argsort(np.abs(around - length), kind="stable")]
    return nearest


def _nearest(tiers: Choices, fits: Callable[[int, list[int]], bool]) -> tuple[int, ...] | None:
    taken: list[int] = []
    for allowed in tiers.lengths:
        chosen = next((length for length in allowed.tolist() if fits(length, taken)), None)
        if chosen is None:
            return None
        taken.append(chosen)
    return tuple(taken)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))
