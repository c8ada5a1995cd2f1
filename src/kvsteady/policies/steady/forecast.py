"""Forecast the memory of those who run: its mean and variance at each look-ahead time.

Requests are put in bins by age, so that a forecast costs O(running) + O(bins × times).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.state import AGES, CELLS, ENDS, FARTHEST

_WAITING = 32  # of the queue's head, whose ends are looked at


@kernel
def _between(values, tokens, width):
    """Value at so many tokens of what is known at the ends of cells, between them on a line."""
    place = tokens / width
    cell = int(place)
    if cell >= CELLS:
        return values[CELLS]
    rest = place - cell
    return values[cell] * (1.0 - rest) + values[cell + 1] * rest


@kernel
def alive_after(state, generated):
    """P(output > generated)."""
    return _between(state.survival, generated, state.memo.width)


@kernel
def _area(state, tokens):
    """Integral of P(output > n) over n from 0 to ``tokens``."""
    return _between(state.area, tokens, state.memo.width)


@kernel
def choose_times(state, view):
    """Choose look-ahead times, and return how many: memory peaks just before requests end.

    With up to ENDS distinct ends, as far as is known, all of them are looked at; of more, some. In
    between times double.
    """
    place = state.place
    longest = state.memo.longest if state.memo.mass > 0.0 else FARTHEST
    farthest = 1
    shown = view.facts.shown_running + min(view.facts.shown_waiting, _WAITING)
    for i in range(shown):
        left = _left(view, i, longest)
        farthest = max(farthest, left)
    for ahead in range(farthest + 1):
        place[ahead] = 0
    ends = 0
    for i in range(shown):
        left = _left(view, i, longest)
        ends += 1 - place[left - 1]
        place[left - 1] = 1
    # Of the ends take each so-many-th, the last one always.
    each = max(1, -(-ends // ENDS))
    times, seen, soon = 0, 0, 0
    for ahead in range(farthest):
        end = place[ahead] == 1
        seen += 1 if end else 0
        place[ahead] = times
        taken = end and (ends - seen) % each == 0
        if ahead == soon:
            taken = True
            soon = max(soon + 1, 2 * soon)
        if taken and times < state.horizon.size:
            state.horizon[times] = ahead
            times += 1
    place[farthest] = times
    return times


@kernel
def _left(view, i, longest):
    """Iterations that the i-th request may live, of those who run and then of those who wait."""
    many = view.facts.shown_running
    row = view.running[i] if i < many else view.waiting[i - many]
    # A max_tokens far beyond all that was seen says nothing of the end.
    end = row.limit if row.limit <= 2 * longest + 256 else longest
    return min(max(end - row.generated, 1) + view.facts.late, FARTHEST)


@kernel
def last_time(state, view, row, times):
    """How many look-ahead times come before a request ends by its max_tokens."""
    left = max(row.limit - row.generated, 1) + view.facts.late
    if times == 0 or left > state.horizon[times - 1]:
        return times
    return state.place[left]


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
        last = last_time(state, view, row, times)
        ages[a] += row.generated
        tokens[a, last] += row.prompt + row.generated + waste
        count[a, last] += 1.0
    for j in range(times):
        state.mean[j] = state.variance[j] = 0.0
    wide, alike = span / AGES, span <= AGES
    for a in range(AGES):
        held = many = 0.0
        for j in range(times + 1):
            many += count[a, j]
        if many == 0.0:
            continue
        age = ages[a] / many
        # Ages of a bin are taken as spread over it, or all would seem to end together.
        low, high = max(age - 0.5 * wide, 0.0), age + 0.5 * wide
        now = alive_after(state, age) if alike else _area(state, high) - _area(state, low)
        once = 1.0 / max(now, 1e-12)
        many = 0.0
        for j in range(times, 0, -1):  # those with a later last time are alive at this one
            many += count[a, j]
            held += tokens[a, j]
            if many > 0.0:
                ahead = state.horizon[j - 1]
                older = max(ahead - facts.late, 0)
                if alike:
                    chance = alive_after(state, age + older) * once
                else:
                    chance = (_area(state, high + older) - _area(state, low + older)) * once
                then = held + many * ahead
                state.mean[j - 1] += then * chance
                state.variance[j - 1] += then * then * chance * (1.0 - chance) / many


@kernel
def fits_safely(state, view, row, times, add):
    """Whether one more leaves the forecast below memory; if so and ``add``, it is counted in."""
    memo, facts = state.memo, view.facts
    memory = facts.blocks * facts.block
    held = row.prompt + row.generated + 0.5 * (facts.block - 1) + 1 - memo.unwritten
    last = last_time(state, view, row, times)
    now = max(alive_after(state, row.generated), 1e-12)
    for j in range(last):
        each = held + state.horizon[j]
        older = row.generated + max(state.horizon[j] - facts.late, 0)
        chance = min(alive_after(state, older) / now, 1.0)
        mean = state.mean[j] + each * chance
        variance = state.variance[j] + each * each * chance * (1.0 - chance)
        if mean + state.risk * math.sqrt(variance) > memory:
            return False
    for j in range(last if add else 0):
        each = held + state.horizon[j]
        older = row.generated + max(state.horizon[j] - facts.late, 0)
        chance = min(alive_after(state, older) / now, 1.0)
        state.mean[j] += each * chance
        state.variance[j] += each * each * chance * (1.0 - chance)
    return True
