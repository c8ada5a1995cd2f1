"""Blocks by content: find them, take them, share them, give them back.

Each function is one loop over the blocks of one request. After vLLM 0.32.0 (``vllm/v1/core``):
``block_pool.py`` (`get_new_blocks`, `touch`, `cache_full_blocks`, `free_blocks`) and
``single_type_kv_cache_manager.py`` (`FullAttentionManager.find_longest_cache_hit`).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import NONE

# Keys that no list gives: of a request's own blocks, by its order of arrival.
_OWN = 1 << 61
_OWN_BITS = 20
_RUN = 15  # keys that differ in these bits stand side by side, as they are used together


@kernel
def bucket(key, buckets):
    """Number of a key's bucket, out of a power of two."""
    mixed = (np.uint64(key) >> np.uint64(4)) * np.uint64(0x9E3779B97F4A7C15)
    run = np.uint64(key) & np.uint64(_RUN)
    return np.int64(((mixed >> np.uint64(28)) & ~np.uint64(_RUN) | run) & np.uint64(buckets - 1))


@kernel
def own_keys(sequence):
    """Key of a request's first block, were it not listed; that of block i is i more."""
    return _OWN + (sequence << _OWN_BITS)


@kernel
def look_up(pool, s, slot):
    """Find the cached blocks that a waiting request begins with; its last token is computed."""
    book, blocks, table = pool.book, pool.blocks, pool.table
    if book.looked == slot and book.looked_change == book.change:
        return
    r = s.requests[slot]
    limit = (r.prompt + r.kept - 1) // s.clock.block
    span, row = book.span, book.free_seat
    listed, own = r.key_count * span, own_keys(r.sequence)
    number, part = r.keys, 0
    found = in_use = 0
    while found < limit:
        key = own + found
        if found < listed:
            key = s.keys[number] * span + part
            part += 1
            if part == span:
                number, part = number + 1, 0
        at = pool.buckets[bucket(key, pool.buckets.size)]
        while at != NONE and blocks[at].key != key:
            at = blocks[at].twin
        if at == NONE:
            break
        table[row, found] = at
        found += 1
        in_use += blocks[at].users > 0
    book.looked, book.looked_change = slot, book.change
    book.found, book.in_use = found, in_use


@kernel
def share(pool, s, seat, found):
    """Hold the first ``found`` blocks of a seat's row, which others may hold too."""
    blocks = pool.blocks
    idle = 0
    for i in range(found):
        at = pool.table[seat, i]
        if blocks[at].users == 0:
            before, after = blocks[at].before, blocks[at].after
            blocks[before].after, blocks[after].before = after, before
            idle += 1
        blocks[at].users += 1
    pool.seats[seat].blocks = pool.seats[seat].keyed = found
    s.requests[pool.seats[seat].slot].blocks = found
    s.clock.free -= idle
    pool.book.change += 1
    pool.book.gains += idle


@kernel
def take(pool, s, seat, upto):
    """Give a seat the blocks it lacks to have ``upto``, from the front of the queue."""
    blocks, buckets, book = pool.blocks, pool.buckets, pool.book
    ring = blocks.size - 1
    have = pool.seats[seat].blocks
    at = blocks[ring].after
    for i in range(have, upto):
        key = blocks[at].key
        if key != NONE:
            # Forget its content. A twin that somebody holds is found in its stead from now on.
            place = bucket(key, buckets.size)
            rest = blocks[at].twin
            if buckets[place] == at:
                buckets[place] = rest
            else:
                other = buckets[place]
                while blocks[other].twin != at:
                    other = blocks[other].twin
                blocks[other].twin = rest
            while rest != NONE:
                book.gains += blocks[rest].key == key and blocks[rest].users > 0
                rest = blocks[rest].twin
            blocks[at].key = NONE
        blocks[at].users = 1
        pool.table[seat, i] = at
        at = blocks[at].after
    blocks[ring].after, blocks[at].before = at, ring
    pool.seats[seat].blocks = upto
    s.requests[pool.seats[seat].slot].blocks = upto
    s.clock.free -= upto - have
    book.all_taken += upto - have
    book.change += 1


@kernel
def enter_keys(pool, s, seat, upto):
    """Put a seat's blocks, up to number ``upto``, in the cache: they are full."""
    blocks, buckets, book = pool.blocks, pool.buckets, pool.book
    span = book.span
    r = s.requests[pool.seats[seat].slot]
    first, listed = pool.seats[seat].keyed, r.key_count * span
    own = own_keys(r.sequence)
    number, part = (r.keys + first // span, first % span) if first < listed else (0, 0)
    for i in range(first, upto):
        key = own + i
        if i < listed:
            key = s.keys[number] * span + part
            part += 1
            if part == span:
                number, part = number + 1, 0
        at = pool.table[seat, i]
        blocks[at].key, blocks[at].twin = key, NONE
        place = bucket(key, buckets.size)
        other = buckets[place]
        if other == NONE:
            buckets[place] = at
        else:
            while blocks[other].twin != NONE:
                other = blocks[other].twin
            blocks[other].twin = at
    pool.seats[seat].keyed = upto
    book.change += 1
    book.gains += max(min(listed, upto) - first, 0)


@kernel
def give_back(pool, s, seat):
    """Free a seat and its blocks, the end first: of one request the tail goes before the head."""
    blocks, row = pool.blocks, pool.seats[seat]
    ring = blocks.size - 1
    # To the front of the queue what has no content: its last blocks, which nobody else holds.
    first = blocks[ring].after
    for i in range(row.keyed, row.blocks):
        at = pool.table[seat, i]
        blocks[at].users = 0
        blocks[at].after, blocks[first].before = first, at
        first = at
    blocks[ring].after, blocks[first].before = first, ring
    freed = row.blocks - row.keyed
    last = blocks[ring].before
    for i in range(row.keyed - 1, -1, -1):
        at = pool.table[seat, i]
        users = blocks[at].users - 1
        blocks[at].users = users
        if users == 0:
            freed += 1
            blocks[at].before, blocks[last].after = last, at
            last = at
    blocks[last].after, blocks[ring].before = ring, last
    s.clock.free += freed
    row.blocks = row.keyed = 0
    row.after = pool.book.free_seat
    pool.book.free_seat = seat
    pool.book.change += 1
