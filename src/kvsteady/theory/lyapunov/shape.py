"""Find a quadratic form that decays and whose level set keeps admissions from turning negative.

Deviations ``d`` of the last L − 1 admissions, youngest first, become ``C d``, C the companion
matrix of the survival polynomial; its first row ``r`` gives the next deviation. A level set
``{dᵀ P d ≤ θ}`` with ``P ⪰ (C/γ)ᵀ P (C/γ)`` shrinks by γ per iteration. With ``W = P⁻¹`` this
reads ``W = Σ_k (C/γ)^k R (C/γ)^kᵀ`` for some ``R ⪰ 0``, and the least next deviation in the set is
``−√(θ rᵀ W r)``, where ``rᵀ W r = tr(R G)`` with G the observability Gramian of the admission. The
largest set therefore maximises ``log det W`` subject to ``tr(R G) = 1``: the problem of D-optimal
designs, solved by the multiplicative algorithm (Silvey, Titterington, Torsney 1978; ours for
matrices). ``R = G⁻¹/n`` is the start; a few steps get most of the volume.
"""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.progress import Progress, silent
from kvsteady.workload.law import Workload

# Enlarging steps: the fourth adds some 3% to the mean radius.
_STEPS = 3
# How much of the trace of P may go to plain decay, so that no direction is left unwatched.
_FLOOR = 0.001
_DOUBLINGS = 48


def whole_weights(workload: Workload) -> list[int]:
    """``w_m · Σ tickets``, exact, shape ``(L,)``."""
    tail, weights = 0, []
    for drop in workload.weight_drops()[::-1].tolist():
        tail += drop
        weights.append(tail)
    return weights[::-1]


def first_row(workload: Workload) -> FloatArray:
    """``−w_m / w_0`` for ``m = 1 … L − 1``, each the float nearest to the exact fraction."""
    first, *rest = whole_weights(workload)
    return np.array([-weight / first for weight in rest])


def advanced(row: FloatArray, matrix: FloatArray) -> FloatArray:
    """``C X`` for columns of deviations: the next ones on top, the oldest gone."""
    return np.vstack([row @ matrix, matrix[:-1]])


def companion(row: FloatArray) -> FloatArray:
    """The companion matrix C with this first row."""
    return advanced(row, np.eye(row.size))


def carried(row: FloatArray, form: FloatArray) -> FloatArray:
    """``Cᵀ P C`` in O(n²): C shifts all but its first row."""
    inner = np.pad(form[1:, 1:], (0, 1))
    cross = np.outer(row, np.append(form[0, 1:], 0.0))
    total: FloatArray = form[0, 0] * np.outer(row, row) + cross + cross.T + inner
    return total


def decaying_form(row: FloatArray, decay: float, progress: Progress = silent) -> FloatArray:
    """Return P with ``Cᵀ P C ⪯ γ² P``, shaped so that ``{dᵀ P d · rᵀ P⁻¹ r ≤ 1}`` is large.

    ``row`` is r, shape ``(n,)``, n ≥ 1; ``decay`` is γ, above the spectral radius.
    """
    total = 2 * _STEPS + 3
    powers = _powers(companion(row) / decay)
    progress(1, total)
    gramian = _accumulated(np.outer(row, row), powers)
    plain = _accumulated(np.eye(row.size), powers)
    gramian += _FLOOR * float(np.trace(gramian)) / float(np.trace(plain)) * plain
    progress(3, total)
    size, frame = np.linalg.eigh(gramian)
    size = np.maximum(size, size[-1] * 1e-14)
    root = (frame / np.sqrt(size)) @ frame.T  # G^(−1/2)
    mix = np.eye(row.size) / row.size
    form = gramian
    reverse = [power.T for power in powers]
    for step in range(_STEPS):
        form = _inverse(_accumulated(root @ mix @ root, reverse))
        progress(4 + 2 * step, total)
        if step < _STEPS - 1:
            gain = root @ _accumulated(form, powers) @ root
            share, frame = np.linalg.eigh(mix)
            half = (frame * np.sqrt(np.maximum(share, 0.0))) @ frame.T
            mix = _symmetric(half @ gain @ half)
            mix /= np.trace(mix)
        progress(5 + 2 * step, total)
    return form


def _powers(matrix: FloatArray) -> list[FloatArray]:
    """``A, A², A⁴, …`` until they vanish beside rounding."""
    powers = [matrix]
    while len(powers) < _DOUBLINGS and float(np.abs(powers[-1]).max()) > 1e-9:
        powers.append(powers[-1] @ powers[-1])
    return powers


def _accumulated(start: FloatArray, powers: list[FloatArray]) -> FloatArray:
    """``Σ_k (A^k)ᵀ Q A^k`` by doubling."""
    total = start
    for power in powers:
        total = _symmetric(total + power.T @ total @ power)
    return total


def _inverse(matrix: FloatArray) -> FloatArray:
    return _symmetric(np.asarray(np.linalg.inv(matrix), dtype=np.float64))


def _symmetric(matrix: FloatArray) -> FloatArray:
    half: FloatArray = (matrix + matrix.T) / 2
    return half
