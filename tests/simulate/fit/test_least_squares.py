"""The solver against the conditions that define its solution, and against plain least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.simulate.fit.least_squares import non_negative, robust_non_negative

SEED = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=200)
@given(SEED, st.integers(1, 6), st.integers(1, 40))
def test_karush_kuhn_tucker(seed: int, columns: int, rows: int) -> None:
    # x ≥ 0, gradient ≥ 0, and no coordinate has both: exactly the minima (the problem is convex).
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, columns)) * 10.0 ** random.integers(-6, 6, columns)
    target = random.normal(size=rows)
    x = non_negative(matrix, target)
    size = np.linalg.norm(matrix, axis=0)
    gradient = matrix.T @ (matrix @ x - target) / size
    assert (x >= 0).all()
    assert gradient.min() >= -1e-7 * np.linalg.norm(target)
    assert np.abs(gradient[x > 0]).max(initial=0.0) <= 1e-7 * np.linalg.norm(target)


@given(SEED)
@settings(deadline=None)
def test_a_positive_solution_is_found_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix, truth = random.random((30, 5)), random.random(5) + 0.1
    assert non_negative(matrix, matrix @ truth) == pytest.approx(truth, rel=1e-6)


def test_columns_of_nothing_stay_at_0() -> None:
    matrix = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert non_negative(matrix, np.array([2.0, 4.0])) == pytest.approx([2.0, 0.0])


def test_an_outlier_hardly_matters() -> None:
    random = np.random.default_rng(7)
    matrix, truth = random.random((60, 2)) + 0.5, np.array([0.4, 0.6])
    target = matrix @ truth
    target[3] += 50.0
    nothing = np.zeros((0, 2)), np.zeros(0)
    assert robust_non_negative(matrix, target, *nothing) == pytest.approx(truth, rel=0.05)
    assert non_negative(matrix, target) != pytest.approx(truth, rel=0.5)
