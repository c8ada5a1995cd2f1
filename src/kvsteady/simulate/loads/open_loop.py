"""Open loops: requests come when they come, whether or not the engine keeps up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.errors import InputError
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
from kvsteady.workload.ranges import real_number, whole_number


@dataclass(frozen=True)
class AtOnce:
    """Requests that all come in one moment.

    Parameters
    ----------
    workload
        Lengths of the requests.
    requests
        How many.
    at
        When, in seconds.
    max_tokens, seed
        As in `Saturated`.

    Raises
    ------
    InputError
        An option out of its range.
    """

    workload: Workload
    requests: int
    at: float = 0.0
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.workload)
        check_options(self.requests, self.max_tokens, self.seed)
        whole_number(self.requests, "requests", 1, 2**40)
        at_least_zero(self.at, "at")

    def feed(self) -> Feed:
        """Start over."""
        return drawn_feed(
            self.workload,
            self.max_tokens,
            self._batches(),
            self.requests,
        )

    def _batches(self) -> Iterator[Any]:
        for rows in in_batches(self.workload, self.max_tokens, self.seed, self.requests):
            rows["time"] = self.at
            yield rows


@dataclass(frozen=True)
class Poisson:
    """Requests come independently of each other, ``rate`` per second on average.

    Parameters
    ----------
    workload
        Lengths of the requests.
    rate
        Requests per second.
    requests
        How many; None for no end.
    max_tokens, seed
        As in `Saturated`; the seed draws the times too.

    Raises
    ------
    InputError
        An option out of its range.
    """

    workload: Workload
    rate: float
    requests: int | None = None
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.workload)
        real_number(self.rate, "rate")
        check_options(self.requests, self.max_tokens, self.seed)

    def feed(self) -> Feed:
        """Start over."""
        return drawn_feed(
            self.workload,
            self.max_tokens,
            self._batches(),
            self.requests,
        )

    def _gaps(self, seed: int, first: int, out: Any) -> None:
        draws.fill_waiting_times(seed, first, 1.0 / self.rate, out)

    def _batches(self) -> Iterator[Any]:
        own = draws.stream(self.seed, draws.ARRIVALS)
        now = 0.0
        for rows in in_batches(self.workload, self.max_tokens, self.seed, self.requests):
            gaps = np.empty(rows.size + 1)
            gaps[0] = now
            self._gaps(own, int(rows["id"][0]), gaps[1:])
            rows["time"] = np.cumsum(gaps)[1:]  # one after another: cutting does not change it
            now = float(rows["time"][-1])
            yield rows


@dataclass(frozen=True)
class Gamma(Poisson):
    """Requests come in bursts: times between them are gamma-distributed.

    Parameters
    ----------
    cv
        Coefficient of variation of the times between requests, 0.01 to 100: above 1 they cluster,
        1 is `Poisson`, below 1 they are spread evenly. (vLLM's bench calls 1/cv² burstiness.)

    The others as in `Poisson`.
    """

    cv: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.01 <= real_number(self.cv, "cv") <= 100:
            raise InputError(f"{self.cv:g} is out of range", field="cv", allowed="0.01 to 100")

    def _gaps(self, seed: int, first: int, out: Any) -> None:
        draws.fill_gammas(seed, first, 1.0 / self.rate, 1.0 / self.cv**2, out)
