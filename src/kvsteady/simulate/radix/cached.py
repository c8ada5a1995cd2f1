"""The tree behind the doors of memory: what happens to requests, in terms of nodes.

After SGLang 0.5.23: ``mem_cache/unified_radix_cache.py`` (`checkpoint_into_tree`), ``common.py``
(`release_kv_cache`) and ``allocation.py``. A request that decodes is not touched: what it generates
enters the tree when it completes.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.counted import blocks_for, blocks_of
from kvsteady.simulate.decoding import crossings, generated
from kvsteady.simulate.doors import (
    fits_of,
    found_of,
    hits_of,
    hold_of,
    hold_tick_of,
    release_of,
    settle_of,
    shared_of,
)
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.radix.doors import (
    hold_chunks_of,
    idle_hits_of,
    keep_of,
    make_room_of,
    refresh_of,
    reorder_of,
)
from kvsteady.simulate.radix.leaves import evict_until
from kvsteady.simulate.radix.nodes import (
    idle_above,
    insert,
    lock,
    locked_above,
    match,
    peek,
    unlock,
)
from kvsteady.simulate.radix.tree import ROOT, Radix
from kvsteady.simulate.records import DECODING, NONE, WAITING
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE

# Passes between two in which the head of the queue counts as used, and how many that is
# (WAITING_PREFIX_REFRESH_INTERVAL, WAITING_QUEUE_PREFIX_MATCH_MAX).
_REFRESH_EVERY = 32
_REFRESHED = 128


@hits_of(Radix)
def _hits(memory, s, slot):
    book, r = memory.book, s.requests[slot]
    book.slot = slot
    book.node = match(memory, s, slot, (r.prompt + r.kept - 1) // s.clock.block)
    book.found_idle = idle_above(memory, book.node)
    return book.found * s.clock.block


@found_of(Radix)
def _found(memory, s, slot):
    r = s.requests[slot]
    if r.key_count == 0 and r.preemptions == 0:
        return 0, 0
    pages, locked = peek(memory, s, slot, (r.prompt + r.kept - 1) // s.clock.block)
    return pages * s.clock.block, locked * s.clock.block


@shared_of(Radix)
def _shared(memory, s, slot):
    if memory.book.span == 0:
        return 0
    return locked_above(memory, memory.seats[slot].node) * s.clock.block


@idle_hits_of(Radix)
def _idle_hits(memory, s, slot):
    return memory.book.found_idle * s.clock.block


@fits_of(Radix)
def _fits(memory, s, slot, tokens, spare):
    book, more = memory.book, blocks_for(s, tokens)
    if s.requests[slot].state != WAITING:
        return more - blocks_of(s, slot) + spare <= s.clock.free
    return more - book.found + book.found_idle + spare <= s.clock.free


@hold_of(Radix)
def _hold(memory, s, slot, tokens):
    book, r = memory.book, s.requests[slot]
    if r.state == WAITING:
        seat = memory.seats[slot]
        seat.node, seat.shared = book.node, book.found
        seat.turn = book.back
        seat.leaving = 0
        book.back += 1
        book.all_found += book.found
        lock(memory, s, book.node)
        r.blocks = book.found
    more = max(blocks_for(s, tokens) - blocks_of(s, slot), 0)
    r.blocks += more
    book.taking += more
    s.clock.free -= more


@hold_chunks_of(Radix)
def _hold_chunks(memory, s):
    book, tokens = memory.book, 0
    for i in range(s.clock.chunks):
        tokens += s.chunks[i].tokens
    # With pages of more than a token SGLang counts one more for each request, just in case.
    pages = blocks_for(s, tokens) + (s.clock.chunks if s.clock.block > 1 else 0)
    evict_until(memory, max(pages, book.taking))  # more are taken where KV is swapped in
    book.bare -= book.taking
    book.taking = 0


@hold_tick_of(Radix)
def _hold_tick(memory, s):
    # A page for everyone, whether or not they need one.
    evict_until(memory, s.clock.decoding)
    pages = crossings(s)
    memory.book.bare -= pages
    s.clock.free -= pages


@make_room_of(Radix)
def _make_room(memory, s, blocks):
    evict_until(memory, blocks)


@keep_of(Radix)
def _keep(memory, s, slot):
    _checkpoint(memory, s, slot, s.requests[slot].computed // s.clock.block)


@kernel
def _checkpoint(tree, s, slot, pages):
    """Put a request's first pages in the tree, and move its lock to where they end."""
    book, seat = tree.book, tree.seats[slot]
    node = insert(tree, s, slot, pages)
    # The tree has the new pages; those that another request has put there meanwhile are bare.
    twice = max(book.stood - seat.shared, 0)
    book.bare += twice
    s.clock.free += twice + pages - book.stood
    # Cut at the prompt's end: so what was generated can be evicted without the prompt.
    prompt = s.requests[slot].prompt // s.clock.block
    if 0 < prompt < pages:
        insert(tree, s, slot, prompt)
    unlock(tree, s, seat.node)
    lock(tree, s, node)
    seat.node, seat.shared = node, pages


