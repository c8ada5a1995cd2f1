"""The verdict on an equilibrium that is a proof: exact integers and balls, never floats alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.theory.certify.circle import (
    SelfReciprocal,
    count_zeros_inside,
    place_self_reciprocal,
    split,
)
from kvsteady.theory.certify.monotone import Placed, enestroem_kakeya
from kvsteady.theory.certify.whole import checked_weights, weights_of
from kvsteady.workload.law import Workload

_MONOTONE = "Eneström–Kakeya"
_WINDING = "winding in ball arithmetic"
_SHARED = "gcd with the reversed polynomial"


class Proven(Enum):
    """What was proved about the equilibrium; the value is the advice."""

    STABLE = "proved: small disturbances die out, no synchronised eviction cycle grows from them"
    UNSTABLE = "proved: small disturbances grow until requests are evicted"
    MARGINAL = (
        "proved: some disturbances neither grow nor die, for roots lie on the unit circle and none "
        "outside: the least change of lengths or shares decides"
    )
    UNDECIDED = "not proved: the allowed precision and time ran out, which says nothing of the side"


@dataclass(frozen=True)
class Certificate:
    """Where the roots of the survival polynomial lie, as a theorem.

    Attributes
    ----------
    outcome
        Unstable if a root lies outside the unit circle, else marginal if one lies on it, else
        stable.
    degree
        Number of roots, ``L − 1``.
    roots_outside, roots_on_circle, roots_inside
        How many, with multiplicity; None where undecided.
    method
        The arguments that proved it.
    unity_orders
        Orders of the roots on the circle that are roots of unity. With a root of order n every
        primitive one of that order is a root; an order stands here once for each time.
    bits
        Largest working precision of the balls; 0 where whole numbers were enough.
    points
        Evaluations of the polynomial.
    """

    outcome: Proven
    degree: int
    roots_outside: int | None
    roots_on_circle: int | None
    roots_inside: int | None
    method: str
    unity_orders: tuple[int, ...] = ()
    bits: int = 0
    points: int = 0

    @property
    def stable(self) -> bool:
        """Whether every root was proved to lie inside the unit circle."""
        return self.outcome is Proven.STABLE

    @property
    def decided(self) -> bool:
        """Whether anything was proved."""
        return self.outcome is not Proven.UNDECIDED


def certify(workload: Workload, *, block_size: int = 1, progress: Progress = silent) -> Certificate:
    """Prove on which side of the unit circle the roots of the survival polynomial lie.

    Shares are exact fractions, so the weights are whole numbers up to a factor. Proved are the
    counts of Theorem 2's local half, Theorem 3 and Proposition 4 at the lengths given (theory:
    section 3); the ways of proving are ours, from classical theorems.

    Parameters
    ----------
    workload
        The law of lengths.
    block_size
        Tokens per KV block, to which each request's tokens are rounded up.
    progress
        Told the evaluations so far; long outputs close to the edge can take seconds.

    Raises
    ------
    MissingExtraError
        python-flint is not installed and the weights are not monotone.
    """
    return _certified(weights_of(workload, block_size), progress)


def certify_weights(weights: Sequence[int], *, progress: Progress = silent) -> Certificate:
    """`certify` for given weights ``w_0 … w_{L−1}``: the roots of ``Σ w_m z^(L−1−m)``.

    For polynomials that no workload has, such as that of pulses (theory: section 5).

    Raises
    ------
    InputError
        Weights that are not whole numbers of 0 or more, or a first or last weight of 0.
    MissingExtraError
        python-flint is not installed and the weights are not monotone.
    """
    return _certified(checked_weights(weights), progress)


def _certified(weights: Sequence[int], progress: Progress) -> Certificate:
    placed = enestroem_kakeya(weights)
    if placed is not None:
        return _certificate(placed, _MONOTONE if len(weights) > 1 else "no root", 0, 0)
    flint = import_extra("flint", extra="certify")
    # G(u) = Σ w_m u^m with u = 1/z: its zeros inside the circle are the roots outside.
    shared, cofactor = split(flint, flint.fmpz_poly(list(weights)))
    twins: SelfReciprocal | None = SelfReciprocal(0, 0, (), 0, 0)
    method = _WINDING
    if shared.degree() > 0:
        twins = place_self_reciprocal(flint, shared, progress)
        method = f"{_SHARED}, {_WINDING}" if cofactor.degree() > 0 else _SHARED
    orders = twins.unity_orders if twins else ()
    rest = count_zeros_inside(flint, cofactor, progress, orders)
    degree = len(weights) - 1
    if twins is None or rest.inside is None:
        return Certificate(
            Proven.UNDECIDED, degree, None, None, None, method, bits=rest.bits, points=rest.points
        )
    outside = rest.inside + twins.inside
    inside = degree - outside - twins.on_circle
    placed = Placed(outside, twins.on_circle, inside, twins.unity_orders)
    return _certificate(placed, method, max(rest.bits, twins.bits), rest.points + twins.points)


def _certificate(placed: Placed, method: str, bits: int, points: int) -> Certificate:
    outcome = (
        Proven.UNSTABLE
        if placed.outside
        else Proven.MARGINAL
        if placed.on_circle
        else Proven.STABLE
    )
    return Certificate(
        outcome,
        placed.outside + placed.on_circle + placed.inside,
        placed.outside,
        placed.on_circle,
        placed.inside,
        method,
        placed.unity_orders,
        bits,
        points,
    )
