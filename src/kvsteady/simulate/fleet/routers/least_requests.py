"""To the replica with the fewest requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View


@dataclass(frozen=True)
class LeastRequests:
    """To the replica with the fewest requests, running or waiting; the first of equals."""

    def start(self) -> Choose:
        """Remember nothing."""
        return _choose


def requests_of(replica: View) -> int:
    """Requests that run or wait."""
    return replica.running + replica.waiting


def _choose(request: Request, replicas: Sequence[View]) -> int:
    found = [requests_of(replica) for replica in replicas]
    return found.index(min(found))
