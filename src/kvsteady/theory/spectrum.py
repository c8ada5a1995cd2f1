"""How deviations from the eviction-free equilibrium grow or die under greedy admission."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.theory.winding import (
    ROUNDING,
    ComplexArray,
    count_roots_outside,
    evaluate,
    scaled_terms,
)
from kvsteady.workload.law import Workload

# Relative width of the ring in which the spectral radius is finally enclosed.
_ENCLOSURE = 1e-9
_MODES = 64
_SMALL = 64  # up to this degree the companion matrix gives every root at once


class Stability(Enum):
    """What the linearisation says about the equilibrium; the value is the advice."""

    STABLE = "small disturbances die out: no synchronised eviction cycle grows from them"
    UNSTABLE = "small disturbances grow until requests are evicted: greedy admission will cycle"
    UNDECIDED = "a root lies too close to the unit circle for floating point to tell the side"


class Monotone(Enum):
    """Whether the survival weights are monotone, read off exactly (Eneström–Kakeya)."""

    DECREASING = "strictly decreasing: stable, whatever the memory"
    INCREASING = "strictly increasing: every root lies outside the unit circle"
    NEITHER = "not monotone: the winding of F decides"


@dataclass(frozen=True)
class Spectrum:
    """Roots of the survival polynomial, the multipliers of deviations per iteration.

    Attributes
    ----------
    outcome
        Stable, unstable or undecided.
    degree
        Number of roots, ``L − 1``.
    monotone
        What Eneström–Kakeya says.
    roots_outside
        Roots outside the unit circle; None where one lies too close to it to count them.
    radius
        Spectral radius, growth of the dominant mode per iteration; 0 if there is no root.
    radius_low, radius_high
        No root lies outside ``radius_high``, and one at least outside ``radius_low`` or on it, in
        floating point; `kvsteady.theory.certify.certified_radius` proves it.
    dominant_period
        Iterations per turn of the dominant mode, ``2π / arg z``; infinite if it does not turn.
    gcd
        Greatest common divisor of the output lengths. A gcd of 1 is necessary for stability at
        large prompts and far from sufficient at real ones (theory: section 5).
    modes
        Leading roots found, largest first, one of each conjugate pair (Im ≥ 0), 64 at most.
    """

    outcome: Stability
    degree: int
    monotone: Monotone
    roots_outside: int | None
    radius: float
    radius_low: float
    radius_high: float
    dominant_period: float
    gcd: int
    modes: tuple[complex, ...]

    @property
    def doubling(self) -> float:
        """Iterations in which the dominant mode doubles; infinite if it does not grow."""
        return math.log(2) / math.log(self.radius) if self.radius > 1 else math.inf

    @property
    def halving(self) -> float:
        """Iterations in which the slowest mode halves; infinite if it does not decay."""
        if self.radius >= 1:
            return math.inf
        return math.log(2) / -math.log(self.radius) if self.radius > 0 else 0.0


def spectrum(workload: Workload) -> Spectrum:
    """Spectrum of greedy admission at the equilibrium (theory: section 3; Theorem 2's local
    half for one class, Theorem 3 and Proposition 4 for several).

    KV capacity does not enter: it scales the equilibrium, not the deviations.
    """
    return spectrum_of_weights(workload.memory_weights(), monotone_weights(workload), workload.gcd)


def spectrum_of_weights(weights: FloatArray, monotone: Monotone, gcd: int) -> Spectrum:
    """Spectrum of any positive weights ``w_m``, shape ``(L,)``: `spectrum` for memory that does
    not grow by one token per iteration. ``monotone`` is what is known of the weights exactly
    (`Monotone.NEITHER` where nothing is), ``gcd`` that of the completion times in iterations.
    """
    degree = weights.size - 1
    if degree == 0:
        return Spectrum(Stability.STABLE, 0, monotone, 0, 0.0, 0.0, 0.0, math.inf, gcd, ())
    low, high, leading = enclose_radius(weights)
    modes = _gather_modes(weights, leading)
    match monotone:
        case Monotone.DECREASING:
            outside: int | None = 0
        case Monotone.INCREASING:
            outside = degree
        case Monotone.NEITHER:
            outside = count_roots_outside(weights).outside
    # A root too close to the circle keeps the others from being counted, not from being outside.
    if outside is None:
        outcome = Stability.UNSTABLE if low > 1 + _ENCLOSURE else Stability.UNDECIDED
    else:
        outcome = Stability.UNSTABLE if outside else Stability.STABLE
    turn = abs(math.atan2(leading.imag, leading.real))
    return Spectrum(
        outcome,
        degree,
        monotone,
        outside,
        abs(leading),
        low,
        high,
        2 * math.pi / turn if turn > 1e-12 else math.inf,
        gcd,
        tuple(modes.tolist()),
    )


def monotone_weights(workload: Workload) -> Monotone:
    """Eneström–Kakeya's condition both ways, in exact integer arithmetic, O(L)."""
    drops = workload.weight_drops()[:-1]  # the last is the drop to 0 beyond the longest output
    if (drops > 0).all():
        return Monotone.DECREASING
    return Monotone.INCREASING if (drops < 0).all() else Monotone.NEITHER


def _gather_modes(weights: FloatArray, leading: complex) -> ComplexArray:
    """Leading roots from circles at and inside the spectral radius, the leading one first."""
    modes: ComplexArray = np.array([leading])
    for inwards in range(4):
        circle = abs(leading) * math.exp(-2 * math.pi * inwards / weights.size)
        modes = _distinct(np.r_[modes, leading_roots(weights, circle)])
        if modes.size >= _MODES:
            break
    # Others can be as large as the leading one: pulses of a common divisor come in such rings.
    others = modes[np.abs(modes - leading) > 1e-9 * abs(leading)]
    others = others[np.abs(others) < abs(leading) * (1 + 1e-9)]
    kept: ComplexArray = np.r_[leading, others[: _MODES - 1]]
    return kept


