"""What an arc of the circle can contribute to the crossing prompts: nothing, or a range of them.

Taylor's theorem about the middle of the arc bounds both. With ``X = N conj(D)``, a crossing needs

    E(θ) = sin(θ/2) Im X − cos(θ/2) |D|² / 2 = 0,

so an arc on which |E| provably stays above 0 holds none. On the others ``s(θ) = Re N/D − 1/2`` at
any crossing lies within a range about its value in the middle. The formulas serve arrays of floats,
which carry a bound on their rounding, and balls, whose comparisons are proofs, alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvsteady.theory.thresholds.curve import Values

# Where numbers are floats: covers the rounding of the bounds themselves, moduli (to a few thousand
# units in the last place) included,
_SLACK = 2.0**-40
_FEW_EPS = 2.0**-48  # and that of the middle values, relative to what they are made of.


@dataclass(frozen=True, eq=False)
class ArcBounds:
    """``clear`` above 0: no crossing on the arc. Else any crossing has s within ``reach`` of
    ``middle``, provided ``away`` is above 0 (D certainly stays away from 0). Where it is not the
    numbers mean nothing. ``rounding`` is the part of ``reach`` that a shorter arc cannot lower.
    """

    clear: Any
    middle: Any
    reach: Any
    away: Any
    rounding: Any


def crossing_value(values: Values, sine: Any, cosine: Any) -> tuple[Any, Any]:
    """``E`` at some points, and a bound on its rounding (0 for balls, which hold their own)."""
    N, D = values.lifted, values.gone
    rN, _, rD, _ = values.rounding
    value = sine * (N * D.conjugate()).imag - cosine * (D * D.conjugate()).real / 2
    if not rD:
        return value, 0
    n0, d0 = abs(N) + rN, abs(D) + rD
    return value, n0 * rD + d0 * rN + d0 * rD + _FEW_EPS * (n0 * d0 + d0 * d0)


def bounds(values: Values, second: Any, sine: Any, cosine: Any, half: Any) -> ArcBounds:
    """Bounds for the arc of half-width ``half`` about a middle where ``sin θ/2``, ``cos θ/2`` are
    ``sine`` and ``cosine``; ``second`` bounds the second derivatives of N and D everywhere.
    """
    N, N1, D, D1 = values.lifted, values.lifted_slope, values.gone, values.gone_slope
    rN, rN1, rD, rD1 = values.rounding
    # Largest moduli on the arc: of N and D, their first and second derivatives.
    n2, d2 = second[0], second[1]
    n1, d1 = abs(N1) + rN1 + half * n2, abs(D1) + rD1 + half * d2
    n0, d0 = abs(N) + rN + half * n1, abs(D) + rD + half * d1
    x0, x1, x2 = n0 * d0, n1 * d0 + n0 * d1, n2 * d0 + 2 * n1 * d1 + n0 * d2
    q0, q1, q2 = d0 * d0, 2 * d0 * d1, 2 * (d1 * d1 + d0 * d2)
    bend = x2 + x1 + x0 / 4 + (q2 + q1 + q0 / 4) / 2
    X1 = N1 * D.conjugate() + N * D1.conjugate()
    square, square1 = (D * D.conjugate()).real, 2 * (D1 * D.conjugate()).real
    value, lost = crossing_value(values, sine, cosine)
    slope = cosine * (N * D.conjugate()).imag / 2 + sine * (X1.imag + square / 4)
    slope = slope - cosine * square1 / 2
    clear = abs(value) - half * abs(slope) - half * half * bend / 2
    least = abs(D) - rD
    away = least - half * d1
    if rD:
        away = away - _SLACK * least
    ratio = N / D
    ratio1 = (N1 - ratio * D1) / D
    r0 = n0 / away
    r1 = (n1 + r0 * d1) / away
    r2 = (n2 + 2 * r1 * d1 + r0 * d2) / away
    reach = half * abs(ratio1.real) + half * half * r2 / 2
    if not rD:
        return ArcBounds(clear, ratio.real - 0.5, reach, away, 0)
    lost1 = lost + n1 * rD + d0 * rN1 + n0 * rD1 + d1 * rN + d0 * rD1 + d1 * rD
    lost1 = lost1 + _FEW_EPS * (x1 + q1)
    clear = clear - (lost + half * lost1) * (1 + _SLACK) - _SLACK * half * half * bend
    rounding = (rN + abs(ratio) * rD) / least + _FEW_EPS * abs(ratio) + _FEW_EPS
    rounding1 = (rN1 + rD1 * r0 + d1 * rounding + rD * r1) / away + _FEW_EPS * r1
    reach = (reach + rounding + half * rounding1) * (1 + _SLACK)
    return ArcBounds(clear, ratio.real - 0.5, reach, away, rounding)
