"""The map of levels in exact fractions, one level at a time, and its derivative by differences.

``weights[i]`` tokens per request with ``i`` generated tokens; memory holds 1. The oldest run first;
whoever does not fit stays at its level, and any number of fresh requests stands at level 0.
"""

from __future__ import annotations

from fractions import Fraction

_STEP = Fraction(1, 10**12)


def mapped(weights: list[Fraction], state: list[Fraction]) -> tuple[int, list[Fraction]]:
    """Marginal level, and the state after an iteration (level 0 is always empty)."""
    longest = len(weights)
    after = [Fraction(0)] * longest
    left = Fraction(1)
    marginal = 0
    for age in range(longest - 1, -1, -1):
        runs = left / weights[age] if age == 0 else min(state[age], left / weights[age])
        left -= runs * weights[age]
        if runs < state[age]:
            marginal = max(marginal, age)
            after[age] += state[age] - runs
        if age + 1 < longest:
            after[age + 1] += runs
    return marginal, after


def jacobian(weights: list[Fraction], y: list[Fraction]) -> tuple[int, list[list[Fraction]]]:
    """Derivative on the levels from 1 on by exact differences, well inside a linear piece."""
    level, here = mapped(weights, y)
    columns = []
    for age in range(1, len(weights)):
        moved = list(y)
        moved[age] += _STEP
        there = mapped(weights, moved)[1]
        columns.append([(a - b) / _STEP for a, b in zip(there[1:], here[1:], strict=True)])
    return level, [list(row) for row in zip(*columns, strict=True)]


def determinant(matrix: list[list[Fraction]]) -> Fraction:
    """By expansion along the first column."""
    if not matrix:
        return Fraction(1)
    rest = [row[1:] for row in matrix]
    minors = (
        (-1) ** i * matrix[i][0] * determinant(rest[:i] + rest[i + 1 :])
        for i in range(len(matrix))
        if matrix[i][0]
    )
    return sum(minors, Fraction(0))


def solved(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Solve a linear system by elimination."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i in range(size):
            if i != column:
                by = rows[i][column]
                rows[i] = [a - by * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size] for row in rows]
