"""Counting (prompt, output) pairs and keeping arrivals, in bounded memory."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import IntArray
from kvsteady.workload.arrivals import Arrivals
from kvsteady.workload.ranges import MAX_PROMPT
from kvsteady.workload.traces.checks import Batch

T = TypeVar("T", np.float64, np.int32)

MAX_PAIRS = 4 * 2**20
MAX_ARRIVALS = 2**24
# Keys gathered before they are merged: few merges, 16 MiB.
_PENDING = 2 * 2**20
_ROW = 2 * MAX_PROMPT  # a power of two, so that a coarser grid is a shift of the key


class Tally:
    """How often each (prompt, output) pair was seen.

    Parameters
    ----------
    max_pairs
        Above so many distinct pairs, prompts are kept in cells of 2, 4, 8 … tokens.
    pending
        Requests gathered between merges.
    """

    def __init__(self, max_pairs: int = MAX_PAIRS, pending: int = _PENDING) -> None:
        self._max_pairs = max_pairs
        self._pending_limit = pending
        self._pending: list[IntArray] = []
        self._gathered = 0
        self._keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)
        self.requests = 0
        self.cell = 1

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        if not batch.prompt.size:
            return
        keys = batch.output * np.int64(_ROW) + batch.prompt
        self._pending.append(keys)
        self._gathered += keys.size
        self.requests += keys.size
        if self._gathered >= self._pending_limit:
            self._merge()

    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Prompt, output and count of each pair seen, shape ``(K,)`` each.

        A prompt of a cell wider than one token stands at the cell's middle.
        """
        self._merge()
        prompt = np.minimum(self._keys % _ROW + self.cell // 2, MAX_PROMPT)
        return prompt, self._keys // _ROW, self._counts

    def note(self) -> tuple[str, ...]:
        """Say what a reader should know about the counts."""
        if self.cell == 1:
            return ()
        return (
            f"more than {self._max_pairs:,} distinct (prompt, output) pairs: "
            f"prompts are rounded to cells of {self.cell} tokens",
        )

    def _merge(self) -> None:
        if not self._pending:
            return
        new = np.concatenate(self._pending)
        self._pending, self._gathered = [], 0
        keys, counts = _counted(new & ~np.int64(self.cell - 1), None)
        if self._keys.size:
            keys = np.concatenate([self._keys, keys])
            counts = np.concatenate([self._counts, counts])
            keys, counts = _counted(keys, counts)
        while keys.size > self._max_pairs and self.cell < _ROW:
            self.cell *= 2
            # Cutting bits keeps the order, and cutting twice is cutting once by more.
            keys, counts = _runs(keys & ~np.int64(self.cell - 1), counts)
        self._keys, self._counts = keys, counts


class Record:
    """The arrivals of the first requests of a trace, in the order of the file."""

    def __init__(self, limit: int = MAX_ARRIVALS) -> None:
        self._limit = limit
        self._seconds: list[npt.NDArray[np.float64]] = []
        self._prompt: list[npt.NDArray[np.int32]] = []
        self._output: list[npt.NDArray[np.int32]] = []
        self._kept = 0
        self._seen = 0

    def add(self, batch: Batch) -> None:
        """Keep a batch, as far as there is room and its format has times."""
        if batch.seconds is None:
            return
        room = self._limit - self._kept
        self._seconds.append(batch.seconds[:room])
        self._prompt.append(batch.prompt[:room])
        self._output.append(batch.output[:room])
        self._kept += self._seconds[-1].size
        self._seen += batch.seconds.size

    def arrivals(self) -> Arrivals | None:
        """Hand over what was kept; the record is empty afterwards."""
        if not self._kept:
            return None
        return Arrivals.recorded(
            seconds=_joined(self._seconds),
            prompt=_joined(self._prompt),
            output=_joined(self._output),
        )

    def note(self) -> tuple[str, ...]:
        """Say what a reader should know about the arrivals."""
        if self._seen <= self._kept:
            return ()
        return (f"arrivals are those of the first {self._kept:,} of {self._seen:,} requests",)


def _joined(parts: list[npt.NDArray[T]]) -> npt.NDArray[T]:
    whole = np.concatenate(parts)
    parts.clear()  # before the next column is joined: 10 million rows are 80 MB a column
    return whole


def _counted(keys: IntArray, counts: IntArray | None) -> tuple[IntArray, IntArray]:
    """Distinct keys ascending, and how often each came."""
    if counts is None:
        keys.sort()
        return _runs(keys, None)
    order = np.argsort(keys, kind="stable")  # two ascending runs: merged in linear time
    return _runs(keys[order], counts[order])


def _runs(keys: IntArray, counts: IntArray | None) -> tuple[IntArray, IntArray]:
    """Distinct keys of an ascending array, and the sum of the counts of each."""
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    if counts is None:
        return keys[first], np.diff(first, append=keys.size)
    return keys[first], np.add.reduceat(counts, first)
