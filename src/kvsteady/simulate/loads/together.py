"""Several open loops at once: a burst on top of a steady rate, a mix of tenants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.loads.open_loop import AtOnce, Poisson
from kvsteady.simulate.records import NONE
from kvsteady.workload.law import Workload


@dataclass(frozen=True)
class Together:
    """The requests of all the loads, in the order in which they come.

    Parameters
    ----------
    loads
        Open loops. Numbers of requests and sessions, and block keys, are made distinct; classes
        (``kind``) keep their numbers.

    Raises
    ------
    InputError
        No load; one without arrival times (saturated, closed); block keys of different lengths.
    """

    loads: tuple[Load, ...]

    def __post_init__(self) -> None:
        if not self.loads:
            raise InputError("no load given", field="loads", allowed="one or more")

    def feed(self) -> Feed:
        """Start over."""
        feeds = [each.feed() for each in self.loads]
        if any(feed.on_demand or feed.clients for feed in feeds):
            raise InputError(
                "a saturated or closed load has no arrival times",
                field="loads",
                allowed="open loops",
            )
        key_tokens = {feed.key_tokens for feed in feeds} - {0}
        if len(key_tokens) > 1:
            raise InputError(
                f"block keys of {sorted(key_tokens)} tokens",
                field="loads",
                allowed="keys of one length",
            )
        totals = [feed.total for feed in feeds if feed.total is not None]
        parts = _apart(feeds)
        classes = [feed.classes for feed in feeds]
        return Feed(
            _merged([part.batches for part in parts]),
            max(feed.largest_output for feed in feeds),
            max(feed.largest_prompt for feed in feeds),
            total=sum(totals) if len(totals) == len(feeds) else None,
            smallest_prompt=min(feed.smallest_prompt for feed in feeds),
            smallest=min((feed.smallest for feed in feeds), key=sum),
            turns=np.concatenate([part.turns for part in parts]),
            keys=np.concatenate([part.keys for part in parts]),
            key_tokens=max(key_tokens, default=0),
            classes=None if None in classes else max(each for each in classes if each is not None),
        )


def burst(
    workload: Workload,
    rate: float,
    size: int,
    at: float,
    *,
    requests: int | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
) -> Together:
    """A steady Poisson rate with a burst on top, to see whether an engine comes back from it.

    Parameters
    ----------
    workload
        Lengths of all requests.
    rate, requests
        Of the steady part, per second; how many, None for no end.
    size, at
        Requests of the burst, and its moment in seconds.
    max_tokens, seed
        As in `Poisson`.
    """
    return Together(
        (
            Poisson(workload, rate, requests=requests, max_tokens=max_tokens, seed=seed),
            AtOnce(workload, size, at, max_tokens=max_tokens, seed=seed + 1),
        )
    )


def _apart(feeds: list[Feed]) -> list[Feed]:
    """The feeds with numbers, keys and rows that do not collide."""
    parts = []
    turns, keys, largest_key = 0, 0, 0
    for i, feed in enumerate(feeds):
        shift = (i, len(feeds), turns, keys)
        parts.append(
            Feed(
                map(partial(_renumbered, shift), feed.batches),
                feed.largest_output,
                feed.largest_prompt,
                turns=_renumbered(shift, feed.turns),
                keys=feed.keys + largest_key,
            )
        )
        turns += feed.turns.size
        keys += feed.keys.size
        largest_key += int(feed.keys.max(initial=-1)) + 1
    return parts


def _renumbered(shift: tuple[int, int, int, int], rows: Any) -> Any:
    number, loads, turns, keys = shift
    rows = rows.copy()
    rows["id"] = rows["id"] * loads + number
    rows["session"] = np.where(rows["session"] == NONE, NONE, rows["session"] * loads + number)
    rows["follow"] = np.where(rows["follow"] == NONE, NONE, rows["follow"] + turns)
    rows["keys"] += keys
    return rows


def _merged(sources: list[Iterator[Any]]) -> Iterator[Any]:
    """Merge by time; at equal times in the order of the sources. Holds a batch of each."""
    heads = [next(source, None) for source in sources]
    while any(head is not None for head in heads):
        # Whatever is to come is no earlier than the last row of its source's batch.
        known = min(float(head["time"][-1]) for head in heads if head is not None)
        ready = []
        for i, head in enumerate(heads):
            if head is None:
                continue
            cut = int(np.searchsorted(head["time"], known, side="right"))
            ready.append(head[:cut])
            heads[i] = head[cut:] if cut < head.size else next(sources[i], None)
        rows = np.concatenate(ready)
        yield rows[np.argsort(rows["time"], kind="stable")]
