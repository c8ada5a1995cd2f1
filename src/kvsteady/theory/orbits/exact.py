"""One class in fractions: rounding cannot decide where a run ends.

Every run of one class reaches a balanced orbit exactly, in finitely many iterations (ours). A
cohort only enters where another completes, so the cohorts that will complete keep to iterations
whose residues mod l1 can be lost and never won. Once none is lost any more, their final masses
``c w_j (1 + e_j)`` obey
``(l0 + l1) e_{n−s+1} = (l0 + w_{n+1}) e_{n+1} + Σ_{i=0}^{s−2} w_{n−i} e_{n−i}``, indices of w mod
s: each deviation is a weighted mean of the s later ones, with weights above 0 that sum to 1. So
deviations other than a constant shrink backwards in time and grow forwards; masses are bounded, so
the deviation is the constant that a full memory leaves: 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.theory.orbits.balanced import one_class
from kvsteady.workload.ranges import whole_number

Amplitudes = tuple[Fraction, ...]


@dataclass(frozen=True)
class ExactEnd:
    """Where a run of one class ends, in exact arithmetic under `Eviction.RESTART`.

    Attributes
    ----------
    iterations
        Iterations until the state is exactly on the orbit; None if the limit came first.
    composition
        Gaps of the balanced orbit, largest rotation; empty if the limit came first.
    amplitude
        The state in memory then, exact, shape ``(l1,)``.
    """

    iterations: int | None
    composition: tuple[int, ...]
    amplitude: Amplitudes


def exact_end(system: System, start: Sequence[Fraction | int], *, limit: int = 2_000) -> ExactEnd:
    """Run one class in fractions until its state recurs exactly after l1 iterations (ours).

    Parameters
    ----------
    start
        Requests at each age before the first iteration, shape ``(l1,)``, 0 or more.
    limit
        Iterations at most. Fractions grow with each, so keep it to some thousands.

    Raises
    ------
    InputError
        More than one class, or a start that is not ``l1`` numbers of 0 or more.
    """
    prompt, output = one_class(system)
    limit = whole_number(limit, "limit", 1, 1_000_000)
    allowed = f"{output} numbers of 0 or more"
    try:
        before = [Fraction(mass) for mass in start]
    except (TypeError, ValueError, OverflowError) as error:  # words, NaN, infinity
        raise InputError("not a start", field="start", allowed=allowed) from error
    if len(before) != output or min(before) < 0:
        raise InputError("not a start", field="start", allowed=allowed)
    states = [fill(before, prompt, system.kv_tokens)]
    for t in range(1, limit + output):
        states.append(step(states[-1], prompt, system.kv_tokens))
        if len(states) > output and states[-1] == states[0]:
            return ExactEnd(t - output, composition_of(states[-1]), states[-1])
        states = states[-output:]
    return ExactEnd(None, (), states[-1])


def step(amplitude: Amplitudes, prompt: int, capacity: int) -> Amplitudes:
    """Execute, then evict or admit: `Section.step` without rounding."""
    return fill([Fraction(0), *amplitude[:-1]], prompt, capacity)


def fill(before: Sequence[Fraction], prompt: int, capacity: int) -> Amplitudes:
    """From the oldest to the youngest as long as memory lasts; new requests take what is left."""
    after = [Fraction(0)] * len(before)
    room = Fraction(capacity)
    for age in range(len(before) - 1, 0, -1):
        after[age] = min(before[age], room / (prompt + age + 1))
        room -= after[age] * (prompt + age + 1)
    after[0] = room / (prompt + 1)
    return tuple(after)


def composition_of(amplitude: Amplitudes) -> tuple[int, ...]:
    """Gaps between the cohorts of a state that recurs after l1 iterations, largest rotation."""
    ages = [age for age, mass in enumerate(amplitude) if mass]
    wrapped = [ages[-1] - len(amplitude), *ages]
    gaps = [age - before for before, age in zip(wrapped, ages, strict=False)][::-1]
    return tuple(max(gaps[i:] + gaps[:i] for i in range(len(gaps))))
