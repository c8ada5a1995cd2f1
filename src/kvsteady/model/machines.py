"""The arrays that the kernels work on, set up from a system and read back as states."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import numpy as np

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError, shown
from kvsteady.model import fluid, integer
from kvsteady.model.admission import Pace
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import System
from kvsteady.workload.ranges import whole_number

Arithmetic = Literal["fluid", "integer"]

MAX_ENTRIES = 50_000_000


class Machine(Protocol):
    """A running model: its state advances in place."""

    def advance(self, rows: FloatArray) -> None:
        """Iterate ``len(rows)`` times and record each iteration; see `fluid.COLUMNS`."""

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:
        """Iterate until a state recurs: (period, residual), period 0 after ``limit`` in vain."""

    def state(self) -> State:
        """Who is in memory before the coming iteration."""


class FluidMachine:
    """The fluid model. Prompts of one output length count through their mean, which is exact,
    unless an arbitrary start tells them apart.
    """

    def __init__(self, system: System, pace: Pace, start: State | Cohorts | None) -> None:
        load = system.workload
        longest = load.longest_output
        if isinstance(start, State):
            start.check(system, whole_requests=False)
            outputs, share, prompt = load.output, load.share, load.prompt.astype(np.float64)
            self._table = start.table(system)
            mixed = 0
        else:
            outputs, share, prompt = load.by_output
            self._table = np.zeros((1, 1))
            mixed = -longest - 1  # every cohort has the workload's own mix
        law = (outputs, share, prompt, load.memory_weights(), load.survival)
        ring = np.zeros(power_of_two(longest + 1))
        mask = ring.size - 1
        births = np.zeros(ring.size, dtype=np.int64)
        clock = np.zeros(3, dtype=np.int64)
        level = np.zeros(3)
        ages: list[int] = []
        if isinstance(start, State):
            ages = sorted({int(age) for age in start.age}, reverse=True)
            for age in ages:
                ring[-age & mask] = 1.0
            level[fluid.COUNT] = start.mass.sum()
            level[fluid.USED] = start.kv_tokens(system)
        elif isinstance(start, Cohorts):
            if start.amplitude.shape != (longest,):
                raise InputError(
                    f"{start.amplitude.size} cohorts", field="amplitude", allowed=f"{longest}"
                )
            ages = np.flatnonzero(start.amplitude)[::-1].tolist()
            for age in ages:
                ring[-age & mask] = start.amplitude[age]
            level[fluid.COUNT] = start.amplitude @ law[4]
            level[fluid.USED] = start.amplitude @ law[3]
        births[: len(ages)] = [-age for age in ages]
        clock[fluid.TOP] = len(ages)
        self._system = system
        self._mixed = mixed
        self._args = (
            law,
            (pace.rate, pace.depth),
            float(system.kv_tokens),
            self._table,
            mixed,
            ring,
            births,
            clock,
            level,
        )

    def advance(self, rows: FloatArray) -> None:
        """See `Machine`."""
        fluid.run(*self._args, rows)

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:
        """See `Machine`."""
        longest = self._system.workload.longest_output
        if self._mixed == 0:  # once the start has left, cohorts differ by amplitude alone
            self.advance(np.empty((longest, fluid.COLUMNS)))
        period, residual = fluid.seek(*self._args, tolerance, limit)
        return int(period), float(residual)

    def state(self) -> State:
        """See `Machine`."""
        _, _, _, table, mixed, ring, births, clock, _ = self._args
        load = self._system.workload
        mask = ring.size - 1
        row, age, mass = [], [], []
        for place in range(clock[fluid.BOTTOM], clock[fluid.TOP]):
            birth = int(births[place & mask])
            old = int(clock[fluid.TIME]) - birth
            here = np.flatnonzero(load.output > old)
            mix = load.share[here] if birth > mixed else table[here, -birth]
            row.append(here)
            age.append(np.full(here.size, old))
            mass.append(mix * ring[birth & mask])
        if not row:
            return State.dense(np.zeros((len(load), load.longest_output)))
        kept = np.concatenate(mass) > 0
        return State(
            frozen_ints(np.concatenate(row)[kept]),
            frozen_ints(np.concatenate(age)[kept]),
            frozen_floats(np.concatenate(mass)[kept]),
        )


class IntegerMachine:
    """The integer model: whole requests, classes in turn or drawn at random."""

    def __init__(self, system: System, pace: Pace, start: State | None, seed: int) -> None:
        load = system.workload
        self._system = system
        self._smallest = int(load.prompt.min()) + 1
        self._law = (
            load.output,
            load.prompt,
            load.tickets,
            np.cumsum(load.tickets),
            self._smallest,
        )
        self._pace = (credit_units(pace.rate), credit_units(pace.depth))
        self._queue = (seed, load.random)
        self._calendar = np.full(power_of_two(load.longest_output + 1), integer.NONE)
        self._clock = np.zeros(integer.CELLS, dtype=np.int64)
        self._clock[integer.YOUNGEST] = self._clock[integer.FREE] = integer.NONE
        self._due = np.zeros(len(load), dtype=np.int64)
        self._pool = np.empty((0, integer.FIELDS), dtype=np.int64)
        entries = 0 if start is None else start.row.size
        self._enlarge(1024 + entries)
        self._clock[integer.HEAD] = integer.next_class(
            load.tickets, self._law[3], self._due, *self._queue, 0
        )
        if start is not None:
            start.check(system, whole_requests=True)
            order = np.argsort(-start.age, kind="stable")
            for j in order[start.mass[order] > 0]:
                integer.place(
                    start.row[j],
                    -start.age[j],
                    int(start.mass[j]),
                    self._pool,
                    self._calendar,
                    self._clock,
                    self._law,
                )

    def _args(self) -> tuple[object, ...]:
        return (
            self._law,
            self._pace,
            self._system.kv_tokens,
            self._queue,
            self._pool,
            self._calendar,
            self._clock,
            self._due,
        )

    def _enlarge(self, entries: int) -> None:
        """Give ``pool`` room for at least ``entries`` runs, the new ones on the free list."""
        if entries > MAX_ENTRIES:
            raise InputError(
                f"more than {MAX_ENTRIES:,} requests in memory at once are too many to follow "
                "one by one",
                field="kv_tokens",
                allowed="less memory, or the fluid model",
            )
        old = self._pool.shape[0]
        pool = np.empty((entries, integer.FIELDS), dtype=np.int64)
        pool[:old] = self._pool
        pool[old:, integer.OLDER] = np.arange(old + 1, entries + 1)
        pool[-1, integer.OLDER] = self._clock[integer.FREE]
        self._clock[integer.FREE] = old
        self._clock[integer.SPARE] += entries - old
        self._pool = pool

    def advance(self, rows: FloatArray) -> None:
        """See `Machine`; enlarges the pool where it has to."""
        done = integer.run(*self._args(), rows)
        while done < len(rows):
            self._enlarge(self._wanted())
            done += integer.run(*self._args(), rows[done:])

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:  # noqa: ARG002 -- exact
        """See `Machine`; whole requests recur exactly or not at all."""
        if self._system.workload.random:
            raise InputError(
                "random lengths have no exact cycle", allowed="classes, or the fluid model"
            )
        period, sufficed = integer.seek(*self._args(), limit)
        while not sufficed:  # the states passed on the way are lost time, nothing else
            self._enlarge(self._wanted())
            period, sufficed = integer.seek(*self._args(), limit)
        return int(period), 0.0

    def _wanted(self) -> int:
        used = int(self._clock[integer.USED])
        room = max(self._system.kv_tokens - used, 0) // self._smallest
        credit = min(int(self._clock[integer.CREDIT]) + self._pace[0], self._pace[1])
        return max(2 * len(self._pool), len(self._pool) + min(room, credit // integer.UNIT) + 1)

    def allow(self, requests: int) -> None:
        """Admit at most so many in the coming iteration, whatever the pace."""
        self._pace = 0, 2**61
        self._clock[integer.CREDIT] = requests * integer.UNIT

    def queue_head(self, requests: int) -> IntArray:
        """Classes of the next so many of the queue."""
        return head_of_queue(self._law, self._queue, self._clock, self._due, requests)

    def waiting(self) -> State:
        """Nobody: who is evicted re-enters as new."""
        return State.dense(np.zeros((len(self._system.workload), 1)))

    def state(self) -> State:
        """See `Machine`."""
        entry = int(self._clock[integer.YOUNGEST])
        found = []
        while entry != integer.NONE:
            kind, born, size = self._pool[entry, :3].tolist()
            found.append((kind, int(self._clock[integer.TIME]) - born, size))
            entry = int(self._pool[entry, integer.OLDER])
        table = np.array(found[::-1], dtype=np.int64).reshape(-1, 3)
        return State(frozen_ints(table[:, 0]), frozen_ints(table[:, 1]), frozen_floats(table[:, 2]))


def machine(
    system: System,
    pace: Pace,
    arithmetic: Arithmetic,
    start: State | Cohorts | None,
    seed: int,
) -> Machine:
    """Set up the kernel's arrays for a run."""
    check_start(start)
    if arithmetic == "fluid":
        return FluidMachine(system, pace, start)
    if arithmetic != "integer":
        raise InputError(f"{arithmetic!r}", field="arithmetic", allowed="fluid, integer")
    if isinstance(start, Cohorts):
        raise InputError("cohorts are fluid", field="start", allowed="a State of whole requests")
    return IntegerMachine(system, pace, start, whole_number(seed, "seed", 0, 2**62 - 1))


def head_of_queue(
    law: tuple[Any, ...], queue: tuple[Any, ...], clock: IntArray, due: IntArray, requests: int
) -> IntArray:
    """Classes of the next so many requests of a queue, which stays as it is."""
    order: IntArray = integer.next_classes(law[2], law[3], due.copy(), *queue[:2], clock, requests)
    return order


def check_start(start: object) -> None:
    """Raise `InputError` for what is no start: it would pass for an empty memory."""
    if not (start is None or isinstance(start, State | Cohorts)):
        raise InputError(shown(start), field="start", allowed="None, a State, Cohorts")


def power_of_two(least: int) -> int:
    """Return the smallest power of two that is no less: the size of a ring."""
    return 1 << (least - 1).bit_length()


def credit_units(requests: float) -> int:
    """Requests in units of 2^-30; the unlimited pace stays far from overflow."""
    return 2**61 if math.isinf(requests) else min(max(round(requests * integer.UNIT), 1), 2**61)
