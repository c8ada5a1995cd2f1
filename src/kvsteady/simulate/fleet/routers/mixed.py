"""Each class over all replicas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View


@dataclass(frozen=True)
class Mixed:
    """Interleaved: the requests of each class go to the replicas in turn, whatever the others do.

    Every replica so gets every class in the same share, also where the order of the classes would
    fall in step with a plain round robin.
    """

    def start(self) -> Choose:
        """Count each class from its own replica on."""
        return _Turns().choose


class _Turns:
    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()

    def choose(self, request: Request, replicas: Sequence[View]) -> int:
        turn = self._seen[request.kind] + request.kind
        self._seen[request.kind] += 1
        return turn % len(replicas)
