"""A closed loop: so many clients, each waits for its answer before it asks again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads import draws
from kvsteady.simulate.loads.requests import (
    at_least_zero,
    check_options,
    check_workload,
    drawn_feed,
    in_batches,
)
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number


@dataclass(frozen=True)
class Closed:
    """``clients`` clients with one request each; all send their first at t = 0.

    Parameters
    ----------
    workload
        Lengths of the requests.
    clients
        How many, 1 to 1,000,000.
    think
        Seconds from an answer's end to the client's next request.
    random_think
        True: think times are exponential with mean ``think``.
    requests
        Requests of all clients together; None for no end.
    max_tokens, seed
        As in `Saturated`.

    Raises
    ------
    InputError
        An option out of its range.
    """

    workload: Workload
    clients: int
    think: float = 0.0
    random_think: bool = False
    requests: int | None = None
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.workload)
        whole_number(self.clients, "clients", 1, 1_000_000)
        at_least_zero(self.think, "think")
        check_options(self.requests, self.max_tokens, self.seed)

    def feed(self) -> Feed:
        """Start over."""
        return drawn_feed(
            self.workload,
            self.max_tokens,
            self._batches(),
            self.requests,
            clients=self.clients,
        )

    def _batches(self) -> Iterator[Any]:
        for rows in in_batches(self.workload, self.max_tokens, self.seed, self.requests):
            rows["think"] = think_times(
                rows.size, self.think, self.random_think, self.seed, int(rows["id"][0])
            )
            yield rows


def think_times(count: int, mean: float, random: bool, seed: int, first: int = 0) -> Any:
    """Seconds of thought after each request, shape ``(count,)``."""
    seconds = np.full(count, mean, dtype=np.float64)
    if random:
        draws.fill_waiting_times(draws.stream(seed, draws.THINKING), first, mean, seconds)
    return seconds
