"""Find the periodic orbit that a run ends in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.admission import Policy
from kvsteady.errors import InputError
from kvsteady.model.admission import PacedPolicy, pace_of
from kvsteady.model.machines import Arithmetic
from kvsteady.model.requeue_machine import NOBODY, recorded_columns, runner, waiting_in
from kvsteady.model.requeue_place import AT_HEAD, Requeue
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import Averages, averages_of
from kvsteady.workload.ranges import whole_number


class Search(Enum):
    """How a search for a cycle ended; the value says what to do next."""

    EXACT = "the state recurs exactly"
    WITHIN_TOLERANCE = "the state recurs within the tolerance: the fluid model only nears its orbit"
    NOT_FOUND = "no state recurred: allow more iterations, or a larger tolerance in the fluid model"


@dataclass(frozen=True, eq=False)
class Cycle:
    """A periodic orbit, and what one turn of it does.

    Attributes
    ----------
    outcome
        How the search ended; the other fields mean nothing under `Search.NOT_FOUND`.
    period
        Iterations after which the state recurs; 1 is a fixed point. 0 if none was found.
    residual
        Largest difference in requests, per cohort, between the two states; 0 where exact.
    turn
        Averages over one period.
    state
        Who is in memory before the first iteration of the turn.
    eviction
        What becomes of evicted requests.
    waiting
        Who was evicted with its tokens and waits then, the next to be admitted first.
    """

    outcome: Search
    period: int
    residual: float
    turn: Averages | None
    state: State
    eviction: Eviction = Eviction.RESTART
    waiting: State = NOBODY

    @property
    def throughput(self) -> float:
        """Completed requests per iteration around the cycle; NaN if none was found."""
        return float("nan") if self.turn is None else self.turn.completed

    @property
    def evictions(self) -> float:
        """Requests evicted in one period; NaN if no cycle was found."""
        return float("nan") if self.turn is None else self.turn.evicted * self.period


def find_cycle(
    system: System,
    *,
    policy: PacedPolicy | Policy | None = None,
    arithmetic: Arithmetic = "fluid",
    start: State | Cohorts | None = None,
    limit: int = 10_000_000,
    tolerance: float = 1e-9,
    eviction: Eviction = Eviction.RESTART,
    requeue: Requeue = AT_HEAD,
) -> Cycle:
    """Iterate until a state recurs (Brent's algorithm) and describe the orbit.

    ``tolerance`` is relative to the requests that fit in memory and applies to the fluid model;
    whole requests recur exactly, the phase of queue and token bucket included. ``limit`` bounds
    the iterations of the search. ``eviction`` and ``requeue`` are those of `iterate`.

    Raises
    ------
    InputError
        An integer run of random lengths, which has no exact cycle; a number out of range.
    """
    limit = whole_number(limit, "limit", 1, 2**62)
    if not 0 <= tolerance < 1:
        raise InputError(f"{tolerance}", field="tolerance", allowed="0 or more, under 1")
    pace = pace_of(policy, system, whole_requests=arithmetic == "integer")
    engine = runner(system, pace, arithmetic, start, 0, eviction, requeue)
    scale = system.kv_tokens / float(system.workload.memory_weights()[0])
    period, residual = engine.seek(limit, tolerance * scale)
    state, waiting = engine.state(), waiting_in(engine)
    if period == 0:
        return Cycle(Search.NOT_FOUND, 0, float("inf"), None, state, eviction, waiting)
    sums = np.zeros(recorded_columns(eviction))
    left = period
    while left:  # a turn can be longer than memory holds rows
        rows = np.empty((min(left, 1 << 17), sums.size))
        engine.advance(rows)
        sums += rows.sum(axis=0)
        left -= len(rows)
    turn = averages_of(sums, period, eviction)
    outcome = Search.EXACT if residual == 0 else Search.WITHIN_TOLERANCE
    return Cycle(outcome, period, residual, turn, state, eviction, waiting)
