"""The arrays of the kernels in which evicted requests keep their tokens."""

from __future__ import annotations

import numpy as np

from kvsteady.admission import Policy
from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError, shown
from kvsteady.model import fluid, integer, requeue, requeue_fluid, requeue_search
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.asked import AskedMachine
from kvsteady.model.machines import (
    MAX_ENTRIES,
    Arithmetic,
    IntegerMachine,
    Machine,
    check_start,
    credit_units,
    head_of_queue,
    machine,
    power_of_two,
)
from kvsteady.model.requeue_place import Requeue
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System
from kvsteady.workload.ranges import whole_number

NOBODY = State(frozen_ints([]), frozen_ints([]), frozen_floats([]))


class IntegerRequeue:
    """Whole requests, classes in turn or drawn at random; evicted ones keep their tokens."""

    def __init__(
        self, system: System, pace: Pace, start: State | None, seed: int, place: Requeue
    ) -> None:
        load = system.workload
        self._system = system
        smallest = int(load.prompt.min()) + 1
        self._law = (load.output, load.prompt, load.tickets, np.cumsum(load.tickets), smallest)
        self._pace = (credit_units(pace.rate), credit_units(pace.depth))
        by_age = place.order == "generated"
        self._queue = (seed, load.random, place.place == "tail", by_age, place.length)
        self._calendar = np.full(power_of_two(load.longest_output + 1), integer.NONE)
        self._clock = np.zeros(requeue.CELLS, dtype=np.int64)
        for cell in (requeue.YOUNGEST, requeue.FREE, requeue.FIRST, requeue.LAST):
            self._clock[cell] = integer.NONE
        if place.place == "tail":
            self._clock[requeue.JOINED] = place.length
        self._due = np.zeros(len(load), dtype=np.int64)
        self._pool = np.empty((0, requeue.FIELDS), dtype=np.int64)
        self._enlarge(1024 + (0 if start is None else start.row.size))
        self._clock[requeue.HEAD] = integer.next_class(
            load.tickets, self._law[3], self._due, seed, load.random, 0
        )
        if start is not None:
            start.check(system, whole_requests=True)
            for j in np.argsort(-start.age, kind="stable"):
                if start.mass[j] > 0:
                    self._put(int(start.row[j]), int(start.age[j]), int(start.mass[j]))

    def _put(self, kind: int, age: int, size: int) -> None:
        """Put requests of a start in memory; they come oldest first."""
        entry = requeue.take(self._pool, self._clock)
        self._pool[entry, [requeue.CLASS, requeue.SIZE, requeue.BORN]] = kind, size, -age
        requeue.enter_memory(entry, False, self._pool, self._calendar, self._clock, self._law[0])
        self._clock[requeue.COUNT] += size
        self._clock[requeue.USED] += size * (int(self._law[1][kind]) + age + 1)

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
                f"more than {MAX_ENTRIES:,} requests at once are too many to follow one by one",
                field="kv_tokens",
                allowed="less memory, or the fluid model",
            )
        old = self._pool.shape[0]
        pool = np.zeros((entries, requeue.FIELDS), dtype=np.int64)
        pool[:old] = self._pool
        pool[old:, requeue.OLDER] = np.arange(old + 1, entries + 1)
        pool[-1, requeue.OLDER] = self._clock[requeue.FREE]
        self._clock[requeue.FREE] = old
        self._clock[requeue.SPARE] += entries - old
        self._pool = pool

    def _make_room(self) -> None:
        credit = min(int(self._clock[requeue.CREDIT]) + self._pace[0], self._pace[1])
        wanted = requeue.entries_wanted(
            self._law, credit, self._system.kv_tokens, self._queue[2], self._clock
        )
        held, short = len(self._pool), int(wanted - self._clock[requeue.SPARE])
        self._enlarge(held + max(short, min(held // 4, MAX_ENTRIES - held)))

    def advance(self, rows: FloatArray) -> None:
        """See `Machine`; enlarges the pool where it has to."""
        done = requeue.run(*self._args(), rows)
        while done < len(rows):
            self._make_room()
            done += requeue.run(*self._args(), rows[done:])

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:  # noqa: ARG002 -- exact
        """See `Machine`; whole requests recur exactly or not at all."""
        if self._system.workload.random:
            raise InputError(
                "random lengths have no exact cycle", allowed="classes, or the fluid model"
            )
        period, done, sufficed = requeue_search.seek(*self._args(), limit)
        while not sufficed:  # the states passed on the way are lost time, nothing else
            self._make_room()
            limit -= done
            period, done, sufficed = requeue_search.seek(*self._args(), limit)
        return int(period), 0.0

    def allow(self, requests: int) -> None:
        """Admit at most so many in the coming iteration, whatever the pace."""
        self._pace = 0, 2**61
        self._clock[requeue.CREDIT] = requests * integer.UNIT

    def queue_head(self, requests: int) -> IntArray:
        """Classes of the next so many of the queue, behind those who were evicted."""
        return head_of_queue(self._law, self._queue, self._clock, self._due, requests)

    def state(self) -> State:
        """See `Machine`."""
        runs = self._runs()
        return _state_of(runs[runs[:, 3] < 0][::-1])

    def waiting(self) -> State:
        """Who was evicted and waits, the next to be admitted first."""
        runs = self._runs()
        return _state_of(runs[runs[:, 3] >= 0])

    def _runs(self) -> IntArray:
        runs = np.empty((len(self._pool), 4), dtype=np.int64)
        return runs[: requeue_search.photograph(self._pool, self._clock, runs)]


class FluidRequeue:
    """The fluid model; evicted cohorts wait at the queue's head."""

    def __init__(self, system: System, pace: Pace, start: Cohorts | None) -> None:
        load = system.workload
        longest = load.longest_output
        law = (*load.by_output, load.memory_weights(), load.survival)
        ring = np.zeros(power_of_two(longest + 1))
        births = np.zeros(ring.size, dtype=np.int64)
        stack = np.zeros((longest + 2, 2))
        clock = np.zeros(4, dtype=np.int64)
        level = np.zeros(4)
        if start is not None:
            if start.amplitude.shape != (longest,):
                raise InputError(
                    f"{start.amplitude.size} cohorts", field="amplitude", allowed=f"{longest}"
                )
            ages = np.flatnonzero(start.amplitude)[::-1]
            ring[-ages & (ring.size - 1)] = start.amplitude[ages]
            births[: ages.size] = -ages
            clock[fluid.TOP] = ages.size
            level[fluid.COUNT] = start.amplitude @ load.survival
            level[fluid.USED] = start.amplitude @ load.memory_weights()
        self._system = system
        pair = (pace.rate, pace.depth)
        self._args = (law, pair, float(system.kv_tokens), ring, births, stack, clock, level)

    def advance(self, rows: FloatArray) -> None:
        """See `Machine`."""
        requeue_fluid.run(*self._args, rows)

    def seek(self, limit: int, tolerance: float) -> tuple[int, float]:
        """See `Machine`."""
        period, residual = requeue_fluid.seek(*self._args, tolerance, limit)
        return int(period), float(residual)

    def state(self) -> State:
        """See `Machine`."""
        _, _, _, ring, births, _, clock, _ = self._args
        mask = ring.size - 1
        held = births[np.arange(clock[fluid.BOTTOM], clock[fluid.TOP]) & mask]
        return self._unfold(clock[fluid.TIME] - held, ring[held & mask])

    def waiting(self) -> State:
        """Who was evicted and waits, the next to be admitted first."""
        stack, clock = self._args[5], self._args[6]
        top = stack[: clock[requeue_fluid.HEIGHT]][::-1]
        return self._unfold(top[:, 0].astype(np.int64), top[:, 1])

    def _unfold(self, ages: IntArray, amplitudes: FloatArray) -> State:
        """Classes of cohorts, which have the workload's own mix."""
        load = self._system.workload
        place, row = np.nonzero((load.output > ages[:, None]) & (amplitudes[:, None] > 0))
        mass = load.share[row] * amplitudes[place]
        return State(frozen_ints(row), frozen_ints(ages[place]), frozen_floats(mass))


def runner(
    system: System,
    pace: Pace | Policy,
    arithmetic: Arithmetic,
    start: State | Cohorts | None,
    seed: int,
    eviction: Eviction,
    place: Requeue,
) -> Machine:
    """Set up the arrays for a run under any `Eviction`; a policy is asked in each iteration.

    Raises
    ------
    InputError
        What `machine` refuses; a tail or an uneven start in the fluid model.
    """
    if not isinstance(eviction, Eviction):  # a word would pass for another one
        raise InputError(shown(eviction), field="eviction", allowed=", ".join(map(str, Eviction)))
    if not isinstance(pace, Pace):
        if arithmetic != "integer":
            raise InputError(
                f"{type(pace).__name__} decides on whole requests",
                field="policy",
                allowed="arithmetic='integer', or a policy with a pace",
            )
        inner = runner(system, UNLIMITED, arithmetic, start, seed, eviction, place)
        assert isinstance(inner, IntegerMachine | IntegerRequeue)
        place_of = None if eviction is Eviction.RESTART else place
        return AskedMachine(inner, pace, system, place_of)
    if eviction is Eviction.RESTART:
        return machine(system, pace, arithmetic, start, seed)
    if not isinstance(place, Requeue):
        raise InputError(shown(place), field="requeue", allowed="a Requeue")
    check_start(start)
    if arithmetic == "integer":
        if isinstance(start, Cohorts):
            raise InputError(
                "cohorts are fluid", field="start", allowed="a State of whole requests"
            )
        seed = whole_number(seed, "seed", 0, 2**62 - 1)
        return IntegerRequeue(system, pace, start, seed, place)
    if arithmetic != "fluid":
        raise InputError(f"{arithmetic!r}", field="arithmetic", allowed="fluid, integer")
    if place.place == "tail":
        raise InputError("tail", field="place", allowed="head, or the integer model")
    if isinstance(start, State):
        start = _cohorts_of(start, system)
    return FluidRequeue(system, pace, start)


def waiting_in(machine: Machine) -> State:
    """Who was evicted and waits, the next to be admitted first; nobody under restart."""
    known = IntegerRequeue | FluidRequeue | AskedMachine
    return machine.waiting() if isinstance(machine, known) else NOBODY


def recorded_columns(eviction: Eviction) -> int:
    """How many numbers an iteration is recorded in; see `fluid` and `requeue`."""
    return fluid.COLUMNS if eviction is Eviction.RESTART else requeue.COLUMNS


def _cohorts_of(start: State, system: System) -> Cohorts:
    """One class has only one mix; of several, only cohorts of the workload's own are followed."""
    start.check(system, whole_requests=False)
    if len(system.workload) > 1:
        raise InputError(
            "classes in any mix are not followed where evicted requests keep their tokens",
            field="start",
            allowed="Cohorts, or the integer model",
        )
    return Cohorts.of(start.table(system)[0])


def _state_of(runs: IntArray) -> State:
    return State(frozen_ints(runs[:, 0]), frozen_ints(runs[:, 1]), frozen_floats(runs[:, 2]))
