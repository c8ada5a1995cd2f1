"""Requests of a workload, one after another, and what every load has in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError, shown
from kvsteady.simulate import load as feeds
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads import draws
from kvsteady.workload.arrivals import mean_rate
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, whole_number

#: Rows that a load makes at a time: as many as an engine's inbox takes.
BATCH = 1 << 14
MOST = 2**40


class Requests:
    """Requests of a workload in the order of the exact model: in turn, or drawn.

    Parameters
    ----------
    workload
        The law of their lengths.
    max_tokens
        Cuts every output, and is what the engine is told; None tells it the output, as a benchmark
        does that ignores the end-of-sequence token.
    seed
        Of the draws, where the workload is random.
    """

    def __init__(self, workload: Workload, max_tokens: int | None, seed: int) -> None:
        self._lengths = workload.prompt, capped(workload.output, max_tokens)
        self._limit = max_tokens
        self._law = workload.tickets, np.cumsum(workload.tickets), np.zeros_like(workload.tickets)
        self._queue = seed, workload.random
        self._next = 0

    def take(self, count: int) -> Any:
        """The next requests: `ARRIVAL` rows of shape ``(count,)``, with no time yet."""
        rows = feeds.arrivals(count)
        kinds = np.zeros(count, dtype=np.int64)
        draws.fill_classes(*self._law, *self._queue, self._next, kinds)
        prompt, output = self._lengths
        rows["id"] = np.arange(self._next, self._next + count)
        rows["prompt"], rows["output"], rows["kind"] = prompt[kinds], output[kinds], kinds
        rows["limit"] = rows["output"] if self._limit is None else self._limit
        self._next += count
        return rows


def capped(output: Any, max_tokens: int | None) -> Any:
    """Output lengths cut at ``max_tokens``."""
    return output if max_tokens is None else np.minimum(output, max_tokens)


def smallest_of(prompt: Any, output: Any) -> tuple[int, int]:
    """Prompt and output of the request with the fewest tokens, from columns of both."""
    place = int(np.argmin(prompt + output))
    return int(prompt[place]), int(output[place])


def in_batches(
    workload: Workload, max_tokens: int | None, seed: int, total: int | None
) -> Iterator[Any]:
    """Yield ``total`` requests without a time, or requests without end."""
    requests = Requests(workload, max_tokens, seed)
    left = MOST if total is None else total
    while left > 0:
        yield requests.take(min(BATCH, left))
        left -= BATCH


def drawn_feed(
    workload: Workload,
    max_tokens: int | None,
    batches: Iterator[Any],
    total: int | None,
    *,
    on_demand: bool = False,
    clients: int = 0,
) -> Feed:
    """A feed of a workload's requests, with the bounds on their lengths."""
    return Feed(
        batches,
        int(capped(workload.longest_output, max_tokens)),
        int(workload.prompt.max()),
        total=total,
        smallest_prompt=int(workload.prompt.min()),
        smallest=smallest_of(workload.prompt, capped(workload.output, max_tokens)),
        on_demand=on_demand,
        clients=clients,
        classes=len(workload),
    )


def recorded_batches(
    seconds: Any, prompt: Any, output: Any, max_tokens: int | None
) -> Iterator[Any]:
    """Yield recorded requests, given as columns."""
    for first in range(0, seconds.size, BATCH):
        part = slice(first, min(first + BATCH, seconds.size))
        rows = feeds.arrivals(part.stop - part.start)
        rows["id"] = np.arange(part.start, part.stop)
        rows["time"], rows["prompt"] = seconds[part], prompt[part]
        rows["output"] = capped(output[part], max_tokens)
        rows["limit"] = rows["output"] if max_tokens is None else max_tokens
        yield rows


def check_workload(value: object) -> None:
    """Raise `InputError` for what is no workload."""
    if not isinstance(value, Workload):
        raise InputError(f"{shown(value)} is no Workload", field="workload", allowed="a Workload")


def check_options(requests: int | None, max_tokens: int | None, seed: int = 0) -> None:
    """Raise `InputError` for what is out of range of what most loads take."""
    if requests is not None:
        whole_number(requests, "requests", 1, MOST)
    if max_tokens is not None:
        whole_number(max_tokens, "max_tokens", 1, MAX_OUTPUT)
    whole_number(seed, "seed", 0, 2**62 - 1)


def at_least_zero(value: object, name: str) -> float:
    """Check a finite number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
        raise InputError(f"{shown(value)} is out of range", field=name, allowed="at least 0")
    return float(value)


def scaled(seconds: FloatArray, rate: float | None) -> FloatArray:
    """Ascending arrival times from 0, stretched evenly to a mean rate in requests per second."""
    if rate is None:
        return seconds
    own = mean_rate(seconds)
    if own == 0:
        raise InputError(
            "the recorded requests came all at once", field="rate", allowed="a trace with a span"
        )
    return seconds * (own / rate)
