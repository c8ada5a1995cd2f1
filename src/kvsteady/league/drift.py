"""A queue that never empties, whose law of lengths changes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads.requests import check_options, check_workload, in_batches
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.workload.law import Workload


@dataclass(frozen=True)
class Drift:
    """Requests of one law, and from some request on of another.

    Parameters
    ----------
    first, second
        The laws.
    change
        Requests of the first.
    max_tokens, seed
        As in `Saturated`.

    Raises
    ------
    InputError
        An option out of its range.
    """

    first: Workload
    second: Workload
    change: int
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.first)
        check_workload(self.second)
        check_options(self.change, self.max_tokens, self.seed)

    def feed(self) -> Feed:
        """Start over."""
        one, two = (
            Saturated(law, max_tokens=self.max_tokens, seed=self.seed).feed()
            for law in (self.first, self.second)
        )
        return replace(
            one,
            batches=self._batches(),
            largest_output=max(one.largest_output, two.largest_output),
            largest_prompt=max(one.largest_prompt, two.largest_prompt),
            smallest_prompt=min(one.smallest_prompt, two.smallest_prompt),
            smallest=min(one.smallest, two.smallest, key=sum),
            classes=None,
        )

    def _batches(self) -> Iterator[Any]:
        yield from in_batches(self.first, self.max_tokens, self.seed, self.change)
        for rows in in_batches(self.second, self.max_tokens, self.seed + 1, None):
            rows["id"] += self.change
            yield rows
