"""Pieces of content (`pool.PIECE`): made, cut, dropped, and linked into the queue of free ones."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import NONE


@kernel
def _new(pool):
    # There is always one: each holds a block at least.
    at = pool.book.free_piece
    pool.book.free_piece = pool.pieces[at].twin
    return at


@kernel
def enter(pool, place, group, first, count):
    """Make a piece that nobody holds yet, the youngest of bucket ``place``; returns it."""
    pieces, at = pool.pieces, _new(pool)
    piece = pieces[at]
    piece.group, piece.first, piece.count = group, first, count
    piece.users, piece.twin, piece.rest = 0, NONE, NONE
    other = pool.buckets[place]
    if other == NONE:
        pool.buckets[place] = at
    else:
        while pieces[other].twin != NONE:
            other = pieces[other].twin
        pieces[other].twin = at
    return at


@kernel
def drop(pool, at, place):
    """Forget a piece of bucket ``place`` that is in no queue."""
    pieces = pool.pieces
    if pool.buckets[place] == at:
        pool.buckets[place] = pieces[at].twin
    else:
        other = pool.buckets[place]
        while pieces[other].twin != at:
            other = pieces[other].twin
        pieces[other].twin = pieces[at].twin
    pieces[at].twin = pool.book.free_piece
    pool.book.free_piece = at


@kernel
def cut(pool, at, blocks):
    """Cut off a piece's first blocks; returns them as a piece, just as old and as often held.

    Whoever held the whole finds them behind the rest (``rest``); so does the queue, where the end
    of a piece is taken first.
    """
    pieces, low = pool.pieces, _new(pool)
    piece, front = pieces[at], pieces[low]
    front.group, front.first, front.count = piece.group, piece.first, blocks
    front.users, front.twin, front.rest = piece.users, piece.twin, piece.rest
    piece.twin = piece.rest = low
    piece.first += blocks
    piece.count -= blocks
    if piece.users == 0:
        after = piece.after
        front.before, front.after = at, after
        piece.after = pieces[after].before = low
    return low


@kernel
def append_free(pool, at):
    """Put a piece that nobody holds at the tail of the queue."""
    pieces = pool.pieces
    ring = pieces.size - 1
    last = pieces[ring].before
    pieces[at].before, pieces[at].after = last, ring
    pieces[last].after = pieces[ring].before = at


@kernel
def unlink_free(pool, at):
    """Take a piece out of the queue."""
    pieces = pool.pieces
    before, after = pieces[at].before, pieces[at].after
    pieces[before].after, pieces[after].before = after, before
