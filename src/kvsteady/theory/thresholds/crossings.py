"""Between which whole prompts roots reach the unit circle, and how many, with nothing left out.

Half the circle is cut into arcs (the coefficients are real); an arc that may hold a crossing is
halved until the range of prompts it can mean lies between two neighbouring whole numbers, or around
a single one. Floating point with a proved bound on its rounding settles most of the arcs, balls the
rest.
`kvsteady.theory.thresholds.cleared` has the two stretches that need an argument of their own.

F vanishes where ``q(u) = −s``, and q has no pole inside the unit circle of u, so the roots outside
are the turns of its curve about −s: at the longest prompts g − 1 of them (g = gcd of the outputs,
Theorem 3), and on the way down as many more as the curve crosses the axis downwards (ours). With
its mirror image an arc brings ``sign E`` at its end minus ``sign E`` at its start.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.theory.thresholds.arcs import bounds, crossing_value
from kvsteady.theory.thresholds.cleared import Cleared
from kvsteady.theory.thresholds.curve import BallEvaluator, Curve, FloatEvaluator, turned
from kvsteady.theory.thresholds.exact import crosses_exactly

_AT_ONCE = 1 << 18
_PER_TOKEN = 8  # arcs per token of the longest output to begin with
_DEEPEST_FLOAT = 40
_DEEPEST_BALL = 240
_BITS = 192 + 2 * _DEEPEST_BALL
_NARROW = 2.0**-20  # a range of prompts as narrow as this about a whole number is given to it
_HUGE = 2.0**50  # floats beyond are not told from their neighbours

BoolArray = npt.NDArray[np.bool_]


@dataclass
class Crossings:
    """Where the number of roots outside can change as all prompts grow together.

    Attributes
    ----------
    between
        For whole n, roots that come to lie outside as s falls from n + 1 to n; a key with 0 means
        that some touch the circle or that as many return.
    at
        The same for crossings at n itself, or too close to tell.
    open
        First whole prompt above every stretch left unresolved, if any is.
    arcs
        Arcs looked at.
    """

    between: Counter[int] = field(default_factory=Counter)
    at: Counter[int] = field(default_factory=Counter)
    open: float = 0
    arcs: int = 0

    def runs(self, outside: int) -> Iterator[tuple[int, int | None, int | None]]:
        """Runs ``(first, last, roots outside)`` of whole prompts, longest prompts first.

        ``outside`` is the number at the longest prompts, whose run has no last one; it is None for
        single prompts that have a crossing upon them.
        """
        last: int | None = None
        for n in sorted(self.between.keys() | self.at.keys(), reverse=True):
            if last is None or n < last:
                yield n + 1, last, outside
            outside += self.between.get(n, 0)
            last = n
            if n in self.at:
                yield n, n, None
                outside += self.at[n]
                last = n - 1
        if last is None or last >= 0:
            yield 0, last, outside


def find_crossings(curve: Curve, progress: Progress = silent) -> Crossings:
    """All crossings at prompts of 0 tokens or more (ours).

    Raises
    ------
    MissingExtraError
        python-flint is not installed and floating point was not enough.
    """
    found = Crossings()
    if curve.longest == 1:
        return found  # no root at all
    cleared = Cleared.of(curve)
    left = _by_floats(curve, cleared, found, progress)
    if left:
        _by_balls(curve, cleared, found, left, progress)
    return found


def _by_floats(
    curve: Curve, cleared: Cleared, found: Crossings, progress: Progress
) -> list[tuple[int, int]]:
    """Settle what floating point can; returns the arcs ``(place, level)`` left."""
    evaluator = FloatEvaluator(curve)
    level = (_PER_TOKEN * curve.longest).bit_length()
    deepest = min(_DEEPEST_FLOAT, 60 - curve.longest.bit_length())
    place: IntArray = np.arange(1 << level, dtype=np.int64)
    left: list[tuple[int, int]] = []
    while place.size:
        place = place[~cleared.covers(np.ldexp(place, -level), np.ldexp(place + 1, -level))]
        halved = []
        for first in range(0, place.size, _AT_ONCE):
            part = place[first : first + _AT_ONCE]
            settled, hopeless = _look(evaluator, part, level, found)
            hopeless |= ~settled & (level == deepest)
            left += [(k, level) for k in part[hopeless].tolist()]
            halved.append(2 * part[~settled & ~hopeless])
            found.arcs += part.size
            progress(found.arcs, None)
        place = np.concatenate([*halved, *(part + 1 for part in halved)])
        level += 1
    return left


def _look(
    evaluator: FloatEvaluator, place: IntArray, level: int, found: Crossings
) -> tuple[BoolArray, BoolArray]:
    """Which arcs are settled, and which only balls can settle."""
    middle = 2 * place + 1
    cosine, sine = turned(middle, level + 2)
    half = math.pi / (2 << level) * (1 + 1e-12)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        arc = bounds(evaluator.at(middle, level + 1), evaluator.second, sine, cosine, half)
        sure = arc.away > 0
        low = np.where(sure, arc.middle - arc.reach, -np.inf)
        high = np.where(sure, arc.middle + arc.reach, np.inf)
        low, high = low - np.abs(low) * 1e-15, high + np.abs(high) * 1e-15
        below = np.floor(low)
        between = (below < low) & (high < below + 1) & (below >= 0) & (high < _HUGE)
        near = np.rint(low)
        upon = (np.abs(low - near) < _NARROW) & (np.abs(high - near) < _NARROW) & (high < _HUGE)
        upon &= (near >= 0) & ~between
        empty = (arc.clear > 0) | (high < 0)
        hopeless: BoolArray = sure & (4 * arc.rounding > arc.reach)
    placed: BoolArray = (between | upon) & ~empty
    ends, prompt = place[placed], np.where(upon, near, below)[placed]
    first, last = _signs(evaluator, ends, level), _signs(evaluator, ends + 1, level)
    known = ~np.isnan(first + last)
    rows = zip(prompt[known], upon[placed][known], (last - first)[known], strict=True)
    for n, exact, gained in rows:
        (found.at if exact else found.between)[int(n)] += int(gained)
    unknown: BoolArray = placed.copy()
    unknown[placed] = ~known
    settled: BoolArray = (empty | placed) & ~unknown
    return settled, unknown | (hopeless & ~settled)


def _signs(evaluator: FloatEvaluator, place: IntArray, level: int) -> FloatArray:
    """Sign of E at the angles ``π place / 2^level``, NaN where rounding hides it."""
    cosine, sine = turned(place, level + 1)
    value, lost = crossing_value(evaluator.at(place, level), sine, cosine)
    signs: FloatArray = np.where(np.abs(value) > lost, np.sign(value), np.nan)
    signs[place == 1 << level] = 0  # u = −1: everything is real
    return signs


def _by_balls(
    curve: Curve,
    cleared: Cleared,
    found: Crossings,
    left: list[tuple[int, int]],
    progress: Progress,
) -> None:
    """Settle the remaining arcs with balls."""
    flint = import_extra("flint", extra="certify")
    with flint.ctx.workprec(_BITS):
        evaluator = BallEvaluator(flint, curve)
        pi = flint.arb.pi()

        def sign(place: int, level: int) -> int:
            bits = _BITS
            while place < 1 << level:
                with flint.ctx.workprec(bits):
                    angle = flint.arb.pi() * place / (2 << level)
                    value, _ = crossing_value(evaluator.at(place, level), angle.sin(), angle.cos())
                    if value > 0 or value < 0:
                        return 1 if value > 0 else -1
                # An end that is a crossing itself is shared with the arc beyond.
                if bits == _BITS and crosses_exactly(flint, curve, place, level):
                    break
                bits *= 2
            return 0

        while left:
            k, level = left.pop()
            if cleared.covers_exactly(k, level):
                continue
            found.arcs += 1
            if found.arcs % 256 == 0:
                progress(found.arcs, None)
            values, angle = evaluator.at(2 * k + 1, level + 1), pi * (2 * k + 1) / (4 << level)
            arc = bounds(values, evaluator.second, angle.sin(), angle.cos(), pi / (2 << level))
            if arc.clear > 0:
                continue
            low, high = arc.middle - arc.reach, arc.middle + arc.reach
            place = _place(low, high) if arc.away > 0 else None
            if place is not None:
                n, exact = place
                if n >= 0:
                    kind = found.at if exact else found.between
                    kind[n] += sign(k + 1, level) - sign(k, level)
            elif level < _DEEPEST_BALL:
                left += [(2 * k, level + 1), (2 * k + 1, level + 1)]
            else:
                above = high.upper().ceil().unique_fmpz() if arc.away > 0 else None
                found.open = max(found.open, math.inf if above is None else int(above) + 1)


def _place(low: Any, high: Any) -> tuple[int, bool] | None:
    """Where a range of prompts lies: ``(n, False)`` between n and n + 1, ``(n, True)`` around n,
    n = −1 below 0, None while it is too wide.
    """
    if high < 0:
        return -1, False
    below = low.lower().floor().unique_fmpz()
    if below is None or not low.is_finite():
        return None
    n = int(below)
    if low > n and high < n + 1:
        return n, False
    for whole in (n, n + 1):
        if low - whole > -_NARROW and high - whole < _NARROW:
            return whole, True
    return None
