"""One iteration of the fluid model in which evicted requests keep their tokens.

Evicted requests wait at the queue's head, the most advanced first. A cut leaves both parts of a
cohort with the law's own mix, so a waiting cohort is two numbers, its age and its amplitude, and
the waiting ones form a stack: who is evicted last has more tokens than all that wait already. A
step costs O(distinct outputs) plus the cohorts that move.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numba
import numpy as np

from kvsteady.model.fluid import (
    ADMITTED,
    BOTTOM,
    COMPLETED,
    COUNT,
    CREDIT,
    EVICTED,
    EVICTED_TOKENS,
    FIT,
    MEMORY,
    RUNNING,
    TIME,
    TOP,
    USED,
    WASTED_TOKENS,
)
from kvsteady.model.requeue import COLUMNS, PROMPT_TOKENS, RESUMED, RESUMED_TOKENS, WAITING

# After the cells that the fluid model has: height of the stack; requests that wait.
HEIGHT = 3
EVICTED_WAITING = 3


@numba.njit(cache=True)
def _evict(law, capacity, ring, births, stack, clock, level, row):
    """The youngest cohorts go on the stack until the rest fits; the last of them is cut."""
    _, _, _, weights, survival = law
    mask = ring.size - 1
    while level[USED] > capacity * FIT and clock[TOP] > clock[BOTTOM]:
        birth = births[(clock[TOP] - 1) & mask]
        age = clock[TIME] - birth
        amplitude = ring[birth & mask]
        excess = level[USED] - capacity
        if excess < weights[age] * amplitude:
            amplitude = excess / weights[age]
            ring[birth & mask] -= amplitude
            level[USED] = capacity
        else:
            ring[birth & mask] = 0.0
            clock[TOP] -= 1
            level[USED] -= weights[age] * amplitude
        stack[clock[HEIGHT], 0], stack[clock[HEIGHT], 1] = age, amplitude
        clock[HEIGHT] += 1
        members = survival[age] * amplitude
        level[EVICTED_WAITING] += members
        level[COUNT] -= members
        row[EVICTED] += members
        row[EVICTED_TOKENS] += (weights[age] - survival[age]) * amplitude


@numba.njit(cache=True)
def _admit(law, capacity, ring, births, stack, clock, level, row):
    """Who waits, then fresh requests, as far as memory and pace allow."""
    _, share, prompt, weights, survival = law
    mask = ring.size - 1
    more = True
    while more and level[USED] < capacity and level[CREDIT] > 0.0:
        fresh = clock[HEIGHT] == 0
        age = 0 if fresh else int(stack[clock[HEIGHT] - 1, 0])
        amplitude = min((capacity - level[USED]) / weights[age], level[CREDIT] / survival[age])
        more = not fresh and stack[clock[HEIGHT] - 1, 1] <= amplitude  # all of that cohort fits
        if more:
            clock[HEIGHT] -= 1
            amplitude = stack[clock[HEIGHT], 1]
        elif not fresh:
            stack[clock[HEIGHT] - 1, 1] -= amplitude
        members = survival[age] * amplitude
        held = (weights[age] - survival[age]) * amplitude
        if fresh:
            row[PROMPT_TOKENS] = amplitude * (share * prompt).sum()
        else:
            row[RESUMED] += members
            row[RESUMED_TOKENS] += held
            level[EVICTED_WAITING] -= members
        row[ADMITTED] += members
        level[CREDIT] -= members
        level[COUNT] += members
        level[USED] += members + held
        birth = clock[TIME] - age
        ring[birth & mask] += amplitude
        if not (clock[TOP] > clock[BOTTOM] and births[(clock[TOP] - 1) & mask] == birth):
            births[clock[TOP] & mask] = birth
            clock[TOP] += 1


@numba.njit(cache=True)
def _execute(law, ring, births, clock, level, row):
    """Everyone gains a token; who has all its output completes and frees its memory."""
    outputs, share, prompt, weights, _ = law
    mask = ring.size - 1
    for k in range(outputs.size):
        done = ring[(clock[TIME] + 1 - outputs[k]) & mask] * share[k]
        row[COMPLETED] += done
        level[USED] -= done * (prompt[k] + outputs[k])
    level[COUNT] -= row[COMPLETED]
    level[USED] += level[COUNT]
    clock[TIME] += 1
    oldest = births[clock[BOTTOM] & mask]
    if clock[TOP] > clock[BOTTOM] and oldest <= clock[TIME] - weights.size:
        ring[oldest & mask] = 0.0
        clock[BOTTOM] += 1


@numba.njit(cache=True)
def _sum_anew(law, ring, births, stack, clock, level):
    """Take the sums anew: they drift by rounding."""
    _, _, _, weights, survival = law
    mask = ring.size - 1
    level[COUNT] = level[USED] = level[EVICTED_WAITING] = 0.0
    for place in range(clock[BOTTOM], clock[TOP]):
        birth = births[place & mask]
        level[COUNT] += survival[clock[TIME] - birth] * ring[birth & mask]
        level[USED] += weights[clock[TIME] - birth] * ring[birth & mask]
    for place in range(clock[HEIGHT]):
        level[EVICTED_WAITING] += survival[int(stack[place, 0])] * stack[place, 1]


@numba.njit(cache=True)
def run(law, pace, capacity, ring, births, stack, clock, level, rows):
    """Evict, admit, execute, once per row of ``rows``, shape ``(n, 11)``; record each in it.

    As `fluid.run` with cohorts of the law's own mix; ``stack[j]`` is (age, amplitude) of the
    waiting ones, the next to be admitted on top, under ``clock[HEIGHT]``.
    """
    rate, depth = pace
    for i in range(rows.shape[0]):
        row = rows[i]
        row[:] = 0.0
        _evict(law, capacity, ring, births, stack, clock, level, row)
        level[CREDIT] = min(level[CREDIT] + rate, depth)
        if row[EVICTED] == 0.0:
            _admit(law, capacity, ring, births, stack, clock, level, row)
        row[MEMORY], row[RUNNING] = level[USED], level[COUNT]
        row[WAITING] = level[EVICTED_WAITING]
        row[WASTED_TOKENS] = 0.0  # nobody decodes a token twice
        _execute(law, ring, births, clock, level, row)
        if clock[TIME] & (ring.size - 1) == 0:  # once per ring: O(1) per iteration
            _sum_anew(law, ring, births, stack, clock, level)


@numba.njit(cache=True)
def _photograph(ring, stack, clock, running, waiting):
    """Write the amplitudes by age: in memory, from age 1 on, and waiting."""
    for age in range(1, running.size):
        running[age] = ring[(clock[TIME] - age) & (ring.size - 1)]
    waiting[:] = 0.0
    for place in range(clock[HEIGHT]):
        waiting[int(stack[place, 0])] += stack[place, 1]


@numba.njit(cache=True)
def seek(law, pace, capacity, ring, births, stack, clock, level, tolerance, limit):
    """Brent's search for a recurring state; returns (period or 0, residual).

    Two states are the same when every cohort's amplitude, in memory and waiting, and the unused
    admissions agree within ``tolerance`` requests.
    """
    row = np.empty((1, COLUMNS))
    anchor, here = np.zeros((2, law[3].size)), np.zeros((2, law[3].size))
    _photograph(ring, stack, clock, anchor[0], anchor[1])
    credit = level[CREDIT]
    steps, horizon = 0, 1
    for _ in range(limit):
        run(law, pace, capacity, ring, births, stack, clock, level, row)
        steps += 1
        # Unused admissions are part of the state; where they are unlimited they are equal.
        worst = 0.0 if level[CREDIT] == credit else abs(level[CREDIT] - credit)
        if worst <= tolerance:
            _photograph(ring, stack, clock, here[0], here[1])
            worst = max(worst, np.abs(here - anchor).max())
        if worst <= tolerance:
            return steps, worst
        if steps == horizon:
            _photograph(ring, stack, clock, anchor[0], anchor[1])
            credit = level[CREDIT]
            horizon *= 2
            steps = 0
    return 0, np.inf
