"""Every periodic orbit known by name, in one list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.orbits.balanced import balanced_orbit, cyclic_compositions
from kvsteady.theory.orbits.described import FluidOrbit, IntegerOrbit, PeriodicOrbit, describe
from kvsteady.theory.orbits.find import find_orbit
from kvsteady.theory.orbits.orbit import Orbit
from kvsteady.theory.orbits.pulse import pulse_family
from kvsteady.workload.ranges import whole_number


def orbits(
    system: System,
    *,
    starts: Sequence[Cohorts | State | None] = (None,),
    most: int = 64,
    limit: int = 1_000_000,
    progress: Progress = silent,
) -> tuple[PeriodicOrbit, ...]:
    """Known periodic orbits under greedy admission, with price, multipliers and margins.

    The fixed point, the pulse cycles and, for one class, balanced orbits (``most`` compositions,
    from the worst cycle on) in closed form; then what runs from ``starts`` end in, in the fluid
    model and, where requests come in turn, in whole requests. Fluid orbits come first, by
    decreasing throughput. What is missing is missing: several classes can have further orbits.

    Notes
    -----
    The fixed point has L − 1 multipliers, which costs O(L³): some seconds at L = 1000.
    """
    most = whole_number(most, "most", 0, 1_000_000)
    named = _closed_forms(system, most)
    total = len(named) + len(starts)
    fluid: list[FluidOrbit] = []
    for orbit in named:
        fluid.append(describe(system, orbit))
        progress(len(fluid), total)
    whole: list[IntegerOrbit] = []
    for done, start in enumerate(starts, start=len(named) + 1):
        search = find_orbit(system, start, limit=limit)
        for found in (*search.passed, search.orbit):
            if isinstance(found, FluidOrbit) and not any(_same(found, o) for o in fluid):
                fluid.append(found)
        if not (system.workload.random or isinstance(start, Cohorts)):
            cycle = _whole(system, start, limit)
            if cycle is not None:
                whole.append(cycle)
        progress(done, total)
    fluid.sort(key=lambda orbit: -orbit.throughput)
    return (*fluid, *whole)


def _closed_forms(system: System, most: int) -> list[Orbit]:
    if len(system.workload) > 1:
        return list(pulse_family(system))
    output = system.workload.longest_output
    equal = [[gap] * (output // gap) for gap in range(1, output + 1) if output % gap == 0]
    others = (gaps for gaps in cyclic_compositions(output) if len(set(gaps)) > 1)
    return [balanced_orbit(system, gaps) for gaps in (*equal, *islice(others, most))]


def _same(one: FluidOrbit, other: FluidOrbit) -> bool:
    """Whether two descriptions are of one orbit: both forms have the same name for it."""
    close = abs(one.throughput / other.throughput - 1) < 1e-9
    return close and one.period == other.period and one.name == other.name


def _whole(system: System, start: State | None, limit: int) -> IntegerOrbit | None:
    """The cycle of whole requests; None for a start that has fractions, or past the limit."""
    if start is not None and (start.mass % 1).any():
        return None
    found = find_orbit(system, start, arithmetic="integer", limit=limit).orbit
    return found if isinstance(found, IntegerOrbit) else None
