"""Run one machine on, in slices between which an interrupt gets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvsteady.progress import Progress
from kvsteady.simulate import arriving
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.machine import Machine, SimulationError
from kvsteady.simulate.results.halt import find_halt

SLICE = 1 << 16


def advance(machine: Machine, name: str, iterations: int = SLICE) -> int:
    """Run so many iterations at most; returns why it stopped (`arriving`).

    Raises
    ------
    SimulationError
        The engine makes no progress; what has left until then is in the sinks.
    """
    why = machine.run(iterations)
    if why in (arriving.LIVELOCK, arriving.STALLED):
        machine.flush()
        raise SimulationError(f"{name}: {find_halt(machine, machine.run, why).text}")
    return why


def run_on(machine: Machine, name: str, report: Callable[[], None]) -> bool:
    """Run until the horizon of what was pushed (returns True) or the end (False)."""
    while (why := advance(machine, name)) == arriving.GO:
        report()
    return why == arriving.REFILL


class Meter:
    """Tells a progress bar how far a run is, in whatever unit ends it first by the look of it."""

    def __init__(self, progress: Progress, stop: Stop, total: int | None) -> None:
        self._progress, self._stop = progress, stop
        self._total = stop.completed if total is None else min(total, stop.completed or total)

    def report(self, machines: Sequence[Machine]) -> None:
        """Report requests that left; without a known number, iterations or simulated seconds."""
        clocks = [machine.clock for machine in machines]
        stop = self._stop
        if self._total is not None:
            left = sum(int(c["all_completed"] + c["all_rejected"]) for c in clocks)
            self._progress(min(left, self._total), self._total)
        elif stop.iterations is not None:
            done = sum(int(c["iteration"]) for c in clocks)
            self._progress(done, stop.iterations * len(clocks))
        else:
            now = min(float(c["now"]) for c in clocks)
            self._progress(int(min(now, stop.seconds)), int(stop.seconds))
