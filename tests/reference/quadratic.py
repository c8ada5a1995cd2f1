"""Positive definiteness of symmetric matrices of fractions, by exact elimination."""

from __future__ import annotations

from fractions import Fraction


def is_positive_definite(matrix: list[list[Fraction]]) -> bool:
    """Every pivot of Gaussian elimination without exchanges is above 0 (Sylvester)."""
    rows = [list(line) for line in matrix]
    for i in range(len(rows)):
        if rows[i][i] <= 0:
            return False
        for k in range(i + 1, len(rows)):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [b - factor * a for a, b in zip(rows[i], rows[k], strict=True)]
    return True


def companion(weights: list[Fraction]) -> list[list[Fraction]]:
    """The next deviation on top, the others move down by one."""
    n = len(weights) - 1
    rows = [[Fraction(int(i == j + 1)) for j in range(n)] for i in range(n)]
    rows[0] = [-weight / weights[0] for weight in weights[1:]]
    return rows


def carried(step: list[list[Fraction]], form: list[list[Fraction]]) -> list[list[Fraction]]:
    """``Cᵀ P C``."""
    n = range(len(form))
    after = [[sum((form[i][k] * step[k][j] for k in n), Fraction(0)) for j in n] for i in n]
    return [[sum((step[k][i] * after[k][j] for k in n), Fraction(0)) for j in n] for i in n]


def fractions_of(matrix: object) -> list[list[Fraction]]:
    """Each float as the fraction that it is."""
    return [[Fraction(value) for value in row] for row in matrix.tolist()]
