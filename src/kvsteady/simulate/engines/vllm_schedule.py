"""One iteration of vLLM V1's scheduler: ``Scheduler.schedule`` of ``vllm/v1/core/sched``.

Running requests first, in the order in which they were admitted; where memory is short, the last
one is preempted (or the least important one). Then the queue's head is admitted, unless somebody
was preempted. Where everyone who decodes gets a token and memory suffices, nobody is looked at one
by one but those in the middle of a prefill.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from typing import Any, NamedTuple

from kvsteady.simulate.completing import hear
from kvsteady.simulate.counted import blocks_for
from kvsteady.simulate.decoding import crossings, held
from kvsteady.simulate.doors import (
    eager,
    fits,
    hits,
    hold,
    hold_tick,
    left_of,
    ordered,
    schedule_of,
)
from kvsteady.simulate.engines.vllm_queue import preempted_next, put_back, put_in_order
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.moves import admit, evict, go_on, hold_back, may_admit, prefill
from kvsteady.simulate.records import DECODING, HELD, LEAVING, NONE, PREFILLING
from kvsteady.simulate.state import RUNNING, WAITING


class Habits(NamedTuple):
    """`Vllm`'s options as numbers; ``memo[0]`` is the last request that was sorted in."""

    seqs: int  # requests that may run
    budget: int  # tokens per iteration
    batched: int  # max_num_batched_tokens
    threshold: int  # long_prefill_token_threshold
    adaptive: bool
    chunked: bool
    priority: bool
    reserve: bool  # room for all tokens of a request before its first chunk
    watermark: float
    persistent: bool  # the pass goes on after a request that preempted itself
    late: bool  # asynchronous scheduling
    memo: Any


@left_of(Habits)
def _left(engine, s, slot):
    return


@schedule_of(Habits)
def _schedule(engine, memory, s):
    if engine.priority:
        engine.memo[0] = put_in_order(s, engine.memo[0])
    longest = _longest_chunk(engine, s)
    first, ahead, left, victim = _make_room(engine, memory, s, longest)
    one_by_one = left < 0
    if one_by_one:
        left = _walk(engine, memory, s, longest)
    hold_tick(memory, s)
    s.clock.ticking = 1
    if not one_by_one:
        _run_prefills(memory, s, first, victim, engine.budget - ahead, longest)
    if victim != NONE:
        evict(memory, s, victim, RUNNING)
        put_back(s, victim, False)
    if s.clock.preempted == 0:
        _admit(engine, memory, s, longest, left)
    if engine.late:
        s.clock.late = 1
        hear(engine, memory, s)


