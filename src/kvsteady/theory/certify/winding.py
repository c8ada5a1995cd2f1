"""Count the zeros of a polynomial inside the unit circle by its winding, every step a proof.

The argument is that of `kvsteady.theory.winding`: between two points of the circle a function
stays within ``δ² B / 8`` of its chord, ``B`` a bound on its second derivative, so an arc whose
chord keeps farther from 0 is followed exactly, and arcs that come closer are halved. Here every
number is a ball that holds the true one (Arb, through python-flint), so the count is a theorem.
Two lower bounds on the distance of a chord ``ab`` from 0 are used: the triangle inequality's,
``(|a| + |b| − |b − a|) / 2``, and the distance of its line, ``|Im(ā b)| / |b − a|``.

Arcs that come too close to 0 for the working precision are taken up again with twice the bits.
Without a zero on the circle that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.theory.certify.evaluate import Evaluator, on_grid

BITS = 128
MOST_BITS = 4096
MOST_HALVINGS = 1 << 18
_PER_TERM = 4  # grid points per term round the whole circle, before arcs are halved
_LARGEST_GRID = 1 << 20
_SURE_TURN = 2.0**-30  # radius of a turn's ball; millions of them stay far below half a turn

# Returns the coefficients as real balls of the working precision at the time of the call.
Terms = Callable[[], Sequence[Any]]
# From angle π k / 2^n to π (k + 1) / 2^n: (k, n).
Arc = tuple[int, int]


@dataclass(frozen=True)
class BallCount:
    """Zeros inside the unit circle; None where the bits or the points ran out.

    ``bits`` is the largest working precision, ``points`` the number of evaluations.
    """

    inside: int | None
    bits: int
    points: int


def zeros_inside(
    terms: Terms,
    *,
    beside: Sequence[int] = (1, -1),
    most_halvings: int = MOST_HALVINGS,
    most_bits: int = MOST_BITS,
    progress: Progress = silent,
) -> BallCount:
    """Count the zeros of ``Σ t_m u^m`` with ``|u| < 1``, with multiplicity.

    A count also proves that there is none with ``|u| = 1``.

    Parameters
    ----------
    terms
        Returns the real ``t_m`` as balls of the current working precision; the last is not 0.
    beside
        Coefficients of a Q with zeros on the circle only. The polynomial is followed times
        ``Q(a u)``, a just below 1, where that is easier: the zeros of that lie outside. Weights
        change little from age to age, so times ``1 − a u`` they have far smaller terms.
    most_halvings
        Evaluations beyond the grid after which to give up.
    most_bits
        Working precision beyond which to give up.
    """
    flint = import_extra("flint", extra="certify")
    with flint.ctx.workprec(BITS):
        if len(terms()) < 2:
            return BallCount(0, 0, 0)
        walk = _first_round(flint, lambda: _times(flint, terms(), beside), terms, progress)
    walk.most_points = walk.points + most_halvings
    bits = walk.bits
    while walk.pending and bits <= most_bits and walk.points < walk.most_points:
        walk.bits = bits
        with flint.ctx.workprec(bits):
            _halve(walk)
        bits *= 2
    with flint.ctx.workprec(BITS):
        turns = (walk.turn / flint.arb.pi()).unique_fmpz()
    inside = None if walk.pending or turns is None else walk.centre + int(turns)
    return BallCount(inside, walk.bits, walk.points)


def _times(flint: Any, terms: Sequence[Any], beside: Sequence[int]) -> list[Any]:
    """Coefficients of ``Q(a u) Σ t_m u^m``."""
    a = 1 - flint.arb(1) / (1 << len(terms).bit_length())
    scaled = [q * a**i for i, q in enumerate(beside)]
    product: list[Any] = (flint.arb_poly(list(terms)) * flint.arb_poly(scaled)).coeffs()
    return product


def _centre_and_bend(flint: Any, terms: Sequence[Any]) -> tuple[int, Any]:
    """Centre c of the terms, and a bound on the second derivative of ``Σ t_m e^(i (m − c) θ)``.

    Turned by e^(−i c θ) about the centre of its terms a function bends least.
    """
    sizes = [abs(term) for term in terms]
    mean = sum((m * size for m, size in enumerate(sizes)), flint.arb(0)) / sum(sizes)
    centre = round(float(mean.mid()))
    return centre, sum(((m - centre) ** 2 * size for m, size in enumerate(sizes)), flint.arb(0))


@dataclass
class _Walk:
    """Half the circle (the coefficients are real), and what of it is still to be followed."""

    flint: Any
    terms: Terms
    progress: Progress
    most_points: int = 0
    bits: int = BITS
    points: int = 0
    centre: int = 0
    bend: Any = None
    turn: Any = None
    pending: list[Arc] = field(default_factory=list)

    def error(self, n: int) -> Any:
        """``δ² B / 4``, twice the farthest that an arc of ``π / 2^n`` gets from its chord."""
        return (self.flint.arb.pi() / (1 << n)) ** 2 * self.bend / 4

    def values(self, evaluator: Evaluator, ends: Sequence[Arc]) -> list[Any]:
        """The turned function at the angles ``π k / 2^n``."""
        self.points += len(ends)
        angles = [self.flint.arb(k) / (1 << n) for k, n in ends]
        units = [self.flint.acb(angle).exp_pi_i() for angle in angles]
        back = [self.flint.acb(-self.centre * angle).exp_pi_i() for angle in angles]
        return [v * turn for v, turn in zip(evaluator.at(units), back, strict=True)]


def _first_round(flint: Any, smooth: Terms, plain: Terms, progress: Progress) -> _Walk:
    """Follow the arcs of a regular grid, finer until few are left."""
    walk = _Walk(flint, smooth, progress)
    n = max(5, (_PER_TERM * len(smooth()) - 1).bit_length() - 1)
    _follow_grid(walk, n)
    if len(walk.pending) > _few(n):
        other = _Walk(flint, plain, progress, points=walk.points)
        _follow_grid(other, n)
        walk = other if len(other.pending) < len(walk.pending) else walk
    while len(walk.pending) > _few(n) and 4 << n <= _LARGEST_GRID:
        n += 1
        _follow_grid(walk, n)
    return walk


def _few(n: int) -> int:
    """How many unclear arcs are cheaper to halve than to transform the whole grid anew."""
    return max(64, (1 << n) // 20)


def _follow_grid(walk: _Walk, n: int) -> None:
    """Follow every arc of ``π / 2^n``; those that are not clear are left pending."""
    terms = walk.terms()
    walk.centre, walk.bend = _centre_and_bend(walk.flint, terms)
    values = on_grid(walk.flint, terms, walk.centre, n)
    walk.points += len(values)
    walk.turn, walk.pending = walk.flint.arb(0), []
    error = walk.error(n)
    for k in range(len(values) - 1):
        turn = _turn(values[k], values[k + 1], error)
        if turn is None:
            walk.pending.append((k, n))
        else:
            walk.turn += turn
    walk.progress(walk.points, None)


def _halve(walk: _Walk) -> None:
    """Follow what is pending by halving; leave what needs more bits."""
    evaluator = Evaluator(walk.flint, walk.terms())
    ends = sorted({(k + end, n) for k, n in walk.pending for end in (0, 1)})
    values = dict(zip(ends, walk.values(evaluator, ends), strict=True))
    arcs = [((k, n), values[k, n], values[k + 1, n]) for k, n in walk.pending]
    walk.pending = []
    while arcs:
        halved = []
        for (k, n), start, end in arcs:
            error = walk.error(n)
            turn = _turn(start, end, error)
            if turn is not None:
                walk.turn += turn
            elif error < start.rad() + end.rad() or walk.points >= walk.most_points:
                walk.pending.append((k, n))
            else:
                halved.append(((k, n), start, end))
        middles = walk.values(evaluator, [(2 * k + 1, n + 1) for (k, n), _, _ in halved])
        walk.progress(walk.points, None)
        arcs = []
        for ((k, n), start, end), middle in zip(halved, middles, strict=True):
            arcs.append(((2 * k, n + 1), start, middle))
            arcs.append(((2 * k + 1, n + 1), middle, end))


def _turn(start: Any, end: Any, error: Any) -> Any:
    """Angle by which the function turns along an arc; None where it may come near 0.

    The chord certainly keeps farther from 0 than half of ``error``, so the arc turns as it does,
    by less than half a turn.
    """
    chord, product = abs(end - start), end * start.conjugate()
    if not (abs(start) + abs(end) - chord > error or 2 * abs(product.imag) > chord * error):
        return None
    turn = product.arg()
    return turn if turn.rad() < _SURE_TURN else None