@release_of(Radix)
def _release(memory, s, slot):
    book, r, seat = memory.book, s.requests[slot], memory.seats[slot]
    if generated(s, slot) == r.output:
        # In SGLang's order, once all have their tokens.
        seat.leaving = 1
        if r.state == DECODING:
            memory.leaving[book.leaving] = slot
            book.leaving += 1
        return
    _give_back(memory, s, slot, blocks_of(s, slot))
    r.blocks = 0


@kernel
def _give_back(tree, s, slot, blocks):
    """Free a request's own pages out of ``blocks``, and let go of the shared ones."""
    seat = tree.seats[slot]
    own = blocks - seat.shared
    tree.book.bare += own
    s.clock.free += own
    unlock(tree, s, seat.node)
    seat.node, seat.shared = ROOT, 0


@settle_of(Radix)
def _settle(memory, s):
    book, seats, leaving = memory.book, memory.seats, memory.leaving
    for i in range(s.clock.chunks):
        slot = s.chunks[i].slot
        if seats[slot].leaving == 1:
            _finish(memory, s, slot)
        elif s.requests[slot].state == DECODING:
            _checkpoint(memory, s, slot, s.requests[slot].target // s.clock.block)
    # Those who had their last token from decoding leave as the running batch stands.
    for i in range(1, book.leaving):
        slot, place = leaving[i], i
        while place > 0 and seats[leaving[place - 1]].turn > seats[slot].turn:
            leaving[place] = leaving[place - 1]
            place -= 1
        leaving[place] = slot
    for i in range(book.leaving):
        _finish(memory, s, leaving[i])
    book.leaving = 0


@kernel
def _finish(tree, s, slot):
    """A request that completed leaves; its slot is free, but nobody has it yet."""
    computed = s.requests[slot].computed
    tree.seats[slot].leaving = 0
    s.requests[slot].blocks = 0
    _checkpoint(tree, s, slot, computed // s.clock.block)
    _give_back(tree, s, slot, blocks_for(s, computed))


@refresh_of(Radix)
def _refresh(memory, s):
    if memory.book.passes % _REFRESH_EVERY == 0:
        slot = s.lists[QUEUE].first
        for _ in range(_REFRESHED - 1):
            if s.requests[slot].after == NONE:
                break
            slot = s.requests[slot].after
        while slot != NONE:  # the head last: it is the most recently used
            r = s.requests[slot]
            match(memory, s, slot, (r.prompt + r.kept) // s.clock.block)
            slot = r.before
    memory.book.passes += 1


@reorder_of(Radix)
def _reorder(memory, s, first):
    book, slot = memory.book, s.lists[RUNNING].first
    if first == 0:
        book.front, book.back = -1, 0
        while slot != NONE:
            memory.seats[slot].turn = book.back
            book.back += 1
            slot = s.requests[slot].after
        return
    for i in range(first):
        memory.seats[slot].turn = book.front - first + 1 + i
        slot = s.requests[slot].after
    book.front -= first
