"""Periodic orbits of greedy admission that are known in closed form, under `Eviction.RESTART`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction, System


@dataclass(frozen=True, eq=False)
class Orbit:
    """A periodic orbit of the fluid model.

    Attributes
    ----------
    name
        What to call it.
    period
        Iterations after which the state recurs.
    throughput
        Completed requests per iteration.
    start
        A state on the orbit, before an iteration in which memory is exactly full. It recurs from
        the iteration after.
    """

    name: str
    period: int
    throughput: float
    start: Cohorts

    eviction = Eviction.RESTART


def balanced_orbit(system: System, composition: Sequence[int]) -> Orbit:
    """The balanced orbit of one class with the given cohort gaps (theory: section 4, Theorem 2).

    Cohort j, oldest first, completes with mass in proportion to ``composition[j]``, its gap in
    iterations to the next younger cohort; throughput
    ``2M / (l1 (2 l0 + l1) + Σ w_j²)``. All ones is the eviction-free fixed point, a single
    ``l1`` the worst cycle.

    Raises
    ------
    InputError
        More than one class, or gaps that are not whole numbers above 0 summing to ``l1``.
    """
    load = system.workload
    if len(load) != 1:
        raise InputError(f"{len(load)} classes", field="workload", allowed="one class")
    prompt, output = int(load.prompt[0]), int(load.output[0])
    gaps = list(composition)
    if not all(type(gap) is int and gap >= 1 for gap in gaps) or sum(gaps) != output:
        raise InputError(
            f"{shown(gaps)} is no composition",
            field="composition",
            allowed=f"whole numbers above 0 that sum to {output}",
        )
    squares = sum(gap * gap for gap in gaps)
    throughput = 2 * system.kv_tokens / (output * (2 * prompt + output) + squares)
    amplitude = np.zeros(output)
    age = output - 1
    for gap in gaps:
        amplitude[age] = throughput * gap
        age -= gap
    shortest = _rotation(gaps)
    name = "worst cycle" if len(gaps) == 1 else "balanced orbit"
    if squares == output:
        name = "eviction-free fixed point"
    return Orbit(name, shortest, throughput, Cohorts.of(amplitude))


def worst_cycle(system: System) -> Orbit:
    """One cohort at a time, ``M / (l1 (l0 + l1))`` (theory: section 4); one class only."""
    return balanced_orbit(system, [system.workload.longest_output])


def pulse_cycle(system: System, gap: int | None = None) -> Orbit:
    """Equal cohorts ``gap`` iterations apart (theory: section 5, Theorem 3).

    ``gap`` divides ``g = gcd(l1_k)`` and is g by default. Throughput
    ``M / (gap Σ_{j = gap, 2 gap, … ≤ L} E[(L0 + j) 1{L1 ≥ j}])``. For one class, g gives the
    worst cycle; a gap of 1 is the eviction-free fixed point of any workload. The orbit is exact;
    greedy admission stays near it only where it is stable, which unequal prompts can undo.

    Raises
    ------
    InputError
        A gap that does not divide g.
    """
    load = system.workload
    apart = load.gcd if gap is None else gap
    if type(apart) is not int or apart < 1 or load.gcd % apart:
        raise InputError(f"{shown(apart)}", field="gap", allowed=f"divisors of {load.gcd}")
    full = load.memory_weights()[apart - 1 :: apart]
    throughput = system.kv_tokens / (apart * float(full.sum()))
    amplitude = np.zeros(load.longest_output)
    amplitude[apart - 1 :: apart] = throughput * apart
    if apart == 1:
        name = "eviction-free fixed point"
    elif apart == load.longest_output:
        name = "worst cycle"
    else:
        name = f"pulse cycle, a cohort every {apart}"
    return Orbit(name, apart, throughput, Cohorts.of(amplitude))


def pulse_family(system: System) -> tuple[Orbit, ...]:
    """Every `pulse_cycle`, from the fixed point to the widest gap, by decreasing throughput."""
    common = system.workload.gcd
    gaps = [gap for gap in range(1, common + 1) if common % gap == 0]
    return tuple(pulse_cycle(system, gap) for gap in gaps)


def _rotation(gaps: list[int]) -> int:
    """Iterations after which the cyclic sequence of gaps comes back to itself."""
    for parts in range(1, len(gaps) + 1):
        if len(gaps) % parts == 0 and gaps == gaps[:parts] * (len(gaps) // parts):
            return sum(gaps[:parts])
    raise AssertionError("a sequence repeats itself after its own length")
