"""Monotone weights: where every root lies, read off in whole numbers (Eneström–Kakeya)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Placed:
    """Roots outside, on and inside the unit circle; orders of those that are roots of unity.

    An order stands there once for each time that all primitive roots of that order are roots.
    """

    outside: int
    on_circle: int
    inside: int
    unity_orders: tuple[int, ...]


def enestroem_kakeya(weights: Sequence[int]) -> Placed | None:
    """Place the roots of ``Σ w_m z^(L−1−m)`` where the weights are monotone; else None.

    ``(1 − u) Σ w_m u^m = w_0 − Σ (w_{m−1} − w_m) u^m − w_{L−1} u^L``. If the weights never
    rise, the coefficients behind the first sum to ``w_0`` in size, so there is no zero with
    ``|u| < 1``, and with ``|u| = 1`` only where ``u^m = 1`` at every drop and ``u^L = 1``: the
    d-th roots of unity other than 1, d the common divisor of L and of the places of the drops.
    They are simple. Weights that never fall are the same backwards, with inside and outside
    exchanged. (The strict case is Eneström's and Kakeya's; the circle: Anderson, Saff and Varga,
    1979.)
    """
    changes = [m for m, (before, now) in enumerate(pairwise(weights), 1) if before != now]
    rises = [m for m in changes if weights[m] > weights[m - 1]]
    if rises and len(rises) < len(changes):
        return None
    divisor = math.gcd(len(weights), *changes)
    rest = len(weights) - divisor
    orders = tuple(n for n in range(2, divisor + 1) if divisor % n == 0)
    outside, inside = (rest, 0) if rises else (0, rest)
    return Placed(outside, divisor - 1, inside, orders)
