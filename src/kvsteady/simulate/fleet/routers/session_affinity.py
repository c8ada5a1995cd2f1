"""A session stays where it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvsteady.simulate.fleet.router import Choose, Request, Router, View
from kvsteady.simulate.fleet.routers.round_robin import RoundRobin


@dataclass(frozen=True)
class SessionAffinity:
    """A session's first request goes where another router says, all later ones to the same place.

    Parameters
    ----------
    first
        Routes first requests, and those without a session.
    """

    first: Router = field(default_factory=RoundRobin)

    def start(self) -> Choose:
        """Forget all sessions."""
        return _Places(self.first.start()).choose


class _Places:
    def __init__(self, first: Choose) -> None:
        self._first = first
        self._place: dict[int, int] = {}
        self._asked = 0

    def choose(self, request: Request, replicas: Sequence[View]) -> int:
        known = self._place.get(request.session)
        if known is not None:
            return known
        # The other router counts the requests that it is asked about.
        place = self._first(request._replace(number=self._asked), replicas)
        self._asked += 1
        if request.session >= 0:
            self._place[request.session] = place
        return place
