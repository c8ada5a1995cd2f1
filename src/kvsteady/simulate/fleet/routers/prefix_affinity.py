"""To the replica that has seen most of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvsteady.errors import InputError, shown
from kvsteady.simulate.fleet.router import Choose, Request, Router, View
from kvsteady.simulate.fleet.routers.least_requests import LeastRequests


@dataclass(frozen=True)
class PrefixAffinity:
    """To the replica that was sent the longest part of this prompt before (by block keys).

    It remembers what it sent where, not what a replica's cache still holds, as SGLang's
    cache-aware router does. It remembers every key: 100 bytes or so for each.

    Parameters
    ----------
    least_match
        Share of the prompt's keys that a replica must know; below it, ``otherwise`` decides.
    otherwise
        Routes what nobody knows. Of replicas that know as much, the first gets it.

    Raises
    ------
    InputError
        A share outside 0 to 1.
    """

    least_match: float = 0.5
    otherwise: Router = field(default_factory=LeastRequests)

    def __post_init__(self) -> None:
        if not 0 <= self.least_match <= 1:  # NaN fails too
            raise InputError(
                f"{shown(self.least_match)} is out of range", field="least_match", allowed="0 to 1"
            )

    def start(self) -> Choose:
        """Forget all prompts."""
        return _Memory(self.least_match, self.otherwise.start()).choose


class _Memory:
    def __init__(self, least_match: float, otherwise: Choose) -> None:
        self._least_match, self._otherwise = least_match, otherwise
        self._who: dict[int, int] = {}  # key to the set of replicas that were sent it, as bits
        self._asked = 0

    def choose(self, request: Request, replicas: Sequence[View]) -> int:
        keys: list[int] = request.keys.tolist()
        matched, best = 0, 0
        among = (1 << len(replicas)) - 1
        for key in keys:
            among &= self._who.get(key, 0)
            if not among:
                break
            matched, best = matched + 1, among
        if best and matched >= self._least_match * len(keys):
            place = (best & -best).bit_length() - 1
        else:
            place = self._otherwise(request._replace(number=self._asked), replicas)
            self._asked += 1
        for key in keys:
            self._who[key] = self._who.get(key, 0) | 1 << place
        return place
