"""Several replicas under a load that never lets them wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.simulate.fleet.fleet import Desk
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.load import Feed, Load

# Rows in a row of which a replica may get none.
_PATIENCE = 1_000_000


def own_shares(load: Load, router: Router, replicas: int) -> list[Feed]:
    """A feed for each replica with the requests that the router sends there.

    Each is a pass of its own over the load, so a replica never waits for another.
    """
    return [_share(load.feed(), router, number, replicas) for number in range(replicas)]


def _share(feed: Feed, router: Router, number: int, replicas: int) -> Feed:
    return replace(feed, batches=_rows(feed, router, number, replicas))


def _rows(feed: Feed, router: Router, number: int, replicas: int) -> Iterator[Any]:
    desk = Desk(router, feed, [_Unseen()] * replicas)
    missed = 0
    for rows in feed.batches:
        places = np.array([place for _, place in desk.places(rows)])
        mine = rows[places == number]
        missed = 0 if mine.size else missed + rows.size
        if missed > _PATIENCE:
            raise InputError(
                f"replica {number} is sent nothing", field="router", allowed="work for each replica"
            )
        if mine.size:
            yield mine


class _Unseen:
    """A `View` that cannot be looked at."""

    def _refuse(self) -> int:
        raise InputError(
            "it looks at the replicas when a request arrives, and in a saturated load none does",
            field="router",
            allowed="round robin, random, by class, mixed; or an open or closed loop",
        )

    kv_tokens = free_tokens = running = waiting = waiting_tokens = property(_refuse)
