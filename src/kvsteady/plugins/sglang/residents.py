"""Who is in SGLang's memory, as arrays by row of its request pool.

A step costs a few array operations, whatever the number of requests: only those who come and go
are looked at one by one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from kvsteady.admission import View
from kvsteady.plugins.ledger import Ledger
from kvsteady.plugins.sglang.arrivals import Arrivals
from kvsteady.plugins.sglang.sharing import Sharing

_EMPTY = np.zeros(0, dtype=np.int64)


class Residents:
    """Requests in memory, and the tokens that evicted ones had.

    Parameters
    ----------
    rows
        Rows of the request pool.
    arrivals
        Knows when they came.
    sharing
        Knows what they share; None: nothing is.
    """

    def __init__(self, rows: int, arrivals: Arrivals, sharing: Sharing | None = None) -> None:
        self._arrivals, self._sharing = arrivals, sharing
        self._who: list[Any] = [None] * rows
        self._prompt = np.zeros(rows, dtype=np.int64)
        self._limit = np.zeros(rows, dtype=np.int64)
        self._shared = np.zeros(rows, dtype=np.int64)
        self._arrived = np.zeros(rows)
        self._here, self._known = np.zeros((2, rows), dtype=bool)
        self._present = _EMPTY  # rows, in the batch's order
        # Preempted in a pass that gave their rows to others; not told of yet.
        self._replaced: list[Any] = []
        self._began = False  # those who were there before us are taken in
        # KV tokens that an evicted request had.
        self._had: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @property
    def evicted(self) -> int:
        """Evicted requests that wait."""
        return len(self._had)

    def admit(self, batch: Any, many: int, ledger: Ledger) -> tuple[int, int]:
        """Take in a prefill's first ``many`` requests; return how many are new, and resumed."""
        rows = batch.req_pool_indices_cpu[:many].tolist()
        new: list[int] = []
        found: list[int] = []
        resumed = 0
        self._make_room(max(rows, default=0))
        for place, (row, req) in enumerate(zip(rows, batch.reqs[:many], strict=True)):
            if self._who[row] is req:
                continue  # a chunked prefill that goes on
            new.append(row)
            found.append(int(batch.prefix_lens[place]))
            if self._known[row]:
                self._replaced.append(self._who[row])
                self._present = self._present[self._present != row]
            self._take_in(row, req)
            had = self._had.pop(req, None)
            if had is not None:
                resumed += 1
                ledger.recomputed += max(had - batch.prefix_lens[place], 0)
        if new and self._sharing is not None:
            self._shared[new] = self._sharing.of_newcomers(found)
        ledger.prefilled += sum(batch.extend_lens[:many])
        self._present = np.concatenate([self._present, np.array(new, dtype=np.int64)])
        return len(new), resumed

    def look(self, batch: Any, chunked: Any) -> list[Any]:
        """Compare with the running batch, and return the requests that left since, in order."""
        rows = batch.req_pool_indices_cpu.numpy() if batch.reqs else _EMPTY
        everyone = batch.reqs
        if chunked is not None and chunked.kv.req_pool_idx is not None:
            rows = np.append(rows, chunked.kv.req_pool_idx)
            everyone = [*everyone, chunked]
        gone, self._replaced = self._replaced, []
        if self._began and rows.size == self._present.size:  # nobody left
            self._present = rows.copy()
            return gone
        self._began = True
        self._make_room(int(rows.max(initial=0)))
        for place in np.flatnonzero(~self._known[rows]).tolist():  # were there before us
            self._take_in(int(rows[place]), everyone[place])
        here = self._here
        here[:] = False
        here[rows] = True
        left = self._present[~here[self._present]]
        self._present = rows.copy()
        for row in left.tolist():
            gone.append(self._who[row])
            self._who[row], self._known[row] = None, False
        return gone

    def evict(self, req: Any) -> None:
        """Take down that a request lost its KV: all but that of its last token."""
        self._had[req] = len(req.origin_input_ids) + len(req.output_ids) - 1

    def show(self, view: View, batch: Any) -> int:
        """Fill ``view.running``, and return how many rows."""
        rows = self._present
        shown = view.running[: rows.size]
        if self._sharing is not None and self._sharing.is_due(rows.size):
            shared = self._sharing.compared([self._who[row] for row in rows.tolist()])
            if shared is not None:
                self._shared[rows] = shared
        prompt = self._prompt[rows]
        shown["shared"] = self._shared[rows]
        shown["prompt"] = prompt
        shown["limit"] = self._limit[rows]
        shown["arrived"] = self._arrived[rows]
        decoding = len(batch.reqs)
        if decoding:
            # A token more than there is KV: of the last one it is not stored yet.
            shown["generated"][:decoding] = batch.seq_lens_cpu.numpy() - prompt[:decoding] + 1
        for place in range(decoding, rows.size):
            shown["generated"][place] = len(self._who[rows[place]].output_ids)
        return int(rows.size)

    def _take_in(self, row: int, req: Any) -> None:
        self._who[row], self._known[row] = req, True
        self._shared[row] = 0
        self._prompt[row] = len(req.origin_input_ids)
        self._limit[row] = req.sampling_params.max_new_tokens
        self._arrived[row] = self._arrivals.of(req)

    def _make_room(self, row: int) -> None:
        more = row + 1 - len(self._who)
        if more <= 0:
            return
        self._who += [None] * more
        for name in ("_prompt", "_limit", "_shared", "_arrived", "_here", "_known"):
            old = getattr(self, name)
            setattr(self, name, np.append(old, np.zeros(more, dtype=old.dtype)))
