"""Roots outside, on and inside the unit circle by Sturm chains in fractions, nothing but algebra.

``z = (1 + s) / (1 − s)`` carries the outside of the circle to the right half plane. On the
imaginary axis ``p(iy) = A(y) + i B(y)``; the common divisor g of A and B holds the roots on the
axis, and the others are counted by the Cauchy index of ``B / A``, which the signs of a Sturm chain
tell (Hurwitz).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

Poly = list[Fraction]  # ascending powers, the last not 0; [] is 0


def roots_about_the_circle(weights: Sequence[int]) -> tuple[int, int, int]:
    """(outside, on, inside) of ``Σ w_m z^(L−1−m)``, with multiplicity."""
    degree = len(weights) - 1
    p: Poly = []
    for m, weight in enumerate(weights):
        part = [Fraction(weight)]
        for _ in range(degree - m):
            part = times(part, [Fraction(1), Fraction(1)])
        for _ in range(m):
            part = times(part, [Fraction(1), Fraction(-1)])
        p = plus(p, part)
    at_minus_one = degree - (len(p) - 1)  # s = ∞ is z = −1
    real = trimmed([c * (1, 0, -1, 0)[j % 4] for j, c in enumerate(p)])
    imaginary = trimmed([c * (0, 1, 0, -1)[j % 4] for j, c in enumerate(p)])
    common = gcd(real, imaginary)
    on_axis = real_roots(common)
    real, imaginary = divided(real, common)[0], divided(imaginary, common)[0]
    # Real coefficients: one of the two is even and the other odd, so their degrees differ.
    if len(real) > len(imaginary):
        left_minus_right = -index(imaginary, real)
    else:
        left_minus_right = index(real, imaginary)
    others = max(len(real), len(imaginary)) - 1
    paired = len(common) - 1 - on_axis  # symmetric about the axis
    right = (others - left_minus_right) // 2 + paired // 2
    on = at_minus_one + on_axis
    return right, on, degree - right - on


def index(top: Poly, bottom: Poly) -> int:
    """Cauchy index of top/bottom over the line: jumps from −∞ to +∞ less those back."""
    chain = [bottom, top]
    while chain[-1]:
        chain.append([-c for c in divided(chain[-2], chain[-1])[1]])
    chain.pop()
    low = [c[-1] * (-1) ** (len(c) - 1) for c in chain]
    return changes(low) - changes([c[-1] for c in chain])


def real_roots(p: Poly) -> int:
    """Real roots with multiplicity: Sturm's count of the different ones, again and again."""
    total = 0
    while len(p) > 1:
        slope = [j * c for j, c in enumerate(p)][1:]
        total += index(slope, p)
        p = gcd(p, slope)
    return total


def changes(signs: Sequence[Fraction]) -> int:
    return sum(a * b < 0 for a, b in pairwise(signs))


def gcd(a: Poly, b: Poly) -> Poly:
    while b:
        a, b = b, divided(a, b)[1]
        b = [c / abs(b[-1]) for c in b] if b else b
    return [c / a[-1] for c in a]


def divided(a: Poly, b: Poly) -> tuple[Poly, Poly]:
    rest, quotient = list(a), [Fraction(0)] * max(0, len(a) - len(b) + 1)
    for j in reversed(range(len(quotient))):
        quotient[j] = rest[j + len(b) - 1] / b[-1]
        for i, c in enumerate(b):
            rest[j + i] -= quotient[j] * c
    return trimmed(quotient), trimmed(rest[: len(b) - 1])


def times(a: Poly, b: Poly) -> Poly:
    product = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def plus(a: Poly, b: Poly) -> Poly:
    size = max(len(a), len(b))
    return trimmed(
        [
            (a[j] if j < len(a) else Fraction(0)) + (b[j] if j < len(b) else Fraction(0))
            for j in range(size)
        ]
    )


def trimmed(p: Poly) -> Poly:
    while p and p[-1] == 0:
        p = p[:-1]
    return p
