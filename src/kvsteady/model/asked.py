"""The integer model under a policy that is asked once per iteration."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kvsteady.admission import (
    COMPLETED,
    EVICTED,
    NO_LIMIT,
    Policy,
    Setup,
    Victim,
    ask,
    new_view,
    victim_of,
    with_room,
)
from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.model import fluid, requeue
from kvsteady.model.arrivals import SHOWN, Arrivals, Line
from kvsteady.model.requeue_place import Requeue
from kvsteady.model.state import State
from kvsteady.model.system import System


class WholeRequests(Protocol):
    """What is asked of an integer machine beside `kvsteady.model.machines.Machine`."""

    def advance(self, rows: FloatArray) -> None: ...  # noqa: D102 -- Machine's

    def state(self) -> State: ...  # noqa: D102 -- Machine's

    def waiting(self) -> State:
        """Who was evicted with its tokens and waits."""

    def allow(self, requests: int) -> None:
        """Admit at most so many in the coming iteration, whatever the pace."""

    def queue_head(self, requests: int) -> IntArray:
        """Classes of the next so many of the queue."""


class AskedMachine:
    """An integer machine that asks a policy before each iteration.

    The policy is shown every request, so an iteration costs O(running). Its ``now`` counts
    iterations, and so does ``arrived``, of which `Arrivals` says what it is in a queue that never
    ends.

    Parameters
    ----------
    inner
        The machine, as it starts.
    policy, system
        Who is asked, and about what.
    requeue
        Where evicted requests wait; None where they begin anew (`Eviction.RESTART`).

    Raises
    ------
    InputError
        The policy has an order of victims other than the model's own, fewest generated first.
    """

    def __init__(
        self,
        inner: WholeRequests,
        policy: Policy,
        system: System,
        requeue: Requeue | None = None,
    ) -> None:
        if victim_of(policy) not in (None, Victim.FEWEST_GENERATED):
            raise InputError(
                "the exact model evicts whoever has generated fewest",
                field="victim",
                allowed=f"{Victim.FEWEST_GENERATED.value}; or run it on an engine",
            )
        self.inner = inner
        self._system, self._policy = system, policy
        self._memory = policy.start(Setup(system.kv_tokens, 1, 0, system.workload))
        self._view = new_view(1024)
        self._before = inner.state()
        self._who = _each(self._before)
        self._arrivals = Arrivals(self._who[1], requeue)
        self._totals = np.zeros(fluid.COLUMNS)
        self._done = 0

    def advance(self, rows: FloatArray) -> None:
        """See `Machine`."""
        for i in range(len(rows)):
            shown = self._show()
            self.inner.allow(max(0, min(int(ask(self._memory, self._view)), NO_LIMIT)))
            self.inner.advance(rows[i : i + 1])
            row, after = rows[i], self.inner.state()
            self._who = _each(after)
            resumed = int(row[requeue.RESUMED]) if row.size > requeue.RESUMED else 0
            self._arrivals.follow(
                self._done,
                shown,
                self._who[1],
                evicted=int(row[fluid.EVICTED]),
                resumed=resumed,
                fresh=int(row[fluid.ADMITTED]) - resumed,
            )
            self._done += 1
            self._totals += row[: fluid.COLUMNS]
            self._tell(after)
            self._before = after

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:
        """Raise: what a policy remembers is no part of a state that could recur."""
        del limit, tolerance
        raise InputError("has no state to recur", field="policy", allowed="greedy, or a pace")

    def state(self) -> State:
        """See `Machine`."""
        return self.inner.state()

    def waiting(self) -> State:
        """Who was evicted with its tokens and waits, the next to be admitted first."""
        return self.inner.waiting()

    def _show(self) -> tuple[Line, Line, Line]:
        """Fill the view; returns who is in memory, was evicted and stands in the queue."""
        state, facts = self._before, self._view.facts
        kinds, ages = self._who
        if kinds.size > self._view.running.size:
            self._view = with_room(self._view, 2 * kinds.size)
            facts = self._view.facts
        load, facts["running"] = self._system.workload, kinds.size
        facts["iteration"] = facts["ticks"] = self._done
        facts["now"] = float(self._done)
        facts["block"], facts["blocks"] = 1, self._system.kv_tokens
        held = int(state.mass @ (load.prompt[state.row] + state.age)) if state.row.size else 0
        facts["free"] = max(self._system.kv_tokens - held, 0)
        facts["waiting"] = facts["arrived"] = NO_LIMIT
        facts["admitted"] = round(self._totals[fluid.ADMITTED])
        facts["evicted"] = round(self._totals[fluid.EVICTED])
        facts["completed"] = round(self._totals[fluid.COMPLETED])
        facts["shown_running"] = kinds.size
        came, shown = self._arrivals, self._view
        memory = self._fill(shown.running[: kinds.size], kinds, ages, came.running)
        again, tokens = _each(self.inner.waiting())
        many = min(again.size, SHOWN)
        if many:
            self._fill(shown.waiting[:many], again[:many], tokens[:many], came.evicted[:many])
        fresh = self.inner.queue_head(SHOWN)
        facts["shown_waiting"] = many + fresh.size
        rows = shown.waiting[many : many + fresh.size]
        queue = self._fill(rows, fresh, np.zeros_like(fresh), came.queue)
        return memory, Line(tokens, load.output[again] - tokens), queue

    def _fill(self, rows: np.ndarray, kinds: IntArray, ages: IntArray, arrived: FloatArray) -> Line:
        limits = self._system.workload.output[kinds]
        rows["prompt"], rows["generated"] = self._system.workload.prompt[kinds], ages
        rows["limit"], rows["arrived"] = limits, arrived
        rows["output"] = limits if self._policy.oracle else 0
        return Line(ages, limits - ages)

    def _tell(self, after: State) -> None:
        """Work out who left: a request that is not there an iteration older.

        The youngest are evicted, so who had one token to go and is not there completed.
        """
        load, system = self._system.workload, self._system
        before = self._before.table(system)
        older = np.zeros_like(before)
        older[:, :-1] = after.table(system)[:, 1:]
        gone = before - older
        kinds, ages = np.nonzero(gone > 0)
        rows = self._view.gone
        many = 0
        for kind, age in zip(kinds.tolist(), ages.tolist(), strict=True):
            last = age + 1 == load.output[kind]
            for _ in range(min(int(gone[kind, age]), rows.size - many)):
                rows[many] = (
                    COMPLETED if last else EVICTED,
                    load.prompt[kind],
                    age + 1 if last else age,
                    load.output[kind],
                )
                many += 1
        self._view.facts["shown_gone"] = many


def _each(state: State) -> tuple[IntArray, IntArray]:
    """Class and age of each request of a state."""
    who = np.repeat(np.arange(state.row.size), state.mass.astype(np.int64))
    return state.row[who], state.age[who]
