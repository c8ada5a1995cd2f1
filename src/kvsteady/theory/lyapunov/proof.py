"""Prove that a numerically found Lyapunov form is one, rounding included.

Everything to prove is that a symmetric matrix A is positive definite. If a floating-point Cholesky
factorisation of ``A − δ I`` runs to its end, then A is, provided that δ covers the factorisation's
own error, ``γ_{n+1} / (1 − γ_{n+1}) · tr A`` with ``γ_k = k u / (1 − k u)`` and u half an ulp of 1,
and the error made in computing A (Rump, Verification of positive definiteness, BIT 46, 2006). It
holds for any order of summation, so for any LAPACK, where no underflow interferes.

`prove_with_balls` does the same in ball arithmetic, an independent way that takes longer.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.extras import import_extra
from kvsteady.theory.lyapunov.shape import carried, whole_weights
from kvsteady.workload.law import Workload

_UNIT = float(np.finfo(np.float64).eps) / 2
# Roundings in one entry of γ² P − Cᵀ P C, counted generously: entries of the row, four terms.
_OPERATIONS = 16
_LARGER = 1 + 1e-9  # covers the rounding of the error bounds themselves


def positive_definite(matrix: FloatArray, error: FloatArray | None = None) -> bool:
    """Whether every symmetric matrix within ``error`` of this one, entry by entry, is proved to be
    positive definite.
    """
    size = len(matrix)
    if size == 0:
        return True
    if not (np.diag(matrix) > 0).all():
        return False
    # Powers of 2 that bring the diagonal near 1 change nothing else and cost no rounding.
    scale = 2.0 ** -np.rint(np.log2(np.diag(matrix)) / 2)
    matrix = matrix * scale * scale[:, None]
    step = (size + 1) * _UNIT
    bound = step / (1 - 2 * step) * float(np.abs(np.diag(matrix)).sum())
    if error is not None:
        bound += float(np.linalg.norm(error * scale * scale[:, None]))
    shifted = matrix - bound * _LARGER * np.eye(size)
    # Subtracting rounds the diagonal once more.
    shifted -= _UNIT * 2 * float(np.abs(np.diag(matrix)).max()) * np.eye(size)
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True


def decays(row: FloatArray, form: FloatArray, decay: float) -> bool:
    """Whether ``Cᵀ P C ⪯ γ² P`` is proved for the exact C whose rounded first row is ``row``."""
    gap = decay**2 * form - carried(row, form)
    size = decay**2 * np.abs(form) + carried(np.abs(row), np.abs(form))
    return positive_definite(gap, _OPERATIONS * _UNIT * size)


def keeps_clear(row: FloatArray, form: FloatArray, level: float) -> bool:
    """Whether no next deviation is under −1 in ``{dᵀ P d ≤ θ}``: ``P − θ r rᵀ`` is positive
    definite.
    """
    push = level * np.outer(row, row)
    return positive_definite(form - push, _OPERATIONS * _UNIT * (np.abs(push) + np.abs(form)))


def prove_with_balls(
    workload: Workload, form: FloatArray, level: float, decay: float, *, bits: int = 128
) -> bool:
    """Prove P ≻ 0, ``Cᵀ P C ⪯ γ² P`` and ``P ⪰ θ r rᵀ`` in ball arithmetic (python-flint).

    ``form``, ``level`` and ``decay`` stand for exactly the floats they are, C for the exact
    rational companion matrix. Takes about a second for a longest output of 100.

    Raises
    ------
    MissingExtraError
        python-flint is not installed (extra ``certify``).
    """
    flint = import_extra("flint", extra="certify")
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        first, *rest = whole_weights(workload)
        row = [_ball(flint, Fraction(-weight, first)) for weight in rest]
        n = len(row)
        p = [[flint.arb(float(value)) for value in line] for line in form]
        rate, theta = flint.arb(decay) ** 2, flint.arb(level)
        zero = flint.arb(0)

        def at(i: int, j: int) -> Any:
            return p[i][j] if i < n and j < n else zero

        gap = [
            [
                rate * p[i][j]
                - row[i] * row[j] * p[0][0]
                - row[i] * at(0, j + 1)
                - at(i + 1, 0) * row[j]
                - at(i + 1, j + 1)
                for j in range(i + 1)
            ]
            for i in range(n)
        ]
        clear = [[p[i][j] - theta * row[i] * row[j] for j in range(i + 1)] for i in range(n)]
        return all(_pivots_positive(matrix) for matrix in (p, gap, clear))
    finally:
        flint.ctx.prec = before


def _ball(flint: Any, value: Fraction) -> Any:
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


def _pivots_positive(matrix: list[list[Any]]) -> bool:
    """``L D Lᵀ`` of a symmetric matrix of balls, lower half given: every pivot surely above 0."""
    lower: list[list[Any]] = []
    pivots: list[Any] = []
    for i, line in enumerate(matrix):
        scaled: list[Any] = []
        for j in range(i):
            value = line[j]
            for a, b in zip(scaled, lower[j], strict=False):
                value -= a * b
            scaled.append(value)
        pivot = line[i]
        factors = []
        for value, divisor in zip(scaled, pivots, strict=True):
            factors.append(value / divisor)
            pivot -= value * factors[-1]
        if not pivot > 0:
            return False
        lower.append(factors)
        pivots.append(pivot)
    return True
