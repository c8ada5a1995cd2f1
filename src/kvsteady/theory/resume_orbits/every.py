"""Every periodic orbit up to a period, for short outputs: one linear system per turn of ages."""

from __future__ import annotations

from collections.abc import Iterator

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.resume_orbits.levels import Levels
from kvsteady.theory.resume_orbits.orbit import ResumeOrbit, close, sorted_once
from kvsteady.workload.ranges import whole_number

_MOST = 1_000_000


def every_resume_orbit(
    system: System, longest_period: int, *, progress: Progress = silent
) -> tuple[ResumeOrbit, ...]:
    """All periodic orbits up to a period under resume or swap, shortest first (ours).

    Each of the ``L^p / p`` turns of marginal ages allows one state at most (two cases apart: a
    multiplier of exactly 1, and a turn in which nobody enters, where nothing recurs); whether the
    ages are the state's own is then followed. Complete up to rounding at a break, where turns of
    different ages describe one orbit: that is listed once, and `Multipliers.touches` there.

    Raises
    ------
    InputError
        More than a million turns: ``L^p`` for the longest output L and the period p.
    """
    longest_period = whole_number(longest_period, "longest_period", 1, 64)
    levels = Levels.of(system)
    ages = levels.weights.size
    if ages**longest_period > _MOST:
        raise InputError(
            f"{ages}^{longest_period} turns of marginal ages",
            field="longest_period",
            allowed=f"L^period up to {_MOST:,}",
        )
    found: list[ResumeOrbit] = []
    for period in range(1, longest_period + 1):
        progress(period - 1, longest_period)
        for turn in _turns(ages, period):
            orbit = close(levels, turn)
            if orbit is not None:
                found.append(orbit)
    progress(longest_period, longest_period)
    return sorted_once(levels, found)


def _turns(ages: int, period: int) -> Iterator[tuple[int, ...]]:
    """Each primitive turn once, as the least of its phases, with age 0 in it (Lyndon words, by
    Duval's algorithm).
    """
    word = [-1]
    while word:
        word[-1] += 1
        if word[0] > 0:
            return
        length = len(word)
        if length == period:
            yield tuple(word)
        while len(word) < period:
            word.append(word[-length])
        while word and word[-1] == ages - 1:
            word.pop()
