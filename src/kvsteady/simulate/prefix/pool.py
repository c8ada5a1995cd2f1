"""The arrays of a block pool with a prefix cache.

Equal content is equal tokens after an equal prefix. A request lists keys of the content that it may
share, one for ``span`` blocks each (`Feed.keys`, `Feed.key_tokens`); the content of its other
blocks is its own: only it can find that again, after a preemption.

Blocks are not told apart but by their content, and that goes by *pieces*: neighbouring blocks of
one key, or of one request's own, that the same requests hold. A request that decodes is not touched
when it fills a block of its own; how many it has follows from its tokens.

Free blocks stand in a queue. Its front is taken first: blocks without content, which are only
counted, then those that nobody has used for longest; of a piece the end goes first. A piece can be
found until it is taken.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvsteady.errors import InputError
from kvsteady.simulate.records import NONE

# Content that no list names, by its request's order of arrival: a group from here on.
OWN = 1 << 61

# Row `blocks` is no piece: it closes the queue of free ones to a ring.
PIECE = np.dtype(
    [
        ("group", "i8"),  # a key, or a request's own content
        ("first", "i4"),  # place of its first block there
        ("count", "i4"),  # blocks
        ("users", "i4"),  # requests in memory that hold it
        ("before", "i4"),  # neighbours in the queue, of those without users
        ("after", "i4"),
        ("twin", "i4"),  # next of its bucket, where the oldest is first; or next unused row
        ("rest", "i4"),  # piece that was cut off last, from the front
    ]
)

# A piece that a seat holds; it may have been cut since into several, linked by `rest`.
HELD = np.dtype([("at", "i4"), ("blocks", "i4")])

# A request in memory has a seat: its row of the table of blocks.
SEAT = np.dtype(
    [
        ("slot", "i8"),
        ("turn", "i8"),  # order of admission: those that complete together leave in it
        ("own", "i8"),  # group of its own content
        ("pieces", "i4"),  # filled part of its row
        ("noted", "i4"),  # blocks in these
        ("keyed", "i4"),  # full blocks, of one that decodes at least so many
        ("blocks", "i4"),  # all, once it has left
        ("noting", "i4"),  # 1: it will fill listed blocks when it decodes
        ("ahead", "i8"),  # tick for which it has taken a block already
        ("phase", "i4"),  # list of `Pooled.phases` it stands in, while it decodes and notes
        ("before", "i4"),  # neighbours there; on the free list, the next free seat
        ("after", "i4"),
    ]
)
_ENDS = np.dtype([("first", "i4"), ("last", "i4")])

BOOK = np.dtype(
    [
        ("span", "i8"),  # blocks per listed key
        ("free_seat", "i8"),
        ("turn", "i8"),
        ("leaving", "i8"),  # filled part of `Pooled.leaving`
        ("bare", "i8"),  # free blocks without content
        ("free_piece", "i8"),  # first unused row of `Pooled.pieces`
        ("noting", "i8"),  # requests that will fill listed blocks when they decode
        ("ahead", "i8"),  # blocks that were taken for the coming tick already
        ("change", "i8"),  # grows with every change of what can be found, and of who holds it
        # The last look-up; what it found stands in the row of the first free seat.
        ("looked", "i8"),
        ("looked_change", "i8"),
        ("found", "i8"),  # blocks
        ("found_pieces", "i8"),
        ("in_use", "i8"),  # of these, how many somebody holds
        # A request that did not fit: while nothing happens that could put more of its content in
        # use, it needs no fewer free blocks than it did then, and need not be looked up again.
        ("gains", "i8"),  # grows with whatever may put more of somebody's content in use
        ("refused", "i8"),
        ("refused_gains", "i8"),
        ("refused_in_use", "i8"),
        # Totals.
        ("all_found", "i8"),  # blocks found by requests when admitted
        ("all_taken", "i8"),  # blocks taken from the queue
    ]
)

# A table larger than this is an input error: it would be virtual memory beyond reason.
_LARGEST_TABLE = 1 << 34

Structured = npt.NDArray[Any]


class Pooled(NamedTuple):
    """Blocks by content, decided as vLLM 0.32.0 does; see `new_pool`.

    For engines whose requests begin to decode when an iteration completes, or before `hold_tick`.
    """

    book: Any  # a BOOK record
    pieces: Structured  # PIECE rows
    buckets: npt.NDArray[np.int32]  # first piece of each bucket, by hashed group
    seats: Structured  # SEAT rows
    seat_of: npt.NDArray[np.int32]  # per slot; NONE for who is not in memory
    table: Structured  # HELD rows of each seat, in the order of its tokens
    phases: Structured  # lists of seats that fill a listed block at the same ticks, by turn
    leaving: npt.NDArray[np.int32]  # seats of those that completed in this iteration

    def grown(self, slots: int) -> Pooled:
        """The same pool for a state of so many slots."""
        seat_of = np.full(slots, NONE, dtype=np.int32)
        seat_of[: self.seat_of.size] = self.seat_of
        return self._replace(seat_of=seat_of)

    def fitted(self, key_tokens: int, largest_request: int, block_size: int) -> Pooled:
        """The same, empty, for a load with keys of ``key_tokens`` tokens (0: it has none).

        Raises
        ------
        InputError
            Where a key is not a whole number of blocks.
        """
        if key_tokens % block_size:
            raise InputError(
                f"keys of {key_tokens} tokens are not a whole number of blocks of {block_size}",
                field="block_size",
                allowed=f"a divisor of {key_tokens}",
            )
        self.book["span"] = key_tokens // block_size
        longest = min(-(-largest_request // block_size), self.pieces.size - 1)
        return self._replace(table=_table(self.seats.size, longest))


def new_pool(blocks: int, block_size: int, *, running: int, slots: int) -> Pooled:
    """A pool of free blocks without content.

    Parameters
    ----------
    blocks, block_size
        How many there are (vLLM's ``num_gpu_blocks`` less its null block), tokens in each.
    running
        Requests that can be in memory at once (``max_num_seqs``).
    slots
        Slots of the state.
    """
    pieces = np.zeros(blocks + 1, dtype=PIECE)
    pieces["twin"] = np.arange(1, blocks + 2)
    pieces[blocks]["before"] = pieces[blocks]["after"] = blocks
    # One row more than can be taken: what is looked up goes in the row of a free seat.
    seats = np.zeros(min(running, blocks) + 1, dtype=SEAT)
    seats["phase"] = NONE
    seats["after"] = np.arange(1, seats.size + 1)
    book = np.zeros(1, dtype=BOOK)[0]
    book["looked"] = book["refused"] = NONE
    book["bare"] = blocks
    return Pooled(
        book=book,
        pieces=pieces,
        buckets=np.full(1 << max(2 * blocks, 16).bit_length(), NONE, dtype=np.int32),
        seats=seats,
        seat_of=np.full(slots, NONE, dtype=np.int32),
        table=_table(1, 1),
        phases=np.full(2 * block_size, NONE, dtype=np.int32).view(_ENDS),
        leaving=np.zeros(seats.size, dtype=np.int32),
    )


def _table(rows: int, columns: int) -> Structured:
    if HELD.itemsize * rows * columns > _LARGEST_TABLE:
        raise InputError(
            f"{rows} requests of up to {columns} blocks in memory at once",
            field="max_num_seqs",
            allowed=f"at most {_LARGEST_TABLE // (HELD.itemsize * columns)} with such requests",
        )
    # Never written as a whole: the machine gives memory to the part that is used.
    return np.empty((rows, columns), dtype=HELD)
