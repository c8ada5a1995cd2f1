"""One after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View


@dataclass(frozen=True)
class RoundRobin:
    """Requests go to the replicas in turn."""

    def start(self) -> Choose:
        """Begin with the first."""
        return _choose


def _choose(request: Request, replicas: Sequence[View]) -> int:
    return request.number % len(replicas)
