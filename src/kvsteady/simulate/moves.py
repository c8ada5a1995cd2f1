"""What an engine's schedule does to a request: admit it, give it a chunk of prefill, evict it."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.admission.view import EVICTED
from kvsteady.model.integer import UNIT
from kvsteady.simulate.arriving import free_slot
from kvsteady.simulate.decoding import begin_decoding, generated, held, stop_decoding
from kvsteady.simulate.doors import release
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import append, unlink
from kvsteady.simulate.records import DECODING, HELD, PREFILLING, WAITING
from kvsteady.simulate.regulating import note_gone
from kvsteady.simulate.state import RESTART, RUNNING, SWAP
from kvsteady.simulate.state import WAITING as QUEUE


@kernel
def may_admit(s):
    """Whether the pace of the admission policy allows one more."""
    return s.clock.credit >= UNIT


@kernel
def admit(s, slot, computed):
    """Move a waiting request to the tail of the running ones, ``computed`` tokens of KV in hand.

    Its prefill ends with prompt + generated tokens. The blocks are the caller's to take.
    """
    r, clock = s.requests[slot], s.clock
    unlink(s, QUEUE, slot)
    append(s, RUNNING, slot)
    clock.credit -= UNIT
    clock.admitted += 1
    r.entered = clock.entries
    clock.entries += 1
    if r.scheduled < 0:
        r.scheduled = clock.now
        r.hit = computed
        clock.all_hits += computed
    r.target = r.prompt + r.kept
    r.computed = computed
    r.state = PREFILLING
    # An engine that knows of KV computed elsewhere has it in hand; others run through it for free.
    r.loaded = 0 if computed > 0 else min(r.loaded, r.target - 1)
    # What an eviction threw out and the cache does not hold is computed again.
    again = max(min(r.lost, r.target) - computed, 0) if r.lost > 0 else 0
    r.lost = 0
    r.recomputed += again
    clock.recomputed_tokens += again


@kernel
def prefill(s, slot, tokens):
    """Compute ``tokens`` more of a prefill in this iteration; `complete` adds them up."""
    r, clock = s.requests[slot], s.clock
    chunk = s.chunks[clock.chunks]
    chunk.slot, chunk.tokens = slot, tokens
    clock.chunks += 1
    here = tokens
    if r.loaded > 0:
        here -= min(tokens, r.loaded)
        r.loaded -= tokens - here
    clock.prefill_tokens += here
    clock.prefill_pairs += here * (r.computed + tokens - 0.5 * here)


@kernel
def swap_in(s, slot):
    """Admit a request with the KV that it was swapped out with, if any; returns its tokens."""
    tokens = s.requests[slot].computed
    s.clock.swapped_tokens += tokens
    admit(s, slot, tokens)
    return tokens


@kernel
def evict(memory, s, slot, name):
    """Take a request out of list ``name`` and its KV out of memory; it waits in no list after.

    What it keeps is the run's eviction semantics: nothing, its generated tokens, or all (swap).
    """
    r, clock = s.requests[slot], s.clock
    tokens = held(s, slot)
    output = generated(s, slot)
    release(memory, s, slot)
    if r.state == DECODING:
        stop_decoding(s, slot)
    unlink(s, name, slot)
    note_gone(s, EVICTED, r.prompt, output, r.limit)
    r.state = WAITING
    r.preemptions += 1
    r.loaded = 0
    clock.preempted += 1
    if clock.eviction == SWAP:
        clock.swapped_tokens += tokens
        r.computed = tokens
        return
    # A prefill that was evicted half way has to be computed again as far as it came.
    r.lost = tokens
    r.computed = 0
    if clock.eviction == RESTART:
        clock.all_wasted += output
        r.kept = 0
    r.target = r.prompt + r.kept


@kernel
def give_back(s, slot):
    """Send an evicted request to the end of a queue that never ends: it leaves the engine."""
    s.clock.all_returned += 1
    free_slot(s, slot)


@kernel
def hold_back(s, slot):
    """Keep a request that decodes from the coming tick; it stays in memory and in its list."""
    s.requests[slot].blocks = -(-held(s, slot) // s.clock.block)
    stop_decoding(s, slot)


@kernel
def go_on(s, slot):
    """Let a request that was held back decode again."""
    if s.requests[slot].state == HELD:
        begin_decoding(s, slot)
