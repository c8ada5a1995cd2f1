"""Whether a crossing lies on a 2^k-th root of unity, in whole numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kvsteady.theory.thresholds.curve import Curve


def crosses_exactly(flint: Any, curve: Curve, place: int, level: int) -> bool:
    """Whether ``Im N/D = cot(θ/2) / 2`` at ``θ = π place / 2^level``, strictly between 0 and π.

    With ``P = (1 − u) N − D`` and ``Q = (1 − u) D`` that is ``P(u) Q(1/u) = P(1/u) Q(u)``, in whole
    numbers. In lowest terms ``u^h = −1``, h a power of 2, and ``1, u, …, u^(h−1)`` are independent:
    a sum of powers of u vanishes only if it does term by term once folded by that.
    """
    while place % 2 == 0:
        place, level = place // 2, level - 1
    lifted, gone = [0] * (curve.longest + 1), [0] * (curve.longest + 1)
    lifted[0], gone[0] = -sum(curve.extra), sum(curve.tickets)
    for output, lift, tickets in zip(curve.output.tolist(), curve.lift, curve.tickets, strict=True):
        lifted[output], gone[output] = lift, -tickets
    N, D, beside = flint.fmpz_poly(lifted), flint.fmpz_poly(gone), flint.fmpz_poly([1, -1])
    P, Q = beside * N - D, beside * D
    product = (P * flint.fmpz_poly(Q.coeffs()[::-1])).coeffs()  # times u^shift
    shift, half = Q.degree(), 1 << level
    folded: Counter[int] = Counter()
    for power, term in enumerate(product):
        for turns, sign in ((power - shift, 1), (shift - power, -1)):
            turns %= 2 * half
            at = turns % half
            folded[at] += (sign if turns < half else -sign) * int(term)
    return not any(folded.values())
