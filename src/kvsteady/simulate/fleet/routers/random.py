"""Anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View
from kvsteady.simulate.loads import draws
from kvsteady.workload.ranges import whole_number


@dataclass(frozen=True)
class Random:
    """Each request goes to a replica drawn at random, all alike."""

    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.seed, "seed", 0, 2**62 - 1)

    def start(self) -> Choose:
        """Draw by counting: the same every time."""
        return self._choose

    def _choose(self, request: Request, replicas: Sequence[View]) -> int:
        return int(draws.uniform(self.seed, request.number) * len(replicas))
