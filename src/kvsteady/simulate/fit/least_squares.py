"""Least squares with coefficients that are not negative, and few outliers forgiven."""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray

# Residuals up to here count with their square, larger ones with their size (Huber).
LARGE_RESIDUAL = 0.03
_PASSES = 8


def non_negative(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """Minimise |matrix·x − target| over x ≥ 0 (Lawson and Hanson 1974, chapter 23).

    Shape ``(rows, columns)`` and ``(rows,)``; columns may differ in size by any factor.
    """
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0.0] = 1.0
    scaled = matrix / size
    x = np.zeros(size.size)
    free = np.zeros(size.size, dtype=bool)
    least = 1e-10 * max(float(np.abs(scaled.T @ target).max(initial=0.0)), 1e-300)
    for _ in range(10 * size.size):
        gain = np.where(free, -np.inf, scaled.T @ (target - scaled @ x))
        if gain.max() <= least:
            break
        free[gain.argmax()] = True
        x = _feasible(scaled, target, x, free)
    return np.asarray(x / size)


def _feasible(
    matrix: FloatArray,
    target: FloatArray,
    x: FloatArray,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> FloatArray:
    """Solve over the free columns; those that would turn negative on the way stop at 0."""
    while free.any():
        solved = np.zeros(x.size)
        solved[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
        low = free & (solved <= 0.0)
        if not low.any():
            return solved
        step = float((x[low] / (x[low] - solved[low])).min())
        x = x + step * (solved - x)
        free &= x > 1e-14
        x[~free] = 0.0
    return x


def huber_weights(residuals: FloatArray) -> FloatArray:
    """By what to multiply rows, so that large residuals count with their size only."""
    return np.asarray(1.0 / np.sqrt(np.maximum(1.0, np.abs(residuals) / LARGE_RESIDUAL)))


def huber_cost(residuals: FloatArray) -> float:
    """Mean cost of residuals: half their square, or their size less a constant."""
    size = np.abs(residuals)
    linear = LARGE_RESIDUAL * (size - LARGE_RESIDUAL / 2)
    return float(np.mean(np.where(size <= LARGE_RESIDUAL, size**2 / 2, linear)))


def robust_non_negative(
    matrix: FloatArray, target: FloatArray, fixed: FloatArray, fixed_target: FloatArray
) -> FloatArray:
    """As `non_negative`; rows of ``matrix`` may be outliers, those of ``fixed`` are kept as is."""
    weights = np.ones(target.size)
    x = np.zeros(matrix.shape[1])
    for _ in range(_PASSES):
        x = non_negative(
            np.vstack([matrix * weights[:, None], fixed]),
            np.concatenate([target * weights, fixed_target]),
        )
        weights = huber_weights(matrix @ x - target)
    return x
