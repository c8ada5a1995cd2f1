"""A replica whose run is looked at: from warm-up's end on, step by step in a window, at a halt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from kvsteady.simulate import arriving
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.load import Feed
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.results.halt import Halt, find_halt

Watch = Callable[[Machine, float], None]
"""Called before the first iteration of a window and after each of them, with its start."""


@dataclass
class Plan:
    """What to look at in one replica, and what was seen.

    Parameters
    ----------
    warm_up, warm_up_iterations
        Measuring begins with the first iteration after both.
    begin
        Called when it does.
    window, watch
        Seconds from and to which every iteration is watched.
    """

    warm_up: float = 0.0
    warm_up_iterations: int = 0
    begin: Callable[[], None] = lambda: None
    window: tuple[float, float] = (math.inf, math.inf)
    watch: Watch | None = None
    # what was seen
    machine: Machine | None = None
    before: Any = None  # the clock when measuring began
    gaps_before: Any = None
    why: int = arriving.GO
    after: Any = None  # the clock when the engine came to a halt
    halt: Halt | None = None


class ObservedMachine(Machine):
    """A machine that stops for what its `Plan` says, and goes on."""

    plan: Plan

    def run(self, iterations: int) -> int:
        """As `Machine.run`; a livelock or stall is put down in the plan, and ends the run."""
        why = self._run(iterations)
        if why in (arriving.LIVELOCK, arriving.STALLED):
            self.flush()
            self.plan.after = self.clock.copy()
            self.plan.halt = find_halt(self, super().run, why)
            return arriving.STOPPED
        return why

    def _run(self, iterations: int) -> int:
        last = int(self.clock["iteration"]) + iterations
        plan = self.plan
        if plan.before is None:
            plan.why = self._until(plan.warm_up, plan.warm_up_iterations, last)
            if plan.why != arriving.GO or self._at(last):
                return plan.why
            self._begin(plan)
        start, end = plan.window
        if plan.watch is not None and self.clock["now"] < end:
            plan.why = self._until(start, 0, last)
            if plan.why == arriving.GO and not self._at(last):
                plan.why = self._step_by_step(plan.watch, end, last)
            if plan.why != arriving.GO or self._at(last):
                return plan.why
        plan.why = super().run(last - int(self.clock["iteration"]))
        return plan.why

    def _at(self, last: int) -> bool:
        return int(self.clock["iteration"]) >= last

    def _begin(self, plan: Plan) -> None:
        self.flush()
        plan.before = self.clock.copy()
        plan.gaps_before = self.state.gaps.copy()
        plan.begin()

    def _until(self, seconds: float, iterations: int, last: int) -> int:
        """Run until so many seconds and iterations have passed; GO if they have, or at ``last``."""
        clock = self.clock
        while clock["now"] < seconds or clock["iteration"] < iterations:
            stop = float(clock["stop_time"])
            early = seconds < stop and clock["now"] < seconds
            if early:
                clock["stop_time"] = seconds
            todo = last - int(clock["iteration"])
            if not early:
                todo = min(todo, iterations - int(clock["iteration"]))
            why = super().run(todo)
            clock["stop_time"] = stop
            if why == arriving.STOPPED and early and not self._really_stopped():
                # Nobody is here until then, or the time has come.
                seconds = min(seconds, float(clock["now"]))
            elif why != arriving.GO or self._at(last):
                return why
        return arriving.GO

    def _really_stopped(self) -> bool:
        clock = self.clock
        return bool(
            clock["now"] >= clock["stop_time"]
            or clock["iteration"] >= clock["stop_iteration"]
            or clock["all_completed"] >= clock["stop_completed"]
        )

    def _step_by_step(self, watch: Watch, end: float, last: int) -> int:
        watch(self, float(self.clock["now"]))
        while self.clock["now"] < end and not self._at(last):
            before, busy = int(self.clock["iteration"]), float(self.clock["busy"])
            why = super().run(1)
            if int(self.clock["iteration"]) > before:
                took = float(self.clock["busy"]) - busy
                watch(self, float(self.clock["now"]) - took)
            if why != arriving.GO:
                return why
        return arriving.GO


@dataclass(frozen=True)
class ObservedReplica(Replica):
    """The same replica, whose machine follows a plan."""

    _kind: ClassVar[type[Machine]] = ObservedMachine

    plan: Plan = field(default_factory=Plan)

    @classmethod
    def of(cls, replica: Replica, plan: Plan) -> ObservedReplica:
        """Watch ``replica``."""
        given = {field.name: getattr(replica, field.name) for field in fields(Replica)}
        return cls(**given, plan=plan)

    def machine(self, feed: Feed | None = None, **options: Any) -> Machine:
        """Set it up for one run."""
        made = super().machine(feed, **options)
        assert isinstance(made, ObservedMachine)
        made.plan = self.plan
        self.plan.machine = made
        return made


def measured(plan: Plan, name: str) -> Any:
    """Return what a total of `records.CLOCK` gained since measuring began."""
    assert plan.machine is not None
    now = (plan.machine.clock if plan.after is None else plan.after)[name]
    return now if plan.before is None else now - plan.before[name]


def gaps(plan: Plan) -> Any:
    """Return the histogram of times between tokens since measuring began."""
    assert plan.machine is not None
    seen = plan.machine.state.gaps
    return seen.copy() if plan.gaps_before is None else np.subtract(seen, plan.gaps_before)
