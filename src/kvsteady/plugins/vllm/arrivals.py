"""When vLLM's requests arrived, in seconds of the plug-in's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Arrivals:
    """Times of arrival by request, kept until it leaves.

    vLLM's front end writes down ``time.time()``, in another process. How long ago that was is asked
    once, when the request comes to the scheduler: a wall clock that is set later changes nothing,
    and one that is behind the front end's gives no time in the future.

    Parameters
    ----------
    now
        Seconds, on the clock that a policy is shown.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._came: dict[str, float] = {}

    def came(self, request: Any) -> None:
        """Take down that a request came to the scheduler."""
        wall = time.time()
        ago = wall - getattr(request, "arrival_time", wall)
        self._came[request.request_id] = self.now() - max(ago, 0.0)

    def left(self, request: Any) -> None:
        """Forget a request that has ended."""
        self._came.pop(request.request_id, None)

    def of(self, request: Any) -> float:
        """When it arrived; one that nobody told of, when it is first asked for."""
        came = self._came.get(request.request_id)
        if came is None:
            came = self._came[request.request_id] = self.now()
        return came
