"""Survival weights per iteration, whatever an iteration adds; a fixed number of tokens first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats
from kvsteady.theory.spectrum import Monotone, Spectrum, spectrum_of_weights
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, real_number, whole_number

WholeArray = npt.NDArray[np.object_]  # Python integers: sums of tokens outgrow 64 bits


@dataclass(frozen=True, eq=False)
class Growth:
    """How the KV tokens of an admitted request develop, iteration by iteration.

    Attributes
    ----------
    name
        What grows how.
    weights
        ``w_n``, shape ``(N,)``: KV tokens that one admission per iteration keeps at age ``n``
        iterations, ``n = 0 … N − 1``. Replaces the weights of theory section 3.
    survival
        ``P(T > n)`` for the number T of iterations until completion, shape ``(N,)``.
    tokens
        Tokens generated per request and iteration, on average over its life.
    monotone
        Whether the weights are strictly monotone, as far as that is known without rounding.
    gcd
        Greatest common divisor of the possible completion times.
    """

    name: str
    weights: FloatArray
    survival: FloatArray
    tokens: float
    monotone: Monotone
    gcd: int

    @property
    def mean_iterations(self) -> float:
        """``E[T]``, iterations from admission to completion."""
        return float(self.survival.sum())

    @property
    def variance_iterations(self) -> float:
        """Variance of T."""
        n = np.arange(self.survival.size)
        second = float(((2 * n + 1) * self.survival).sum())
        return max(0.0, second - self.mean_iterations**2)

    def admissions(self, kv_tokens: float) -> float:
        """``x* = M / Σ w_n``, admissions per iteration of the eviction-free equilibrium."""
        return real_number(kv_tokens, "kv_tokens") / float(self.weights.sum())


def growth_spectrum(growth: Growth) -> Spectrum:
    """Spectrum of greedy admission about the equilibrium of this growth (ours).

    Deviations obey ``Σ w_n d_{t−n} = 0`` with the weights per iteration; nothing else of theory
    section 3 changes.
    """
    return spectrum_of_weights(growth.weights, growth.monotone, growth.gcd)


def steady_growth(workload: Workload, tokens: int) -> Growth:
    """Every request gains ``tokens`` per iteration, the last time what it still lacks.

    ``w_n = E[(L0 + min(r (n + 1), L1)) 1{L1 > r n}]``: a request that has generated ``r n`` of its
    tokens needs room for those that the iteration writes. One token gives back the weights of
    theory section 3. One class stays unstable whatever r: its weights increase (ours).
    """
    r = whole_number(tokens, "tokens", 1, MAX_OUTPUT)
    iterations = -(-workload.output // r)
    tickets = workload.tickets.astype(object)
    left = whole_tails(iterations, tickets)
    prompts = whole_tails(iterations, tickets * workload.prompt.astype(object))
    unused = np.zeros(left.size, dtype=object)  # of the last step
    np.add.at(unused, iterations - 1, tickets * (r * iterations - workload.output))
    steps = np.arange(1, left.size + 1).astype(object)
    whole = prompts + r * steps * left - unused
    total = int(tickets.sum())
    survival = quotients(left, total)
    return Growth(
        f"{workload.name}, {r} tokens per iteration",
        quotients(whole, total),
        survival,
        workload.mean_output / float(survival.sum()),
        monotone_of(whole),
        int(np.gcd.reduce(iterations)),
    )


def whole_tails(at: IntArray, mass: WholeArray) -> WholeArray:
    """``Σ mass 1{at > n}`` for ``n = 0 … max(at) − 1``, in whole numbers."""
    ends = np.zeros(int(at.max()) + 1, dtype=object)
    np.add.at(ends, at, mass)
    tails: WholeArray = np.cumsum(ends[::-1])[::-1][1:]
    return tails


def quotients(whole: WholeArray, total: int) -> FloatArray:
    """Each the float nearest to the exact fraction."""
    return frozen_floats([int(value) / total for value in whole])


def monotone_of(whole: WholeArray) -> Monotone:
    """Eneström–Kakeya's condition both ways, from weights that are whole numbers."""
    drops = whole[:-1] - whole[1:]
    if (drops > 0).all():
        return Monotone.DECREASING
    return Monotone.INCREASING if (drops < 0).all() else Monotone.NEITHER
