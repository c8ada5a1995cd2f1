"""Complete: tokens are delivered, prefills end, and who has all its output leaves."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.admission.view import COMPLETED as GONE_COMPLETED
from kvsteady.simulate.arriving import free_slot, put_out, return_turn
from kvsteady.simulate.decoding import begin_decoding, held, stop_decoding, tick, token_at
from kvsteady.simulate.doors import hold, left, release, settle
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import unlink
from kvsteady.simulate.records import COMPLETED, DECODING, LEAVING, NONE, WAITING
from kvsteady.simulate.regulating import note_gone
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE


@kernel
def complete(engine, memory, s):
    """End an iteration: the tick of those who decode, then the prefill chunks."""
    clock = s.clock
    if clock.ticking == 1:
        clock.all_decode += clock.decoding
        slot = tick(s)
        while slot != NONE:
            following = s.requests[slot].due_after
            _end(engine, memory, s, slot)
            slot = following
    for i in range(clock.chunks):
        _end_chunk(engine, memory, s, s.chunks[i].slot, s.chunks[i].tokens)
    settle(memory, s)
    clock.all_prefill += clock.prefill_tokens


@kernel
def _end_chunk(engine, memory, s, slot, tokens):
    """Add a chunk to a prefill; the last one brings a token, and the request decodes on."""
    r = s.requests[slot]
    r.computed += tokens
    if r.computed < r.target:
        return
    token_at(s, slot, s.clock.now)
    r.kept += 1
    if r.kept == r.output:
        _end(engine, memory, s, slot)
    else:
        begin_decoding(s, slot)


@kernel
def _end(engine, memory, s, slot):
    """A request has its last token: it leaves, at once or when the engine hears of it."""
    r, clock = s.requests[slot], s.clock
    if clock.late == 0:
        finish(engine, memory, s, slot)
        return
    r.blocks = -(-held(s, slot) // clock.block)
    if r.state == DECODING:
        stop_decoding(s, slot)
    r.state = LEAVING
    r.kept = r.output - 1  # as far as the engine knows
    r.due_after = clock.first_leaving if clock.leaving > 0 else NONE
    clock.first_leaving = slot
    clock.leaving += 1


@kernel
def hear(engine, memory, s):
    """Let those go who completed in the iteration before, also from the queue if evicted since."""
    clock = s.clock
    while clock.leaving > 0:
        slot = clock.first_leaving
        r = s.requests[slot]
        clock.first_leaving = r.due_after
        clock.leaving -= 1
        if r.state == LEAVING:
            hold(memory, s, slot, r.computed)  # a block that its last token filled is known now
        r.kept = r.output
        finish(engine, memory, s, slot)


@kernel
def finish(engine, memory, s, slot):
    """A request has its whole output: it leaves, and its memory is free."""
    r, clock = s.requests[slot], s.clock
    left(engine, s, slot)
    note_gone(s, GONE_COMPLETED, r.prompt, r.output, r.limit)
    if r.state != WAITING:
        release(memory, s, slot)
    if r.state == DECODING:
        stop_decoding(s, slot)
    unlink(s, QUEUE if r.state == WAITING else RUNNING, slot)
    clock.completed += 1
    clock.all_completed += 1
    clock.all_output += r.output
    put_out(s, slot, COMPLETED)
    return_turn(s, r.follow, r.think)
    free_slot(s, slot)
