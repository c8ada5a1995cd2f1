"""Small runs on the paper's engine, whose iterations can be counted by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from kvsteady.model import Eviction
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.decoding import begin_decoding, crossings
from kvsteady.simulate.doors import fits, hold, hold_tick, left_of, schedule_of
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import Replica
from kvsteady.simulate.lists import append
from kvsteady.simulate.load import Feed
from kvsteady.simulate.moves import admit, evict
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.state import RUNNING, WAITING
from kvsteady.simulate.times import LinearTime
from stepping import feed_of

SECOND = LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0)


class Listed:
    """A load of requests given as dictionaries of `ARRIVAL` fields."""

    def __init__(self, *requests: dict[str, Any], **options: Any) -> None:
        self._requests, self._options = list(requests), options

    def feed(self) -> Feed:
        return feed_of(self._requests, **self._options)


def scenario(load: Any, kv_tokens: int = 1000, **options: Any) -> Scenario:
    """One replica of the paper's engine at a second per iteration, under resume."""
    eviction = options.pop("eviction", Eviction.RESUME)
    time = options.pop("time", SECOND)
    engine = options.pop("engine", Paper())
    count = options.pop("count", 1)
    replica = Replica(engine, kv_tokens, time, eviction)
    return Scenario(load, (replica,) * count, **options)


class _OldestHabits(NamedTuple):
    first: int = 0
    second: int = 0
    third: int = 0


@dataclass(frozen=True)
class EvictsOldest:
    """As the paper's engine, but evicts who has run longest: under restart two can take turns."""

    name: str = "evicts-oldest"
    block_size: int = 1
    unwritten: int = 0

    def habits(self) -> Any:
        return _OldestHabits()

    def memory(self, blocks: int, slots: int) -> Any:
        del blocks, slots
        return Counted()


@schedule_of(_OldestHabits)
def _schedule(engine, memory, s):  # noqa: ARG001 - codes behind a door share a signature
    while crossings(s) > s.clock.free:
        oldest = s.lists[RUNNING].first
        evict(memory, s, oldest, RUNNING)
        append(s, WAITING, oldest)
    hold_tick(memory, s)
    s.clock.ticking = 1
    slot = s.lists[WAITING].first
    if slot >= 0 and s.clock.preempted == 0:
        tokens = s.requests[slot].prompt + s.requests[slot].kept
        if fits(memory, s, slot, tokens + 1, 0):
            hold(memory, s, slot, tokens + 1)
            admit(s, slot, tokens)
            s.clock.prefill_tokens += tokens
            begin_decoding(s, slot)


@left_of(_OldestHabits)
def _left(engine, s, slot):  # noqa: ARG001 - as above
    return
