"""What an iteration takes, in the one form that the simulator's kernels evaluate.

Six numbers describe an iteration (`FEATURES`). Its time is a sum over groups of the largest linear
form in each group, plus a table: a linear model is one group of one row, a roofline one group of
two (compute, memory), a measured table is a table.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.simulate.kernel import kernel

#: What the last axis of `TimeForm.coef` multiplies: 1; 1 if any prefill token is computed, else 0;
#: prefill (and recompute) tokens computed; requests that decode one token; KV tokens those read
#: (the sum of their contexts); query-key pairs of the prefill, Σ chunk × (context + chunk / 2).
FEATURES = ("iteration", "has_prefill", "prefill", "decode", "kv_read", "prefill_pairs")


class TimeForm(NamedTuple):
    """Seconds of an iteration: Σ_groups max_{rows of the group} coef · features + table.

    Attributes
    ----------
    coef
        Shape ``(groups, rows, 6)``: seconds per unit of each of `FEATURES`.
    axes
        Shape ``(3, n)``: the prefill tokens, decode tokens and KV tokens read at which ``table``
        stands, ascending, each filled up with infinity.
    table
        Shape ``(prefill, decode, KV)``, seconds: interpolated in each axis, extended linearly
        beyond its ends and cut off at 0. One cell: no table.
    """

    coef: FloatArray
    axes: FloatArray
    table: FloatArray


def rows_form(*groups: Sequence[Sequence[float]]) -> TimeForm:
    """Return the sum of the largest row of each group; a row has a coefficient per feature."""
    most = max(len(group) for group in groups)
    filled = [[*group, *[group[-1]] * (most - len(group))] for group in groups]
    return TimeForm(frozen_floats(filled), frozen_floats([[0.0]] * 3), frozen_floats([[[0.0]]]))


def table_form(axes: Sequence[FloatArray], table: FloatArray) -> TimeForm:
    """Return a table alone, over three ascending axes."""
    filled = np.full((3, max(axis.size for axis in axes)), np.inf)
    for row, axis in zip(filled, axes, strict=True):
        row[: axis.size] = axis
    return TimeForm(
        frozen_floats(np.empty((0, 1, len(FEATURES)))), frozen_floats(filled), frozen_floats(table)
    )


@kernel
def _cell(axes, which, size, at):
    """Return the cell of an axis that holds ``at`` (else the nearest), and where in it."""
    if size == 1:
        return 0, 0.0
    low, high = 0, size - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if axes[which, middle] <= at:
            low = middle
        else:
            high = middle
    return low, (at - axes[which, low]) / (axes[which, low + 1] - axes[which, low])


@kernel
def _table_seconds(axes, table, prefill, decode, kv_read):
    """Interpolate the table."""
    a, b, c = table.shape
    i, x = _cell(axes, 0, a, prefill)
    j, y = _cell(axes, 1, b, decode)
    k, z = _cell(axes, 2, c, kv_read)
    total = 0.0
    for di in range(min(a, 2)):
        u = x if di else 1.0 - x
        for dj in range(min(b, 2)):
            v = y if dj else 1.0 - y
            for dk in range(min(c, 2)):
                w = z if dk else 1.0 - z
                total += u * v * w * table[i + di, j + dj, k + dk]
    return max(total, 0.0)


@kernel
def iteration_seconds(form, has_prefill, prefill_tokens, decode_tokens, kv_read, prefill_pairs):
    """Return what an iteration with these `FEATURES` takes, in seconds."""
    coef = form.coef
    total = 0.0
    for group in range(coef.shape[0]):
        largest = -np.inf
        for row in range(coef.shape[1]):
            seconds = (
                coef[group, row, 0]
                + coef[group, row, 1] * has_prefill
                + coef[group, row, 2] * prefill_tokens
                + coef[group, row, 3] * decode_tokens
                + coef[group, row, 4] * kv_read
                + coef[group, row, 5] * prefill_pairs
            )
            largest = max(largest, seconds)
        total += largest
    if form.table.size > 1:
        total += _table_seconds(form.axes, form.table, prefill_tokens, decode_tokens, kv_read)
    return total
