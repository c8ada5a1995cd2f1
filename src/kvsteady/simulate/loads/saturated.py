"""A queue that never empties: what the theory is about."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads.requests import check_options, check_workload, drawn_feed, in_batches
from kvsteady.workload.law import Workload


@dataclass(frozen=True)
class Saturated:
    """Requests are there whenever the engine wants one, in the order of the exact model.

    Parameters
    ----------
    workload
        Lengths: in turn by their shares, or drawn, as the workload says.
    requests
        How many; None for no end.
    max_tokens
        Cuts every output, and what the engine is told of it; None tells it the output.
    seed
        Of the draws, where lengths are random.

    Raises
    ------
    InputError
        An option out of its range.
    """

    workload: Workload
    requests: int | None = None
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.workload)
        check_options(self.requests, self.max_tokens, self.seed)

    def feed(self) -> Feed:
        """Start over."""
        batches = in_batches(self.workload, self.max_tokens, self.seed, self.requests)
        return drawn_feed(
            self.workload,
            self.max_tokens,
            batches,
            self.requests,
            on_demand=True,
        )
