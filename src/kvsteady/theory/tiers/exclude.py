"""Proof that no other candidate of a search has a smaller spectral radius (ours).

A search leaves a candidate out because of one root of it that floats found. Here that root is
proved, in ball arithmetic: for a polynomial G of degree n the disc about u of radius
``n |G(u) / G'(u)|`` holds a zero, and both values cost O(K) in the sparse form of
`kvsteady.theory.tiers.sparse`, whatever the lengths. Floats only say where to look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.theory.certify import certified_radius
from kvsteady.theory.tiers.sparse import Candidates, largest_found
from kvsteady.theory.winding import ComplexArray
from kvsteady.workload.law import Workload

_BITS = 128
_POLISHINGS = 2
_NARROW = 1e-10  # width of the best radius, where candidates come closer than usual
_ENCLOSED = 16  # candidates whose whole radius is enclosed in the end


@dataclass(frozen=True)
class Smallest:
    """What is proved of the smallest radius among the candidates of a search.

    Attributes
    ----------
    compared
        Candidates other than the best, each counted once.
    excluded
        Of these, proved to have a spectral radius of at least ``radius_high``, or the best one's
        own law.
    radius_low, radius_high
        Enclosure of the best candidate's radius.
    gap
        By how much less than ``radius_high``, relative to it, the radius of a candidate that is
        not excluded may be; 0 if all are.
    """

    compared: int
    excluded: int
    radius_low: float
    radius_high: float
    gap: float

    @property
    def proved(self) -> bool:
        """Whether no candidate has a smaller radius than the upper bound on the best one's."""
        return self.excluded == self.compared


@dataclass(frozen=True, eq=False)
class Searched:
    """Candidates, and for each a root that floats found (0 where none was), shape ``(n,)``."""

    candidates: Candidates
    roots: ComplexArray


def prove_smallest(
    best: Workload, searched: Sequence[Searched], *, progress: Progress = silent
) -> Smallest:
    """Exclude every candidate other than ``best``.

    Candidates whose root does not do are scanned for a larger one; of those that are left the
    radii of up to 16 are enclosed. O(K) ball operations per candidate.

    Raises
    ------
    MissingExtraError
        Without ``kvsteady[certify]``.
    """
    flint = import_extra("flint", extra="certify")
    low, high = certified_radius(best)
    left: list[tuple[float, Candidates, int]] = []
    compared = 0
    seen: set[bytes] = set()
    total = sum(len(block.candidates) for block in searched)
    for block in searched:
        tier = block.candidates
        for index in range(len(tier)):
            key = tier.output[index].tobytes() + tier.tickets_of(index).tobytes()
            if key in seen:
                continue
            seen.add(key)
            if len(seen) % 1024 == 0:
                progress(len(seen), total)
            if _same(best, tier, index):
                continue
            compared += 1
            bound = proved_root(flint, tier, index, complex(block.roots[index]))
            if bound < high:
                left.append((bound, tier, index))
    left = _again(left, high, lambda tier, i: _scanned(flint, tier, i, high))
    if left:
        low, high = _narrowed(best, low, high)
        left = _again(left, high, lambda tier, i: _scanned(flint, tier, i, high))
        left = left[_ENCLOSED:] + _again(left[:_ENCLOSED], high, _enclosed)
    progress(total, total)
    gap = max((1 - bound / high for bound, _, _ in left), default=0.0) if high else 0.0
    return Smallest(compared, compared - len(left), low, high, gap)


def proved_root(flint: Any, candidates: Candidates, index: int, root: complex) -> float:
    """A modulus that some root of the candidate is proved to have or exceed; 0 if none is."""
    outputs = candidates.output[index].tolist()
    degree = max(outputs) - 1
    if degree < 1 or not (root and math.isfinite(abs(root))):
        return 0.0
    rows = list(
        zip(candidates.prompt.tolist(), outputs, candidates.tickets_of(index).tolist(), strict=True)
    )
    with flint.ctx.workprec(_BITS):
        u = 1 / flint.acb(root.real, root.imag)
        for _ in range(_POLISHINGS):
            # Newton for G; only the midpoint goes on, so nothing rests on it.
            u = (u - _quotient(u, rows)).mid()
        reach = abs(u) + degree * abs(_quotient(u, rows))
        low = float((1 / reach).lower())
    return math.nextafter(low, 0.0) if math.isfinite(low) and low > 0 else 0.0


def _quotient(u: Any, rows: Sequence[tuple[int, int, int]]) -> Any:
    """``G(u) / G'(u)``, with ``P(u) = (1 − u)² G(u)`` in its sparse form (see `sparse`)."""
    value, slope = u * 0, u * 0
    for prompt, output, tickets in rows:
        power = tickets * u ** (output - 1)
        full, less = prompt + 1 + output, prompt + output
        value += tickets * (prompt + 1 - prompt * u) - power * u * (full - less * u)
        slope -= tickets * prompt + power * (full * output - less * (output + 1) * u)
    return value / (slope + 2 * value / (1 - u))


def _again(
    left: list[tuple[float, Candidates, int]],
    high: float,
    bounded: Callable[[Candidates, int], float],
) -> list[tuple[float, Candidates, int]]:
    """Those that a second bound does not exclude either, the smallest bounds first."""
    better = [(max(bound, bounded(tier, i)), tier, i) for bound, tier, i in left if bound < high]
    return sorted((row for row in better if row[0] < high), key=lambda row: row[0])


def _scanned(flint: Any, candidates: Candidates, index: int, high: float) -> float:
    _, root = largest_found(candidates, index, high)
    return proved_root(flint, candidates, index, root)


def _enclosed(candidates: Candidates, index: int) -> float:
    try:
        return certified_radius(candidates.workload(index), width=_NARROW)[0]
    except InputError:
        return 0.0


def _narrowed(best: Workload, low: float, high: float) -> tuple[float, float]:
    try:
        return certified_radius(best, width=_NARROW)
    except InputError:
        return low, high


def _same(best: Workload, candidates: Candidates, index: int) -> bool:
    """Whether a candidate is the best one's law: tiers with equal prompts may have swapped."""
    if int(candidates.output[index].max()) != best.longest_output:
        return False
    law = candidates.workload(index)
    shares = law.tickets * int(best.tickets.sum()), best.tickets * int(law.tickets.sum())
    return (
        np.array_equal(law.prompt, best.prompt)
        and np.array_equal(law.output, best.output)
        and np.array_equal(*shares)
    )