@kernel
def _longest_chunk(engine, s):
    """Tokens that one request may prefill; whoever is alone is not limited."""
    requests = s.lists[RUNNING].count + s.lists[WAITING].count
    if engine.threshold == 0 or requests <= 1:
        return s.clock.total * s.clock.block
    if engine.adaptive:
        return max(engine.threshold, engine.batched // requests)
    return engine.threshold


@kernel
def _make_room(engine, memory, s, longest):
    """Preempt until the running requests have the blocks they need.

    Returns the first in the middle of its prefill, how many decode before it, the budget's rest,
    which is negative where the running requests have to be looked at one by one, and who is to be
    preempted once the others have theirs.
    """
    clock = s.clock
    while True:
        first, ahead = _first_prefill(s)
        blocks, left, lasts = _demand(engine, s, first, ahead, longest)
        by_rank = engine.priority or clock.victim > 0
        if left < 0 or (by_rank and blocks > clock.free):
            return first, ahead, -1, NONE
        if ordered(memory) and ahead < clock.decoding:
            # Equal content enters a prefix cache in the order of the batch.
            return first, ahead, -1, NONE
        if blocks <= clock.free:
            return first, ahead, left, NONE
        # First come, first served: the blocks lack until the last ones are gone, whoever it is
        # in the pass that finds none left.
        victim = s.lists[RUNNING].last
        if eager(memory) and blocks - lasts <= clock.free:
            # It is the last one itself, and the others take theirs before it leaves its own.
            if s.requests[victim].state == DECODING:
                hold_back(s, victim)
            return first, ahead, left, victim
        evict(memory, s, victim, RUNNING)
        put_back(s, victim, False)


@kernel
def _run_prefills(memory, s, first, end, budget, longest):
    """Give those in the middle of their prefill a chunk, from ``first`` on, up to ``end``."""
    slot = first
    while slot != NONE and slot != end:
        r = s.requests[slot]
        tokens = 1 if r.state == DECODING else 0
        if r.state == PREFILLING:
            tokens = min(r.target - r.computed, longest, budget)
            if tokens > 0:
                hold(memory, s, slot, r.computed + tokens)
                prefill(s, slot, tokens)
        budget -= tokens
        slot = r.after


@kernel
def _first_prefill(s):
    """Return the first request in the middle of its prefill, and how many decode before it.

    They stand near the tail. Who was held back from decoding before goes on.
    """
    requests, clock = s.requests, s.clock
    missing, slot = s.lists[RUNNING].count - clock.decoding, clock.first_leaving
    for _ in range(clock.leaving):
        if requests[slot].state == LEAVING:  # else it was evicted before vLLM heard of its end
            missing -= 1
        slot = requests[slot].due_after
    slot, first = s.lists[RUNNING].last, NONE
    passed = behind = 0
    while missing > 0:
        if requests[slot].state == DECODING:
            passed += 1
        elif requests[slot].state == HELD:
            go_on(s, slot)
            missing -= 1
            passed += 1
        elif requests[slot].state == PREFILLING:
            missing -= 1
            first, behind = slot, passed
        slot = requests[slot].before
    return first, clock.decoding - behind


@kernel
def _demand(engine, s, first, ahead, longest):
    """Blocks that the running requests lack, what they leave of the budget, and the last one's.

    The budget is negative where somebody that decodes would get no token.
    """
    blocks, left = crossings(s), engine.budget - ahead
    last = s.lists[RUNNING].last
    lasts = _crosses(s, last) if last != NONE and s.requests[last].state == DECODING else 0
    slot = first
    while slot != NONE and left >= 0:
        r = s.requests[slot]
        if r.state == DECODING:
            left -= 1
        elif r.state == PREFILLING:
            tokens = min(r.target - r.computed, longest, left)
            more = max(blocks_for(s, r.computed + tokens) - r.blocks, 0)
            blocks += more
            left -= tokens
            if slot == last:
                lasts = more
        slot = r.after
    return blocks, left, lasts


@kernel
def _walk(engine, memory, s, longest):
    """Give tokens to one running request after the other; returns the budget's rest."""
    requests = s.requests
    left = engine.budget
    taken = 0  # blocks that those who decode have been promised
    slot = s.lists[RUNNING].first
    while slot != NONE and left > 0:
        r = requests[slot]
        following = r.after
        if r.state == LEAVING:
            slot = following
            continue
        decodes = r.state == DECODING
        tokens = 1 if decodes else min(r.target - r.computed, longest, left)
        after = held(s, slot) + tokens
        preempted = False
        while not preempted and not fits(memory, s, slot, after, taken):
            victim, planned = preempted_next(engine, memory, s, slot)
            if planned and requests[victim].state == DECODING:
                left += 1
                if not eager(memory):
                    taken -= _crosses(s, victim)
            elif planned:
                left += _take_back(s, victim)
            if victim == following:
                following = requests[victim].after
            evict(memory, s, victim, RUNNING)
            put_back(s, victim, engine.priority)
            preempted = victim == slot
        if preempted:
            slot = following
            if engine.persistent or s.clock.victim > 0:
                continue
            break
        left -= tokens
        if decodes and not eager(memory):
            taken += _crosses(s, slot)
        else:
            hold(memory, s, slot, after)
        if not decodes:
            prefill(s, slot, tokens)
        slot = following
    while slot != NONE:  # they get nothing in this iteration
        if requests[slot].state == DECODING:
            hold_back(s, slot)
            hold(memory, s, slot, held(s, slot))  # a block that it has filled is known by now
        slot = requests[slot].after
    return left


@kernel
def _crosses(s, slot):
    """1 where the next token of a request that decodes needs a new block."""
    return 1 if held(s, slot) % s.clock.block == 0 else 0


@kernel
def _take_back(s, slot):
    """Drop the chunk that a request was given in this iteration; returns its tokens."""
    r, clock = s.requests[slot], s.clock
    tokens = 0
    kept = 0
    for i in range(clock.chunks):
        if s.chunks[i].slot == slot:
            tokens = s.chunks[i].tokens
        else:
            s.chunks[kept].slot, s.chunks[kept].tokens = s.chunks[i].slot, s.chunks[i].tokens
            kept += 1
    if kept < clock.chunks:
        clock.chunks = kept
        clock.prefill_tokens -= tokens
        clock.prefill_pairs -= tokens * (r.computed + 0.5 * tokens)
    return tokens


@kernel
def _admit(engine, memory, s, longest, left):
    """Admit from the queue's head while places, budget and memory allow."""
    clock = s.clock
    # vLLM counts its null block in.
    watermark = int(engine.watermark * (clock.total + 1))
    slot = s.lists[WAITING].first
    while left > 0 and slot != NONE and s.lists[RUNNING].count < engine.seqs and may_admit(s):
        r = s.requests[slot]
        whole = r.prompt + r.kept
        spare = watermark if s.lists[RUNNING].count > 0 else 0
        if engine.reserve and not fits(memory, s, slot, whole, spare):
            break
        cached = hits(memory, s, slot)
        if r.scheduled < 0 and r.loaded > cached:
            cached = min(r.loaded, whole - 1)  # the last one is computed, for its logits
        if r.computed > cached:  # it was swapped out with so many
            clock.swapped_tokens += r.computed - cached  # what the cache holds need not move
            cached = r.computed
        tokens = min(whole - cached, longest)
        if tokens > left:
            if not engine.chunked:
                break
            tokens = left
        if not engine.reserve and not fits(memory, s, slot, cached + tokens, spare):
            break
        hold(memory, s, slot, cached + tokens)
        following = r.after
        admit(s, slot, cached)
        prefill(s, slot, tokens)
        left -= tokens
        slot = following
