"""Whom to evict: the engine's own choice, or by the order that the admission policy carries."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.admission import Victim
from kvsteady.errors import InputError
from kvsteady.simulate.decoding import generated, held
from kvsteady.simulate.doors import shared
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import DECODING, NONE
from kvsteady.simulate.state import RUNNING

# `CLOCK.victim`; 0 is the engine's own rule.
_LAST, _FEWEST, _CHEAPEST, _LARGEST = range(1, 5)
_CODES = {
    None: 0,
    Victim.LAST_ADMITTED: _LAST,
    Victim.FEWEST_GENERATED: _FEWEST,
    Victim.MOST_RECOMPUTABLE: _CHEAPEST,
    Victim.LARGEST_MEMORY: _LARGEST,
}


def victim_code(victim: Victim | None, engine: Engine) -> int:
    """`CLOCK.victim` for an order; raises `InputError` where the engine takes none."""
    if victim is not None and not getattr(engine, "takes_victims", False):
        raise InputError(
            f"{engine.name} evicts by a rule of its own",
            field="victim",
            allowed="none; or vllm, sglang, paper",
        )
    return _CODES[victim]


@kernel
def victim(memory, s, own, everyone):
    """Return whom to evict next: ``own``, the engine's choice, where no order is given.

    Else the first by the order of those who decode, or of ``everyone`` in memory: also who is in
    the middle of its prefill, or has its last token and the engine does not know it yet. Costs a
    look at each.
    """
    order = s.clock.victim
    if order == 0:
        return own
    best, most = NONE, 0
    slot = s.lists[RUNNING].first
    while slot != NONE:
        r = s.requests[slot]
        if everyone or r.state == DECODING:
            merit = _merit(memory, s, slot, order)
            later = best != NONE and r.entered > s.requests[best].entered
            if best == NONE or merit > most or (merit == most and later):
                best, most = slot, merit
        slot = r.after
    return own if best == NONE else best


@kernel
def _merit(memory, s, slot, order):
    """The larger, the sooner it goes."""
    if order == _LAST:
        return s.requests[slot].entered
    if order == _FEWEST:
        return -generated(s, slot)
    alone = held(s, slot) - shared(memory, s, slot)
    return -alone if order == _CHEAPEST else alone
