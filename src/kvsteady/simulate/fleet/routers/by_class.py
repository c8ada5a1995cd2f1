"""Each class to a replica of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.errors import InputError
from kvsteady.simulate.fleet.router import Choose, Request, View


@dataclass(frozen=True)
class ByClass:
    """Segregated: the class of a request decides.

    Parameters
    ----------
    places
        Replica of each class, by its number; None: class k to replica k modulo their number.
    """

    places: tuple[int, ...] | None = None

    def start(self) -> Choose:
        """Remember nothing."""
        return self._choose

    def _choose(self, request: Request, replicas: Sequence[View]) -> int:
        if self.places is None:
            return request.kind % len(replicas)
        if not 0 <= request.kind < len(self.places):
            raise InputError(
                f"class {request.kind} has no replica",
                field="places",
                allowed=f"a replica for each class, {request.kind + 1} or more",
            )
        return self.places[request.kind]
