"""The head of SGLang's queue, as rows of a view."""

from __future__ import annotations

from typing import Any

from kvsteady.admission import View
from kvsteady.plugins.sglang.arrivals import Arrivals


class Head:
    """Writes the queue's head into a view; what stood there in the step before is moved up."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._shown: list[Any] = []

    def show(self, view: View, queue: list[Any], shared: int = 0) -> int:
        """Fill ``view.waiting``, and return how many rows.

        Each is taken to find ``shared`` tokens that others hold: a look into the tree for each
        would cost more than that is worth.
        """
        head = queue[: view.waiting.size]
        rows, before = view.waiting, self._shown
        kept = self._kept(head)
        if 0 < kept < len(before):
            rows[:kept] = rows[len(before) - kept : len(before)].copy()
        for place in range(kept, len(head)):
            req, row = head[place], rows[place]
            row["prompt"] = len(req.origin_input_ids)
            row["generated"] = len(req.output_ids)
            row["limit"] = req.sampling_params.max_new_tokens
            row["arrived"] = self._arrivals.of(req)
        shown = rows[: len(head)]
        shown["shared"] = shown["cached"] = (shown["prompt"] - 1).clip(max=shared)
        self._shown = head
        return len(head)

    def _kept(self, head: list[Any]) -> int:
        """How many of those shown before stand at the front now, in one piece."""
        before = self._shown
        if not head or not before:
            return 0
        try:
            first = before.index(head[0])
        except ValueError:
            return 0
        rest = before[first:]
        return len(rest) if head[: len(rest)] == rest else 0
