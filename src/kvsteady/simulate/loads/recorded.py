"""An open loop with the arrivals of a trace."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.errors import InputError
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads.requests import (
    capped,
    check_options,
    check_workload,
    recorded_batches,
    scaled,
    smallest_of,
)
from kvsteady.workload.arrivals import Arrivals
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import real_number


@dataclass(frozen=True)
class Recorded:
    """The requests of a trace, when they came.

    Parameters
    ----------
    workload
        What `read_trace` returned, with ``arrivals``.
    rate
        Requests per second on average to which the times are stretched evenly; None leaves them.
    requests
        Only the first so many.
    max_tokens
        Cuts every output, and what the engine is told of it; None tells it the output.

    Raises
    ------
    InputError
        The trace has no arrival times, or an option is out of its range.
    """

    workload: Workload
    rate: float | None = None
    requests: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        check_workload(self.workload)
        check_options(self.requests, self.max_tokens)
        if self.rate is not None:
            real_number(self.rate, "rate")
        if not len(self._arrivals):
            raise InputError("no recorded request", field="workload", allowed="one or more")

    @property
    def _arrivals(self) -> Arrivals:
        if self.workload.arrivals is None:
            raise InputError(
                f"{self.workload.name} has no arrival times",
                field="workload",
                allowed="a trace with times; or give a rate and draw them (Poisson)",
            )
        return self.workload.arrivals

    def feed(self) -> Feed:
        """Start over."""
        record = self._arrivals
        part = slice(0, self.requests)
        prompt, output = record.prompt[part], record.output[part]
        seconds = scaled(record.seconds, self.rate)[part]
        return Feed(
            recorded_batches(seconds, prompt, output, self.max_tokens),
            int(capped(output, self.max_tokens).max()),
            int(prompt.max()),
            total=prompt.size,
            smallest_prompt=int(prompt.min()),
            smallest=smallest_of(prompt, capped(output, self.max_tokens)),
            classes=1,
        )
