"""One iteration of SGLang's scheduler: ``get_next_batch_to_run`` of ``managers/scheduler.py``.

Last iteration's prefill joins the running batch. A prefill goes first, if one can be had; else
those who run decode, and where memory is short, some are retracted.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from typing import Any, NamedTuple

from kvsteady.simulate.doors import hold_tick, left_of, schedule_of
from kvsteady.simulate.engines.sglang_memo import count_in, count_out
from kvsteady.simulate.engines.sglang_prefill import fill_batch
from kvsteady.simulate.engines.sglang_retract import retract, tick_fits
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import insert_after, unlink
from kvsteady.simulate.radix.doors import keep, reorder
from kvsteady.simulate.records import DECODING, NONE
from kvsteady.simulate.state import RUNNING, WAITING


class Habits(NamedTuple):
    """`Sglang`'s options as numbers."""

    requests: int  # that may run
    prefill_tokens: int
    chunk: int  # 0: prompts are not cut
    mixed: bool
    most: int  # requests of one prefill
    interval: int
    interval_least: int
    init: float
    least: float
    decay: float
    memo: Any  # a MEMO record


@left_of(Habits)
def _left(engine, s, slot):
    engine.memo.gone += 1
    engine.memo.ended = s.clock.now
    if s.requests[slot].state == DECODING:
        count_out(engine, s, slot)


@schedule_of(Habits)
def _schedule(engine, memory, s):
    memo, clock = engine.memo, s.clock
    _wake_up(engine, s)
    _merge(engine, memory, s)
    if not _defers(engine, s):
        fill_batch(engine, memory, s)
    memo.extended, memo.chunks, memo.mixed = 0, clock.chunks, 0
    if clock.chunks > 0:
        memo.extended = 1
        memo.deferrals = engine.interval
        if engine.mixed and clock.decoding > 0 and tick_fits(memory, s):
            memo.mixed = 1
            _put_batch_first(s)
            reorder(memory, s, clock.chunks)
    elif clock.decoding > 0:
        _make_room(engine, memory, s)
    if clock.decoding > 0 and (clock.chunks == 0 or memo.mixed == 1):
        hold_tick(memory, s)
        clock.ticking = 1


@kernel
def _wake_up(engine, s):
    """The ratio starts over where nobody was there for a while (``Scheduler.on_idle``).

    An idle engine spins, so that no prefill is deferred any more.
    """
    first = s.lists[WAITING].first
    if s.lists[RUNNING].count > 0 or first == NONE:
        return
    if s.requests[first].arrival > engine.memo.ended:
        engine.memo.ratio = engine.init
        engine.memo.deferrals = 0


@kernel
def _merge(engine, memory, s):
    """Last iteration's prefill joins the running batch, a new one if there was none."""
    memo = engine.memo
    if memo.gone > 0:
        memo.full = 0
    if memo.extended == 1:
        if memo.chunked != NONE:
            keep(memory, s, memo.chunked)
        if memo.chunked != NONE or memo.mixed == 1 or memo.counted == 0:
            memo.full = 0
        for i in range(memo.chunks):
            if s.requests[s.chunks[i].slot].state == DECODING:
                count_in(engine, s, s.chunks[i].slot)
    memo.gone = 0


@kernel
def _defers(engine, s):
    """Whether the prefill has to wait (``--prefill-decode-interval``)."""
    memo = engine.memo
    if memo.deferrals > 0 and s.clock.decoding < engine.interval_least:
        memo.deferrals = 0
    if memo.deferrals == 0:
        return False
    memo.deferrals -= 1
    return True


@kernel
def _put_batch_first(s):
    """In a mixed batch the prefill stands before those who decode."""
    place = NONE
    for i in range(s.clock.chunks):
        slot = s.chunks[i].slot
        unlink(s, RUNNING, slot)
        insert_after(s, RUNNING, place, slot)
        place = slot


@kernel
def _make_room(engine, memory, s):
    """Retract where the tick does not fit; else let the ratio fall."""
    memo = engine.memo
    if tick_fits(memory, s):
        memo.ratio = max(memo.ratio - engine.decay, engine.least)
        return
    memo.full = 0
    retract(engine, memory, s)
    if s.lists[RUNNING].count + s.lists[WAITING].count == 0:
        memo.ratio = engine.init
