"""The fluid model with kept tokens as a map of levels, and its derivative.

While cohorts have the workload's own mix, re-queueing at the head keeps requests in the order of
their first admission, so an older one runs whenever a younger one does. The state is then
``y[i]``, the amplitude that has generated ``i`` tokens, in memory or waiting: each iteration runs
the levels from the oldest down until memory is full, at the marginal level ``j``, and moves what
ran up by one. The map is continuous and linear on each piece of constant j (ours).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True)
def step(weights, capacity, y, tangents):
    """One iteration in place; returns the marginal level.

    ``y`` has shape ``(L,)``, ``y[0]`` always 0; ``tangents``, shape ``(n, L)``, move along.
    """
    longest = weights.size
    left = capacity
    level = longest - 1
    while level > 0 and weights[level] * y[level] <= left:
        left -= weights[level] * y[level]
        level -= 1
    runs = left / weights[level]  # of the marginal level; any amount of fresh ones at level 0
    for row in tangents:
        changes = 0.0
        for older in range(level + 1, longest):
            changes -= weights[older] * row[older]
        changes /= weights[level]
        for older in range(longest - 1, level + 1, -1):
            row[older] = row[older - 1]
        if level > 0:
            row[level] -= changes
        if level < longest - 1:
            row[level + 1] = changes
    for older in range(longest - 1, level + 1, -1):
        y[older] = y[older - 1]
    if level > 0:
        y[level] -= runs
    if level < longest - 1:
        y[level + 1] = runs
    return level


@numba.njit(cache=True)
def exponents(weights, capacity, y, count, steps, every):
    """Largest ``count`` Lyapunov exponents per iteration (Benettin et al. 1980), descending, and
    the mean of ``ln(w[L−1] / w[j])``: the sum of all. The first quarter of the steps turns the
    tangents towards the growing directions and is not counted.
    """
    first = steps // 4 // every * every
    longest = weights.size
    tangents = np.zeros((count, longest))
    for n in range(count):
        for i in range(1, longest):  # any vectors in general position
            tangents[n, i] = math.cos(1.0 + (n + 1) * i * 2.399963)
    sums = np.zeros(count)
    spread = 0.0
    for t in range(steps):
        level = step(weights, capacity, y, tangents)
        spread += math.log(weights[longest - 1] / weights[level])
        if t % every == every - 1 or t == steps - 1:
            for n in range(count):  # Gram-Schmidt; numba's @ would need SciPy
                for m in range(n):
                    tangents[n] -= (tangents[n] * tangents[m]).sum() * tangents[m]
                length = math.sqrt((tangents[n] * tangents[n]).sum())
                tangents[n] /= length
                if t >= first:
                    sums[n] += math.log(length)
    return sums / (steps - first), spread / steps
