"""Forecast the memory of those who run: its mean and variance at each look-ahead time.

Requests are put in bins by age, so that a forecast costs O(running) + O(bins × times).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.state import AGES, CELLS, FARTHEST


@kernel
def alive_after(state, generated):
    """P(output > generated), between the cells on a line."""
    place = generated / state.memo.width
    cell = int(place)
    if cell >= CELLS:
        return state.survival[CELLS]
    rest = place - cell
    return state.survival[cell] * (1.0 - rest) + state.survival[cell + 1] * rest


@kernel
def _area(state, tokens):
    """Integral of P(output > n) over n from 0 to ``tokens``."""
    place = tokens / state.memo.width
    cell = int(place)
    if cell >= CELLS:
        return state.area[CELLS]
    rest = place - cell
    return state.area[cell] * (1.0 - rest) + state.area[cell + 1] * rest


@kernel
def times_needed(state):
    """How many look-ahead times matter: nobody lives longer, as far as is known."""
    farthest = state.memo.longest + 64
    return min(state.place[min(farthest, FARTHEST)] + 1, state.horizon.size)


@kernel
def last_time(state, limit, generated, times):
    """Look-ahead times before a request comes to its max_tokens: index of the first that is not."""
    return min(state.place[min(max(limit - generated, 1), FARTHEST)], times)


@kernel
def forecast(state, view, times):
    """Fill ``mean`` and ``variance`` with the memory of those who run, in tokens."""
    memo, facts = state.memo, view.facts
    tokens, count, ages = state.tokens, state.many, state.ages
    waste = 0.5 * (facts.block - 1) + 1 - memo.unwritten
    span = 1
    for i in range(facts.shown_running):
        span = max(span, view.running[i].generated + 1)
    for a in range(AGES):
        ages[a] = 0.0
        for j in range(times + 1):
            tokens[a, j] = count[a, j] = 0.0
    for i in range(facts.shown_running):
        row = view.running[i]
        a = row.generated * AGES // span
        last = last_time(state, row.limit, row.generated, times)
        ages[a] += row.generated
        tokens[a, last] += row.prompt + row.generated + waste
        count[a, last] += 1.0
    for j in range(times):
        state.mean[j] = state.variance[j] = 0.0
    wide = max(span / AGES, 1.0)
    for a in range(AGES):
        held = many = 0.0
        for j in range(times + 1):
            many += count[a, j]
        if many == 0.0:
            continue
        age = ages[a] / many
        # Ages of a bin are taken as spread over it, or all would seem to end together.
        low, high = max(age - 0.5 * wide, 0.0), age + 0.5 * wide
        once = 1.0 / max(_area(state, high) - _area(state, low), 1e-12)
        many = 0.0
        for j in range(times, 0, -1):  # those with a later last time are alive at this one
            many += count[a, j]
            held += tokens[a, j]
            if many > 0.0:
                ahead = state.horizon[j - 1]
                chance = (_area(state, high + ahead) - _area(state, low + ahead)) * once
                then = held + many * ahead
                state.mean[j - 1] += then * chance
                state.variance[j - 1] += then * then * chance * (1.0 - chance) / many


@kernel
def fits_safely(state, view, row, times, add):
    """Whether one more leaves the forecast below memory; if so and ``add``, it is counted in."""
    memo, facts = state.memo, view.facts
    memory = facts.blocks * facts.block
    held = row.prompt + row.generated + 0.5 * (facts.block - 1) + 1 - memo.unwritten
    last = last_time(state, row.limit, row.generated, times)
    now = max(alive_after(state, row.generated), 1e-12)
    for j in range(last):
        each = held + state.horizon[j]
        chance = min(alive_after(state, row.generated + state.horizon[j]) / now, 1.0)
        mean = state.mean[j] + each * chance
        variance = state.variance[j] + each * each * chance * (1.0 - chance)
        if mean + state.risk * math.sqrt(variance) > memory:
            return False
    for j in range(last if add else 0):
        each = held + state.horizon[j]
        chance = min(alive_after(state, row.generated + state.horizon[j]) / now, 1.0)
        state.mean[j] += each * chance
        state.variance[j] += each * each * chance * (1.0 - chance)
    return True
