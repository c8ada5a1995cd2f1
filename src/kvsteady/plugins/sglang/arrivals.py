"""When SGLang's requests arrived."""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

now = time.perf_counter
"""The clock of SGLang's own times of requests: seconds, of use are differences."""


class Arrivals:
    """Times of arrival on the clock of `now`, for as long as requests are there.

    A request's is that at which the scheduler received it, which SGLang keeps over retractions; its
    times in the queue it does not. Where there is none it is that at which it is first asked for.
    """

    def __init__(self) -> None:
        self._first: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def of(self, req: Any) -> float:
        """When a request arrived."""
        received = getattr(getattr(req, "time_stats", None), "scheduler_recv_time", 0.0)
        return float(received) if received else self._first.setdefault(req, now())
