"""The better of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View
from kvsteady.simulate.fleet.routers.least_requests import requests_of
from kvsteady.simulate.loads import draws
from kvsteady.workload.ranges import whole_number


@dataclass(frozen=True)
class PowerOfTwo:
    """Of two replicas drawn at random, the one with fewer requests (Mitzenmacher 2001)."""

    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.seed, "seed", 0, 2**62 - 1)

    def start(self) -> Choose:
        """Draw by counting: the same every time."""
        return self._choose

    def _choose(self, request: Request, replicas: Sequence[View]) -> int:
        count = len(replicas)
        first = int(draws.uniform(self.seed, 2 * request.number) * count)
        if count == 1:
            return first
        # Any of the others, all alike.
        step = 1 + int(draws.uniform(self.seed, 2 * request.number + 1) * (count - 1))
        second = (first + step) % count
        fewer = requests_of(replicas[second]) < requests_of(replicas[first])
        return second if fewer else first
