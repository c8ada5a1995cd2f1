"""The arrays of a radix tree of pages.

A page's content is a *key*: equal keys are equal tokens after an equal prefix. A request lists the
keys of the content that it may share, one for ``span`` pages each (`Feed.keys`, `Feed.key_tokens`);
its other pages have keys of their own, which only it can find again.

A node holds a run of pages. It says whose content they have, not what it is: so a node takes the
same room however long it is. Nothing tells pages apart beyond that: one is free, a request's own,
or a node's, and there are as many nodes as pages at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvsteady.errors import InputError
from kvsteady.simulate.records import NONE

ROOT = 0  # holds no pages; in a link, no node

NODE = np.dtype(
    [
        ("parent", "i4"),
        ("first", "i4"),  # number of its first page in the requests that go through it
        ("pages", "i4"),
        ("locks", "i4"),  # running requests that go through it
        ("children", "i4"),
        ("twin", "i4"),  # next of its bucket; on the free list, the next free node
        ("queued", "i4"),  # 1: stands in the heap
        ("key_count", "i4"),
        ("key", "i8"),  # of its first page
        ("keys", "i8"),  # a request with its content: as in `records.REQUEST`
        ("sequence", "i8"),
        ("used", "i8"),  # when last; see `touch`
    ]
)

# Who may be evicted, by `used` as it was when the node entered.
LEAF = np.dtype([("used", "i8"), ("node", "i8")])

# What a request holds, by slot.
SEAT = np.dtype(
    [
        ("node", "i4"),  # locked, with all above it
        ("shared", "i4"),  # of its pages, those that are nodes'
        ("turn", "i8"),  # order of the running batch
        ("leaving", "i8"),  # 1: completed in this iteration
    ]
)

BOOK = np.dtype(
    [
        ("span", "i8"),  # pages per listed key
        ("nodes", "i8"),  # ever used
        ("free_node", "i8"),
        ("leaves", "i8"),  # filled part of the heap
        ("bare", "i8"),  # pages in no node and of nobody
        ("idle", "i8"),  # pages in nodes that nobody has locked: `clock.free` counts both
        ("now", "i8"),
        ("front", "i8"),  # turns before the first and after the last given
        ("back", "i8"),
        ("leaving", "i8"),  # filled part of `Radix.leaving`
        ("taking", "i8"),  # pages promised to this iteration's chunks
        ("passes", "i8"),  # over a queue with somebody in it
        # The last match.
        ("slot", "i8"),
        ("node", "i8"),
        ("found", "i8"),  # pages
        ("found_idle", "i8"),  # of these, how many nobody has locked
        # The last insertion.
        ("stood", "i8"),  # pages that were there before
        # Totals.
        ("all_found", "i8"),  # pages found by requests when admitted
        ("all_evicted", "i8"),  # pages
    ]
)

Structured = npt.NDArray[Any]


class Radix(NamedTuple):
    """Pages in a radix tree, decided as SGLang 0.5.23 does; see `new_radix`."""

    book: Any  # a BOOK record
    nodes: Structured  # NODE rows
    buckets: npt.NDArray[np.int32]  # first node of each bucket, by parent and key
    heap: Structured  # LEAF rows
    seats: Structured  # SEAT rows
    leaving: npt.NDArray[np.int64]  # slots of those who completed in a tick of this iteration

    def grown(self, slots: int) -> Radix:
        """The same tree for a state of so many slots."""
        seats = np.zeros(slots, dtype=SEAT)
        seats[: self.seats.size] = self.seats
        leaving = np.zeros(slots, dtype=np.int64)
        leaving[: self.leaving.size] = self.leaving
        return self._replace(seats=seats, leaving=leaving)

    def fitted(self, key_tokens: int, largest_request: int, block_size: int) -> Radix:
        """The same for a load with keys of ``key_tokens`` tokens (0: it has none).

        Raises
        ------
        InputError
            Where a key is not a whole number of pages.
        """
        del largest_request
        if key_tokens % block_size:
            raise InputError(
                f"keys of {key_tokens} tokens are not a whole number of pages of {block_size}",
                field="page_size",
                allowed=f"a divisor of {key_tokens}",
            )
        self.book["span"] = key_tokens // block_size
        return self


def new_radix(pages: int, slots: int) -> Radix:
    """An empty tree beside ``pages`` free pages, for a state of ``slots`` slots."""
    book = np.zeros(1, dtype=BOOK)[0]
    book["bare"] = pages
    book["nodes"] = 1
    book["front"] = -1
    book["slot"] = NONE
    # Zeros are given memory only where they are written: most trees have few nodes.
    return Radix(
        book=book,
        nodes=np.zeros(pages + 2, dtype=NODE),
        buckets=np.zeros(1 << max(pages, 16).bit_length(), dtype=np.int32),
        heap=np.zeros(pages + 2, dtype=LEAF),
        seats=np.zeros(slots, dtype=SEAT),
        leaving=np.zeros(slots, dtype=np.int64),
    )
