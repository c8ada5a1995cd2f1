"""Balanced orbits: every periodic orbit of one class (theory: section 4, Theorem 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.model.state import Cohorts
from kvsteady.model.system import System
from kvsteady.theory.orbits.orbit import FIXED_POINT, WORST_CYCLE, Orbit


def one_class(system: System) -> tuple[int, int]:
    """Prompt and output of the only class; `InputError` where there are more."""
    load = system.workload
    if len(load) != 1:
        raise InputError(f"{len(load)} classes", field="workload", allowed="one class")
    return int(load.prompt[0]), int(load.output[0])


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
    prompt, output = one_class(system)
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
    return Orbit(_name(gaps), _rotation(gaps), throughput, Cohorts.of(amplitude))


def worst_cycle(system: System) -> Orbit:
    """One cohort at a time, ``M / (l1 (l0 + l1))`` (theory: section 4); one class only."""
    return balanced_orbit(system, [system.workload.longest_output])


def balanced_orbits(system: System) -> Iterator[Orbit]:
    """Every balanced orbit of one class once, the worst cycle first, the fixed point last.

    There are about ``2^l1 / l1`` of them, one per composition of ``l1`` up to rotation: take as
    many as you need. Raises `InputError` for more than one class.
    """
    _, output = one_class(system)
    for gaps in cyclic_compositions(output):
        yield balanced_orbit(system, gaps)


def cyclic_compositions(total: int) -> Iterator[list[int]]:
    """Compositions of ``total`` up to rotation, from one part to all ones.

    A cyclic composition is a binary necklace, a 1 where a part ends; Duval's algorithm steps
    through necklaces in lexicographic order, in constant time each on average.
    """
    word = [0]  # the necklace of zeros: no part ends, so it is none of ours
    while word != [1]:
        word = (word * (total // len(word) + 1))[:total]
        while word[-1] == 1:
            word.pop()
        word[-1] = 1
        if total % len(word) == 0:
            necklace = word * (total // len(word))
            ends = [place for place, bit in enumerate(necklace) if bit]
            yield [end - before for before, end in zip([-1, *ends], ends, strict=False)]


def _name(gaps: list[int]) -> str:
    if len(gaps) == sum(gaps):
        return FIXED_POINT
    if len(gaps) == 1:
        return WORST_CYCLE
    listed = "+".join(map(str, gaps)) if len(gaps) <= 8 else f"{len(gaps)} cohorts"
    return f"balanced orbit {listed}"


def _rotation(gaps: list[int]) -> int:
    """Iterations after which the cyclic sequence of gaps comes back to itself."""
    for parts in range(1, len(gaps) + 1):
        if len(gaps) % parts == 0 and gaps == gaps[:parts] * (len(gaps) // parts):
            return sum(gaps[:parts])
    raise AssertionError("a sequence repeats itself after its own length")
