"""Blocks by content: find them, take them, share them, give them back.

Each function does for a piece of content (`pool.PIECE`) at once what vLLM 0.32.0 (``vllm/v1/core``)
does block by block: ``block_pool.py`` (`get_new_blocks`, `touch`, `cache_full_blocks`,
`free_blocks`) and ``single_type_kv_cache_manager.py``
(`FullAttentionManager.find_longest_cache_hit`).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.prefix.pieces import append_free, cut, drop, enter, unlink_free
from kvsteady.simulate.prefix.pool import OWN
from kvsteady.simulate.records import NONE

_RUN = 15  # content that differs in these bits stands side by side, as it is used together
_MANY = 1 << 30


@kernel
def bucket(group, buckets):
    """Number of a content's bucket, out of a power of two."""
    mixed = (np.uint64(group) >> np.uint64(4)) * np.uint64(0x9E3779B97F4A7C15)
    run = np.uint64(group) & np.uint64(_RUN)
    return np.int64(((mixed >> np.uint64(28)) & ~np.uint64(_RUN) | run) & np.uint64(buckets - 1))


@kernel
def listed(pool, s, slot):
    """How many of a request's first blocks have content that others may have too."""
    return s.requests[slot].key_count * pool.book.span


@kernel
def _content(pool, s, slot, block):
    """Content of a request's block: its group, its place there, how many places are left."""
    r, span = s.requests[slot], pool.book.span
    if block < r.key_count * span:
        part = block % span
        return s.keys[r.keys + block // span], part, span - part
    return OWN + r.sequence, block, _MANY


@kernel
def look_up(pool, s, slot):
    """Find the cached blocks that a waiting request begins with; its last token is computed.

    What is found of a piece becomes a piece of its own, so that it can be held alone.
    """
    book, pieces = pool.book, pool.pieces
    if book.looked == slot and book.looked_change == book.change:
        return
    r = s.requests[slot]
    limit = (r.prompt + r.kept - 1) // s.clock.block
    seat = book.free_seat
    found = in_use = count = 0
    while found < limit:
        group, part, most = _content(pool, s, slot, found)
        most = min(most, limit - found)
        at = pool.buckets[bucket(group, pool.buckets.size)]
        while at != NONE:
            piece = pieces[at]
            if piece.group == group:
                if piece.first <= part < piece.first + piece.count:
                    break
                if piece.first > part:  # an older one goes before from there on
                    most = min(most, piece.first - part)
            at = piece.twin
        if at == NONE:
            break
        if pieces[at].first < part:
            cut(pool, at, part - pieces[at].first)
        if pieces[at].count > most:
            at = cut(pool, at, most)
        entry = pool.table[seat, count]
        entry.at, entry.blocks = at, pieces[at].count
        count += 1
        found += pieces[at].count
        if pieces[at].users > 0:
            in_use += pieces[at].count
    book.looked, book.looked_change = slot, book.change
    book.found, book.found_pieces, book.in_use = found, count, in_use


@kernel
def held_by_others(pool, seat):
    """Blocks of a seat that other seats hold too."""
    blocks = 0
    for i in range(pool.seats[seat].pieces):
        at, left = pool.table[seat, i].at, pool.table[seat, i].blocks
        while left > 0:  # it may have been cut since
            piece = pool.pieces[at]
            left -= piece.count
            blocks += piece.count if piece.users > 1 else 0
            at = piece.rest
    return blocks


@kernel
def share(pool, s, seat):
    """Hold what was looked up last, which others may hold too."""
    book, pieces, row = pool.book, pool.pieces, pool.seats[seat]
    idle = 0
    for i in range(book.found_pieces):
        at = pool.table[seat, i].at
        if pieces[at].users == 0:
            unlink_free(pool, at)
            idle += pieces[at].count
        pieces[at].users += 1
    row.pieces, row.noted, row.keyed = book.found_pieces, book.found, book.found
    s.requests[row.slot].blocks = book.found
    s.clock.free -= idle
    book.change += 1
    book.gains += idle


@kernel
def take(pool, s, blocks):
    """Take blocks from the front of the queue: those without content, then the ends of pieces."""
    book, pieces = pool.book, pool.pieces
    ring = pieces.size - 1
    left = blocks - min(blocks, book.bare)
    book.bare -= blocks - left
    while left > 0:
        at = pieces[ring].after
        piece = pieces[at]
        gone = min(left, piece.count)
        piece.count -= gone
        left -= gone
        if piece.group < OWN:
            _find_twins(pool, at, piece.first + piece.count, gone)
        if piece.count == 0:
            unlink_free(pool, at)
            drop(pool, at, bucket(piece.group, pool.buckets.size))
    s.clock.free -= blocks
    book.all_taken += blocks
    book.change += 1


@kernel
def _find_twins(pool, at, first, count):
    """A twin of what is forgotten, if somebody holds it, is found in its stead from now on."""
    pieces = pool.pieces
    group = pieces[at].group
    at = pieces[at].twin
    while at != NONE:
        twin = pieces[at]
        if twin.group == group and twin.users > 0:
            pool.book.gains += twin.first < first + count and first < twin.first + twin.count
        at = twin.twin


@kernel
def enter_keys(pool, s, seat, upto):
    """Put a seat's blocks, up to number ``upto``, in the cache: they are full.

    Content of its own, which nobody else can find, is put there when it leaves its seat.
    """
    book, row = pool.book, pool.seats[seat]
    slot, first = row.slot, row.noted
    end = min(listed(pool, s, slot), upto)
    while row.noted < end:
        group, part, most = _content(pool, s, slot, row.noted)
        count = min(most, end - row.noted)
        entry = pool.table[seat, row.pieces]
        entry.at = enter(pool, bucket(group, pool.buckets.size), group, part, count)
        entry.blocks = count
        pool.pieces[entry.at].users = 1
        row.pieces += 1
        row.noted += count
    row.keyed = upto
    if end > first:
        book.change += 1
        book.gains += end - first


@kernel
def give_back(pool, s, seat):
    """Free a seat and its blocks, the end first: of one request the tail goes before the head."""
    book, pieces, row = pool.book, pool.pieces, pool.seats[seat]
    book.bare += row.blocks - row.keyed
    freed = row.blocks - row.noted
    if row.keyed > row.noted:
        place = bucket(row.own, pool.buckets.size)
        append_free(pool, enter(pool, place, row.own, row.noted, row.keyed - row.noted))
    for i in range(row.pieces - 1, -1, -1):
        at, left = pool.table[seat, i].at, pool.table[seat, i].blocks
        while left > 0:  # it may have been cut since
            piece = pieces[at]
            left -= piece.count
            piece.users -= 1
            if piece.users == 0:
                append_free(pool, at)
                freed += piece.count
            at = piece.rest
    s.clock.free += freed
    row.blocks = row.keyed = row.noted = row.pieces = 0
    row.after = book.free_seat
    book.free_seat = seat
    book.change += 1
