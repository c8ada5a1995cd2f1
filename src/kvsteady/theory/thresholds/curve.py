"""The curve of prompts on which a root of the survival polynomial can meet the unit circle.

With prompts ``b_k + s`` the survival weights are affine in s. Times ``1 − u``, u = 1/z, the
survival polynomial is ``(s + 1 / (1 − u)) D(u) − N(u)`` with

    D = Σ p_k (1 − u^l_k),    N = Σ p_k (l_k u^l_k − b_k (1 − u^l_k)),

two short sums over the classes however long the outputs are (ours). Since ``1 / (1 − u)`` is
``1/2 + (i/2) cot(θ/2)`` at ``u = e^{iθ}``, a root lies there exactly if

    Im N/D = cot(θ/2) / 2    and    s = Re N/D − 1/2.

Everything here is in whole numbers of tickets, so that nothing is rounded before it is evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.workload.law import Workload

_EPS = float(np.finfo(np.float64).eps)
_AT_ONCE = 1 << 16  # terms evaluated together
_COSINE = [(-1) ** k / math.factorial(2 * k) for k in range(9)]
_SINE = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]


@dataclass(frozen=True, eq=False)
class Curve:
    """The sums D and N of a workload whose prompts move together.

    Attributes
    ----------
    output
        Distinct output lengths, ascending, shape ``(J,)``.
    tickets
        Tickets of each output length, ``(J,)`` Python integers.
    extra
        Tickets times prompt tokens above the shortest prompt, summed per output, ``(J,)``.
    """

    output: IntArray
    tickets: tuple[int, ...]
    extra: tuple[int, ...]

    @classmethod
    def of(cls, workload: Workload) -> Curve:
        """The curve of a workload, measured from its shortest prompt."""
        above = workload.prompt - workload.prompt.min()
        tickets: dict[int, int] = {}
        extra: dict[int, int] = {}
        rows = zip(workload.output.tolist(), workload.tickets.tolist(), above.tolist(), strict=True)
        for output, ticket, prompt in rows:
            tickets[output] = tickets.get(output, 0) + ticket
            extra[output] = extra.get(output, 0) + ticket * prompt
        return cls(frozen_ints(list(tickets)), tuple(tickets.values()), tuple(extra.values()))

    @property
    def longest(self) -> int:
        """``L``, the largest output length."""
        return int(self.output[-1])

    @property
    def lift(self) -> tuple[int, ...]:
        """Coefficients ``l c_l + e_l`` of N, its constant term aside."""
        rows = zip(self.output.tolist(), self.tickets, self.extra, strict=True)
        return tuple(output * ticket + extra for output, ticket, extra in rows)

    def moment(self, order: int) -> int:
        """Largest modulus of the ``order``-th derivative of D by the angle, for order ≥ 1."""
        rows = zip(self.output.tolist(), self.tickets, strict=True)
        return sum(ticket * output**order for output, ticket in rows)

    def lifted_moment(self, order: int) -> int:
        """Largest modulus of the ``order``-th derivative of N by the angle, for order ≥ 1."""
        rows = zip(self.output.tolist(), self.lift, strict=True)
        return sum(lift * output**order for output, lift in rows)

    def weights(self, shift: int) -> list[int]:
        """Survival weights times all tickets, with the shortest prompt at ``shift`` tokens."""
        alive, extra = sum(self.tickets), sum(self.extra)
        weights: list[int] = []
        for output, ticket, above in zip(
            self.output.tolist(), self.tickets, self.extra, strict=True
        ):
            # One weight per age up to the next completion.
            ages = range(len(weights), output)
            weights += [alive * (shift + age + 1) + extra for age in ages]
            alive, extra = alive - ticket, extra - above
        return weights


@dataclass(frozen=True, eq=False)
class Values:
    """N, D and their derivatives by the angle at some points of the circle.

    Arrays of floats, each within the rounding beside it, or single balls with none.
    """

    lifted: Any
    lifted_slope: Any
    gone: Any
    gone_slope: Any
    rounding: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class FloatEvaluator:
    """`Values` in floating point, with a bound on its rounding.

    The bound is a proof where +, −, · are those of IEEE 754 and a matrix product adds up single
    products, in any order. Angle, sine and cosine are off by 4 eps at most (`turned`), and so are
    the coefficients; J terms then add up to within ``J eps / 2``.
    """

    def __init__(self, curve: Curve) -> None:
        scale = float(sum(curve.tickets))
        lift = np.array([float(value) for value in curve.lift]) / scale
        mass = np.array([float(value) for value in curve.tickets]) / scale
        length = curve.output.astype(np.float64)
        self._output = curve.output
        self._coefficients = np.stack([lift, length * lift, mass, length * mass])
        self._extra = sum(curve.extra) / scale
        largest = self._coefficients.sum(axis=1) + np.array([self._extra, 0, 1, 0])
        bound = (_EPS * (16 + length.size) * largest).tolist()
        self.rounding = (bound[0], bound[1], bound[2], bound[3])
        second: FloatArray = np.array([lift @ length**2, mass @ length**2]) * (1 + 1e-9)
        self.second = frozen_floats(second)

    def at(self, place: IntArray, level: int) -> Values:
        """Values at the angles ``π place / 2^level``; ``place · longest`` must fit 63 bits."""
        cosines, sines = np.empty((2, 4, place.size))
        stride = max(1, _AT_ONCE // self._output.size)
        for first in range(0, place.size, stride):
            part = slice(first, first + stride)
            cosine, sine = turned(self._output[:, None] * place[part], level)
            cosines[:, part] = self._coefficients @ cosine
            sines[:, part] = self._coefficients @ sine
        lifted, lifted_slope, gone, gone_slope = (cosines + 1j * sines).astype(np.complex128)
        return Values(
            lifted - self._extra, 1j * lifted_slope, 1 - gone, -1j * gone_slope, self.rounding
        )


def turned(place: IntArray, level: int) -> tuple[FloatArray, FloatArray]:
    """Cosine and sine of ``π place / 2^level``, level 2 or more, each within 4 eps.

    By Taylor's series on an eighth of a turn, since libraries promise nothing of theirs. There the
    angle is off by less than eps, the k-th term by ``(3 k + 2) eps / 2`` of its size, which adds up
    to less than 2 eps, and the terms left out to less than eps / 50.
    """
    eighth = 1 << (level - 2)
    octant = (place >> (level - 2)) & 7
    rest = place & (eighth - 1)
    angle = np.ldexp(np.where(octant & 1, eighth - rest, rest).astype(np.float64), -level) * np.pi
    square = angle * angle
    cosine, sine = np.full_like(angle, _COSINE[-1]), np.full_like(angle, _SINE[-1])
    for even, odd in zip(_COSINE[-2::-1], _SINE[-2::-1], strict=True):
        cosine *= square
        cosine += even
        sine *= square
        sine += odd
    sine *= angle
    swapped = ((octant + 1) & 2) != 0
    cosine, sine = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return (
        np.where((octant + 2) & 4, -cosine, cosine),
        np.where(octant & 4, -sine, sine),
    )


class BallEvaluator:
    """`Values` as balls that hold the true numbers, in the precision of the moment."""

    def __init__(self, flint: Any, curve: Curve) -> None:
        scale = sum(curve.tickets)
        self._flint = flint
        self._rows: Sequence[tuple[int, int, int]] = tuple(
            zip(curve.output.tolist(), curve.tickets, curve.lift, strict=True)
        )
        self._scale = scale
        self._extra = sum(curve.extra)
        self.second = (
            flint.arb(curve.lifted_moment(2)) / scale,
            flint.arb(curve.moment(2)) / scale,
        )

    def at(self, place: int, level: int) -> Values:
        """Values at the angle ``π place / 2^level``."""
        acb, arb, whole = self._flint.acb, self._flint.arb, 2 << level
        lifted, gone = acb(-self._extra), acb(self._scale)
        lifted_slope, gone_slope = acb(0), acb(0)
        for output, tickets, lift in self._rows:
            power = acb(arb(place * output % whole) / (1 << level)).exp_pi_i()
            lifted += lift * power
            lifted_slope += output * lift * power
            gone -= tickets * power
            gone_slope -= output * tickets * power
        turn = acb(0, 1) / self._scale
        return Values(
            lifted / self._scale, lifted_slope * turn, gone / self._scale, gone_slope * turn
        )
