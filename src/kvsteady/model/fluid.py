"""One iteration of the fluid model, as a kernel over flat arrays.

A cohort is what was admitted in one iteration. Its members share their age, an eviction cuts
them in proportion, so a cohort is one number: its amplitude, times the workload's survival
function for the members left and times the survival weights for the KV tokens they need. Memory
grows by one token per request and iteration, and shrinks where a class completes: a step costs
O(distinct outputs), whatever their length, and each cohort is evicted at most once.
"""

from __future__ import annotations

import numba
import numpy as np

# Memory counts as full from here on: a cut must not be triggered by the rounding of a sum.
FIT = 1.0 + 1e-11

# Columns of a recorded row, in both models.
ADMITTED, EVICTED, COMPLETED, MEMORY, RUNNING, EVICTED_TOKENS, WASTED_TOKENS = range(7)
COLUMNS = 7

# Whole-number state: iteration, bottom and top of the stack of cohorts.
TIME, BOTTOM, TOP = range(3)
# Real state: requests in memory, KV tokens the coming iteration needs, unused admissions.
COUNT, USED, CREDIT = range(3)


@numba.njit(cache=True)
def _left(birth, age, law, table):
    """Members of a cohort of an arbitrary start, per unit of amplitude, and their KV tokens."""
    outputs, _, prompt, _, _ = law
    members = 0.0
    need = 0.0
    for k in range(outputs.size):
        if outputs[k] > age:
            members += table[k, -birth]
            need += table[k, -birth] * (prompt[k] + age + 1)
    return members, need


@numba.njit(cache=True)
def run(law, pace, capacity, table, mixed, ring, births, clock, level, rows):
    """Evict, admit, execute, once per row of ``rows``, shape ``(n, 7)``; record each in it.

    ``law`` is (outputs, share, prompt, weights, survival); ``pace`` is (rate, depth). Cohorts
    with ``birth > mixed`` have the law's own mix, those of an arbitrary start have theirs in
    ``table[k, age at start]``. ``ring[birth & mask]`` holds amplitudes, ``births`` the stack of
    cohorts that are not empty, oldest at ``clock[BOTTOM]``, youngest under ``clock[TOP]``.
    The state is kept in local variables meanwhile: that alone makes the loop ten times faster.
    """
    outputs, share, prompt, weights, survival = law
    rate, depth = pace
    mask = ring.size - 1
    longest = weights.size
    now, bottom, top = clock[TIME], clock[BOTTOM], clock[TOP]
    count, used, credit = level[COUNT], level[USED], level[CREDIT]

    for i in range(rows.shape[0]):
        # Evict: the youngest cohorts leave until the rest fits; the last of them is cut to fit.
        evicted = 0.0
        evicted_tokens = 0.0
        wasted_tokens = 0.0
        while used > capacity * FIT and top > bottom:
            birth = births[(top - 1) & mask]
            slot = birth & mask
            age = now - birth
            if birth > mixed:
                members, need = survival[age] * ring[slot], weights[age] * ring[slot]
            else:
                members, need = _left(birth, age, law, table)
                members, need = members * ring[slot], need * ring[slot]
            excess = used - capacity
            if excess < need:
                cut = excess / need
                ring[slot] *= 1.0 - cut
                members *= cut
                need *= cut
                used = capacity
            else:
                ring[slot] = 0.0
                top -= 1
                used -= need
            count -= members
            evicted += members
            evicted_tokens += need - members
            wasted_tokens += members * age

        # Admit: only where nothing was evicted, fill what is free as far as the pace allows.
        credit = min(credit + rate, depth)
        admitted = 0.0
        if evicted == 0.0 and used < capacity:
            admitted = min((capacity - used) / weights[0], credit)
            credit -= admitted
            used += admitted * weights[0]
            count += admitted
        if now > 0:
            ring[now & mask] = admitted
        elif mixed == 0:
            for k in range(outputs.size):  # they join what the start already had at age 0
                table[k, 0] = table[k, 0] * ring[0] + admitted * share[k]
            ring[0] = 1.0
        else:
            ring[0] += admitted
        if admitted > 0.0 and not (top > bottom and births[(top - 1) & mask] == now):
            births[top & mask] = now
            top += 1
        memory = used
        running = count

        # Execute: everyone gains a token; who has all its output completes and frees its memory.
        completed = 0.0
        for k in range(outputs.size):
            birth = now + 1 - outputs[k]
            done = ring[birth & mask] * (share[k] if birth > mixed else table[k, -birth])
            completed += done
            used -= done * (prompt[k] + outputs[k])
        count -= completed
        used += count
        now += 1
        if top > bottom and births[bottom & mask] <= now - longest:
            ring[births[bottom & mask] & mask] = 0.0
            bottom += 1

        # Sums drift by rounding: take them anew once per ring, which costs O(1) per iteration.
        if now & mask == 0:
            count = 0.0
            used = 0.0
            for place in range(bottom, top):
                birth = births[place & mask]
                if birth > mixed:
                    members, need = survival[now - birth], weights[now - birth]
                else:
                    members, need = _left(birth, now - birth, law, table)
                count += members * ring[birth & mask]
                used += need * ring[birth & mask]

        rows[i, ADMITTED] = admitted
        rows[i, EVICTED] = evicted
        rows[i, COMPLETED] = completed
        rows[i, MEMORY] = memory
        rows[i, RUNNING] = running
        rows[i, EVICTED_TOKENS] = evicted_tokens
        rows[i, WASTED_TOKENS] = wasted_tokens

    clock[TIME], clock[BOTTOM], clock[TOP] = now, bottom, top
    level[COUNT], level[USED], level[CREDIT] = count, used, credit


@numba.njit(cache=True)
def seek(law, pace, capacity, table, mixed, ring, births, clock, level, tolerance, limit):
    """Brent's search for a recurring state; returns (period or 0, residual).

    Two states are the same when every cohort's amplitude and the unused admissions agree within
    ``tolerance`` requests.
    """
    mask = ring.size - 1
    longest = law[3].size
    row = np.empty((1, COLUMNS))
    anchor = np.empty(longest)
    for age in range(longest):
        anchor[age] = ring[(clock[TIME] - age) & mask]
    credit = level[CREDIT]
    steps = 0
    horizon = 1
    for _ in range(limit):
        run(law, pace, capacity, table, mixed, ring, births, clock, level, row)
        steps += 1
        # Unused admissions are part of the state; where they are unlimited they are equal.
        worst = 0.0 if level[CREDIT] == credit else abs(level[CREDIT] - credit)
        # A slot still to be written at the coming iteration counts as age 0: empty in both.
        for age in range(1, longest):
            if worst > tolerance:
                break
            worst = max(worst, abs(ring[(clock[TIME] - age) & mask] - anchor[age]))
        if worst <= tolerance:
            return steps, worst
        if steps == horizon:
            for age in range(longest):
                anchor[age] = ring[(clock[TIME] - age) & mask]
            credit = level[CREDIT]
            horizon *= 2
            steps = 0
    return 0, np.inf
