"""Time as a pace counts it."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel


@kernel
def ticks_since(facts, before):
    """Decode iterations since `FACTS.ticks` was ``before``: what a rate per iteration refills by.

    Where nobody runs, nobody's token marks the time, and the iteration counts as one.
    """
    ticks = facts.ticks - before
    return max(ticks, 1) if facts.running == 0 else ticks
