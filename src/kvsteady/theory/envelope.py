"""Between which throughputs greedy admission can end up: the envelope of its periodic orbits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.errors import InputError
from kvsteady.model.system import Eviction, System
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.orbits.orbit import Orbit
from kvsteady.theory.orbits.pulse import pulse_family
from kvsteady.workload.ranges import whole_number

# Largest output whose levels are listed (about a second), and counted, one by one.
_LISTED = 512
_COUNTED = 96


class Known(Enum):
    """How much of the envelope is known; the value says so."""

    COMPLETE = (
        "one class: every periodic orbit is balanced, so the list is complete; greedy admission "
        "ends at the worst from almost every start"
    )
    PULSES_ONLY = (
        "several classes: the pulse cycles are known and others exist, some of which complete less "
        "than any pulse cycle: search from starts of interest. Their lower end is open"
    )


@dataclass(frozen=True, eq=False)
class Envelope:
    """Throughputs of the periodic orbits of greedy admission, in completions per iteration.

    Attributes
    ----------
    known
        Whether the list of orbits is complete.
    best
        ``x*``, the eviction-free fixed point: also the most that any policy can complete in the
        mix of the workload.
    worst
        Lowest throughput in closed form: the worst cycle for one class, else the widest pulse
        cycle.
    levels
        Throughputs of all balanced orbits, each once, best first; None for several classes or an
        output above 512.
    compositions
        How many compositions of the output have each level; None above an output of 96.
    pulses
        The pulse cycles, best first.
    """

    known: Known
    best: float
    worst: float
    levels: FloatArray | None
    compositions: tuple[int, ...] | None
    pulses: tuple[Orbit, ...]

    eviction = Eviction.RESTART

    @property
    def ratio(self) -> float:
        """Worst over best: ``(2 l0 + l1 + 1) / (2 (l0 + l1))`` for one class, 1/2 at the least."""
        return self.worst / self.best

    @property
    def mean(self) -> float:
        """Mean throughput over all compositions of one class: what a start that fell into each
        with equal chance would expect. Greedy admission is no such start.
        """
        if self.levels is None or self.compositions is None:
            return float("nan")
        return float(np.average(self.levels, weights=[float(n) for n in self.compositions]))


def envelope(system: System) -> Envelope:
    """Best, worst, and every balanced orbit's throughput (theory: sections 4 and 5).

    One class: ``2M / (l1 (2 l0 + l1) + Q)`` for every Q that is a sum of squares of the parts of
    a composition of l1, from l1 to l1², all of the same parity. That no other periodic orbit
    exists is ours.
    """
    pulses = pulse_family(system)
    best, worst = equilibrium(system).admissions, pulses[-1].throughput
    if len(system.workload) > 1:
        return Envelope(Known.PULSES_ONLY, best, worst, None, None, pulses)
    output, prompt = system.workload.longest_output, int(system.workload.prompt[0])
    if output > _LISTED:
        return Envelope(Known.COMPLETE, best, worst, None, None, pulses)
    squares = square_sums(output)
    levels = 2 * system.kv_tokens / (output * (2 * prompt + output) + np.array(squares))
    counts = composition_counts(output) if output <= _COUNTED else None
    listed = None if counts is None else tuple(counts[q] for q in squares)
    return Envelope(Known.COMPLETE, best, worst, frozen_floats(levels), listed, pulses)


def square_sums(total: int) -> tuple[int, ...]:
    """Sums of squares of the parts that compositions of ``total`` can have, increasing."""
    total = whole_number(total, "total", 1, _LISTED)
    reached = [1]  # bit Q of entry n: Q is such a sum for n
    for n in range(1, total + 1):
        bits = 0
        for part in range(1, n + 1):
            bits |= reached[n - part] << (part * part)
        reached.append(bits)
    digits = f"{reached[total]:b}"[::-1]
    return tuple(q for q, bit in enumerate(digits) if bit == "1")


def composition_counts(total: int) -> dict[int, int]:
    """How many compositions of ``total`` have each sum of squares of their parts."""
    if not 1 <= total <= _COUNTED:
        raise InputError(f"{total}", field="total", allowed=f"1 to {_COUNTED}")
    counts: list[dict[int, int]] = [{0: 1}]
    for n in range(1, total + 1):
        here: dict[int, int] = {}
        for part in range(1, n + 1):
            for q, ways in counts[n - part].items():
                here[q + part * part] = here.get(q + part * part, 0) + ways
        counts.append(here)
    return counts[total]
