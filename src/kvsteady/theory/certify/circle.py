"""Roots on the unit circle, exactly: what a polynomial shares with its own reversal.

The coefficients are real, so a root on the circle is a root of the reversed polynomial too, as
often. The common divisor S holds all of them, and beside them only roots whose reciprocal is a
root. It is its own reversal up to the sign, and of such a polynomial Cohn's theorem counts the
zeros: without multiple zeros it has as many inside the circle as the reversal of its derivative,
which has none on it (Cohn 1922; Bonsall and Marden 1952).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kvsteady.progress import Progress
from kvsteady.theory.certify.evaluate import Evaluator
from kvsteady.theory.certify.winding import BITS, BallCount, Terms, zeros_inside


@dataclass(frozen=True)
class SelfReciprocal:
    """Zeros of a polynomial that is its own reversal: as many inside the circle as outside."""

    on_circle: int
    inside: int
    unity_orders: tuple[int, ...]
    bits: int
    points: int


def split(flint: Any, polynomial: Any) -> tuple[Any, Any]:
    """The divisor shared with the reversal, and the cofactor, which has no root on the circle."""
    shared = polynomial.gcd(flint.fmpz_poly(polynomial.coeffs()[::-1]))
    return shared, polynomial // shared


def count_zeros_inside(
    flint: Any, polynomial: Any, progress: Progress, divided: Sequence[int] = ()
) -> BallCount:
    """Zeros inside the circle of a whole polynomial with none on it, by winding.

    Multiple zeros are counted once, times their multiplicity: near them a winding is slow. A
    polynomial in ``u^k`` is taken as one in ``u``, k times. ``divided`` are orders of cyclotomic
    polynomials that were divided out; times them it is as smooth as before.
    """
    inside = bits = points = 0
    whole = flint.fmpz_poly([1, -1])
    for order in divided:
        whole *= flint.fmpz_poly.cyclotomic(order)
    for factor, times in polynomial.factor_squarefree()[1]:
        small, power = factor.deflation()
        beside = [1, -1] if power > 1 else [int(term) for term in whole.coeffs()]
        count = zeros_inside(_exact_terms(flint, small), beside=beside, progress=progress)
        bits, points = max(bits, count.bits), points + count.points
        if count.inside is None:
            return BallCount(None, bits, points)
        inside += times * power * count.inside
    return BallCount(inside, bits, points)


def _exact_terms(flint: Any, polynomial: Any) -> Terms:
    return lambda: [flint.arb(term) for term in polynomial.coeffs()]


def place_self_reciprocal(flint: Any, shared: Any, progress: Progress) -> SelfReciprocal | None:
    """Place the zeros of the divisor shared with the reversal; None if the means ran out."""
    orders, rest = _strip_cyclotomic(flint, shared)
    on_circle = shared.degree() - rest.degree()
    inside = bits = points = 0
    for factor, times in rest.factor_squarefree()[1]:
        reversed_slope = flint.fmpz_poly(factor.derivative().coeffs()[::-1])
        count = count_zeros_inside(flint, reversed_slope, progress)
        if count.inside is None:
            return None
        bits, points = max(bits, count.bits), points + count.points
        inside += times * count.inside
        on_circle += times * (factor.degree() - 2 * count.inside)
    return SelfReciprocal(on_circle, inside, orders, bits, points)


def _strip_cyclotomic(flint: Any, polynomial: Any) -> tuple[tuple[int, ...], Any]:
    """Orders n (repeated) whose cyclotomic polynomial divides, and what is left."""
    orders: list[int] = []
    rest = polynomial
    for n in _possible_orders(flint, polynomial):
        cyclotomic = flint.fmpz_poly.cyclotomic(n)
        while rest.degree() >= cyclotomic.degree():
            quotient, remainder = divmod(rest, cyclotomic)
            if remainder:
                break
            rest = quotient
            orders.append(n)
    return tuple(orders), rest


def _possible_orders(flint: Any, polynomial: Any) -> list[int]:
    """Orders of roots of unity at which the polynomial is not certainly different from 0."""
    orders = orders_up_to(polynomial.degree())
    if not orders:
        return []
    with flint.ctx.workprec(BITS):
        units = [flint.acb(flint.arb(2) / n).exp_pi_i() for n in orders]
        evaluator = Evaluator(flint, [flint.arb(c) for c in polynomial.coeffs()])
        values = evaluator.at(units)
    return [n for n, value in zip(orders, values, strict=True) if value.contains(0)]


def orders_up_to(degree: int) -> list[int]:
    """Every n > 1 with φ(n) ≤ degree, where φ(n) is the degree of the n-th cyclotomic polynomial.

    If n has k different primes, φ(n) is at least the product of the k least ``p − 1``, which bounds
    k, and ``n / φ(n)`` is at most the product of their ``p / (p − 1)``, which bounds n.
    """
    if degree < 1:
        return []
    least, numerator, denominator, prime = 1, 1, 1, 2
    while least * (prime - 1) <= degree:
        least, numerator, denominator = (
            least * (prime - 1),
            numerator * prime,
            denominator * (prime - 1),
        )
        prime = next(p for p in range(prime + 1, 2 * prime + 1) if all(p % q for q in range(2, p)))
    top = degree * numerator // denominator
    totient = list(range(top + 1))
    for p in range(2, top + 1):
        if totient[p] == p:  # untouched so far: a prime
            for multiple in range(p, top + 1, p):
                totient[multiple] -= totient[multiple] // p
    return [n for n in range(2, top + 1) if totient[n] <= degree]