def enclose_radius(weights: FloatArray) -> tuple[float, float, complex]:
    """Enclose the largest root modulus; returns (low, high, the root).

    Bisection on the radius by root counts, cut short by Newton: a root found within the bracket
    is tried as the largest, which a count just beyond it confirms or refutes.
    """
    ratio = weights[1:] / weights[:-1]  # the ring that holds every root (Eneström–Kakeya)
    low, high = float(ratio.min()) * (1 - 1e-12), float(ratio.max()) * (1 + 1e-12)
    # Roots of long outputs crowd near the unit circle; neighbours are about 2π / L apart.
    radius = min(max(1.0, low), high)
    stride = 2 * math.pi / weights.size
    modes: ComplexArray = np.zeros(0, dtype=np.complex128)
    while high / low - 1 > _ENCLOSURE:
        modes = leading_roots(weights, radius)
        largest = float(abs(modes[0])) if modes.size else 0.0
        if low < largest < high:
            low = max(low, _reached(weights, complex(modes[0])))
            for width in (_ENCLOSURE / 4, 1e-8, 1e-6):
                if count_roots_outside(weights, largest * (1 + width)).outside == 0:
                    return low, largest * (1 + width), complex(modes[0])
        # Outwards in growing strides while roots lie beyond, else halve what is left.
        radius = low * math.exp(min(stride, math.log(high / low) / 2))
        stride *= 2
        count = count_roots_outside(weights, radius).outside
        if count is None:
            break  # a root within rounding of this circle: what is enclosed so far stands
        low, high = (low, radius) if count == 0 else (radius, high)
    if not modes.size:  # the ring was that narrow from the start
        modes = leading_roots(weights, math.sqrt(low * high))
    slack = 1 + _ENCLOSURE
    if modes.size and low / slack <= abs(modes[0]) <= high * slack:
        return low, high, complex(modes[0])
    return low, high, complex(math.sqrt(low * high))


def _reached(weights: FloatArray, root: complex) -> float:
    """Modulus that some root reaches, rounding allowed for, given what looks like one.

    For any G of degree n the disc about u of radius ``n |G / G'|`` holds a zero. Of a multiple root
    Newton's method finds but a neighbour, and the disc is wide.
    """
    size = abs(root)
    terms = scaled_terms(weights, size)
    age = np.arange(terms.size)
    turn = -math.atan2(root.imag, root.real) / (2 * math.pi)
    coarse = math.ldexp(round(math.ldexp(turn, 26)), -26)  # times an age exact, the rest is tiny
    power = np.exp(2j * np.pi * (np.mod(age * coarse, 1.0) + age * (turn - coarse)))
    value, slope = complex(terms @ power), complex((age * terms) @ power)  # slope is u G'(u)
    missed = (terms.size - 1) * (abs(value) + ROUNDING * float(terms.sum()))
    return size / (1 + missed / abs(slope)) if slope else 0.0


def leading_roots(weights: FloatArray, radius: float = 1.0) -> ComplexArray:
    """Roots of ``Σ w_m z^(L−1−m)`` found by Newton's method from a circle, largest first.

    Where Newton steps from a grid on the circle are shortest, each proposes the root that it
    points at; the largest proposals are refined. Roots far from the circle can be missed.
    Im z ≥ 0 only.
    """
    if weights.size - 1 <= _SMALL:
        every = np.roots(weights).astype(np.complex128)
        every = every[every.imag >= 0]
        return every[np.argsort(-np.abs(every), kind="stable")][:_MODES]
    terms = scaled_terms(weights, radius)
    rise: FloatArray = terms * np.arange(terms.size)
    size = 1 << int(8 * terms.size - 1).bit_length()
    value, slope = np.conj(np.fft.rfft(terms, size)), np.conj(np.fft.rfft(rise, size))
    log_u = 1j * np.linspace(0.0, np.pi, value.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        stride = -value / slope  # Newton in log u
    near = 8 * math.pi / terms.size  # four times the usual distance between two roots
    length = np.nan_to_num(np.abs(stride), nan=np.inf)
    beside = np.pad(length, 1, mode="reflect")  # the circle is symmetric about the real axis
    closest = (length <= beside[:-2]) & (length <= beside[2:]) & (length < near)
    found = (log_u + stride)[closest].astype(np.complex128)
    proposal: ComplexArray = found[np.argsort(found.real, kind="stable")][: 4 * _MODES]
    for _ in range(12):
        if not proposal.size:
            return np.zeros(0, dtype=np.complex128)
        u = np.exp(proposal)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = evaluate(terms, u) / evaluate(rise, u)
        kept = np.abs(step) < near
        proposal, step = (proposal - step)[kept], step[kept]
        if step.size and float(np.abs(step).max()) < 1e-14:
            break
    settled = np.abs(evaluate(terms, np.exp(proposal))) < 1e-9 * float(terms.sum())
    roots = radius * np.exp(-proposal[settled])
    return _distinct(np.where(roots.imag < 0, np.conj(roots), roots))[:_MODES]


def _distinct(roots: ComplexArray) -> ComplexArray:
    """Roots without repetition, largest first."""
    distinct: list[complex] = []
    for root in roots[np.argsort(-np.abs(roots), kind="stable")].tolist():
        if all(abs(root - other) > 1e-9 * abs(root) for other in distinct):
            distinct.append(root)
    return np.array(distinct, dtype=np.complex128)
