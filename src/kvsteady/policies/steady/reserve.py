"""Never slower than reserving max_tokens for everybody.

Where few run, a whole request is a large part of memory and a plan for real numbers of them says
less than that: with room for n requests to their ends, one in every ``life / n`` iterations can
always be had.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.spans import left_of
from kvsteady.policies.steady.state import UNKNOWN

# Several that come at once end at once, which matters less, the fewer there are: with room for n
# √n turns are kept for later, or 16 / n if that is less.
_FEW = 16.0


@kernel
def reserved(state, view, batch, ticks):
    """How many of the queue's head are due, and fit if all live as long as they may."""
    memo, facts = state.memo, view.facts
    memory = own_blocks(memo, facts)
    # Where a prefill has an iteration of its own, the first token comes of it.
    life = max(memo.life - (1.0 if memo.apart > UNKNOWN else 0.0), 1.0)
    many = max(memory / at_its_end(state, facts, view.waiting[0]), 1.0)
    kept = max(batch, min(math.sqrt(many), _FEW / many))
    memo.reserved = min(memo.reserved, kept) + ticks * many / life
    return fit_whole(state, view, min(int(memo.reserved), facts.shown_waiting))


@kernel
def fit_whole(state, view, most):
    """How many of the queue's head, up to ``most``, fit if all live as long as they may."""
    memo, facts = state.memo, view.facts
    memory = own_blocks(memo, facts)
    if most == 0:
        return 0
    held = 0
    for i in range(facts.shown_running):
        held += at_its_end(state, facts, view.running[i])
        if held >= memory:
            return 0
    for i in range(most):
        held += at_its_end(state, facts, view.waiting[i])
        if held > memory:
            return i
    return most


@kernel
def own_blocks(memo, facts):
    """Blocks for what requests have to themselves."""
    return facts.blocks - memo.common / facts.block


@kernel
def at_its_end(state, facts, row):
    """Blocks that nobody else holds."""
    own = row.prompt - row.shared + row.generated + left_of(state, row) - facts.unwritten
    return -(-own // facts.block)
