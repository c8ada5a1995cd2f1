"""Which states end on which balanced orbit of one class (Theorem 2's exceptional set)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.theory.orbits.balanced import balanced_orbit, one_class
from kvsteady.theory.orbits.exact import Amplitudes, ExactEnd, exact_end


@dataclass(frozen=True)
class Capture:
    """A state that a balanced orbit captures exactly, and one beside it that it does not.

    Attributes
    ----------
    kind
        What is different from the orbit's own state.
    orbit
        Name of the orbit.
    captured, perturbed
        Requests at each age before an iteration, exact, shape ``(l1,)``.
    end, perturbed_end
        Where greedy admission leads from each.
    codimension
        How many exact conditions a captured state meets: cohorts of the orbit, less one.
    """

    kind: str
    orbit: str
    captured: Amplitudes
    perturbed: Amplitudes
    end: ExactEnd
    perturbed_end: ExactEnd
    codimension: int


def capture_examples(
    system: System, composition: Sequence[int], *, limit: int = 2_000
) -> tuple[Capture, ...]:
    """States that end exactly on a balanced orbit other than the worst, with neighbours that do
    not (ours, for Theorem 2's measure-zero set).

    The orbit's multipliers are 0 or outside the unit circle, so a state is captured where its
    deviation lies in the kernel: then it is on the orbit exactly within l1 iterations.

    - *too many young requests*: they are evicted at once;
    - *a request between cohorts*: a few of the oldest cohort's tokens belong to requests between
      it and the next, which complete before it matters.

    In each neighbour the oldest cohort is larger by a thousandth.

    Raises
    ------
    InputError
        More than one class, a composition that is none, or the worst cycle, which captures an
        open set of states: see `worst_cycle_basin`.
    """
    orbit = balanced_orbit(system, composition)
    prompt, output = one_class(system)
    if len(composition) == 1:
        raise InputError("the worst cycle", field="composition", allowed="two cohorts or more")
    squares = sum(gap * gap for gap in composition)
    unit = Fraction(2 * system.kv_tokens, output * (2 * prompt + output) + squares)
    state = [Fraction(0)] * output
    age = output - 1
    for gap in composition:
        state[age] = unit * gap
        age -= gap
    young = state.copy()
    young[composition[-1] - 1] *= 2
    kinds = [("too many young requests", young)]
    if composition[0] > 1:
        between = state.copy()
        place = output - composition[0]
        few = unit / (2 * (prompt + output))
        between[place] = few
        between[-1] -= few * (prompt + place + 1) / (prompt + output)
        kinds.append(("a request between cohorts", between))
    found = []
    for kind, captured in kinds:
        perturbed = captured.copy()
        perturbed[-1] *= Fraction(1001, 1000)  # the youngest makes up for it
        found.append(
            Capture(
                kind,
                orbit.name,
                tuple(captured),
                tuple(perturbed),
                exact_end(system, captured, limit=limit),
                exact_end(system, perturbed, limit=limit),
                len(composition) - 1,
            )
        )
    return tuple(found)


def worst_cycle_basin(system: System) -> float:
    """Requests outside the youngest cohort up to which a full memory surely falls into the worst
    cycle within one output length: ``M / (l0 + l1)²`` (ours; one class).

    By then all of them have completed. On the way, what one completion frees, at most
    ``E (l0 + l1)`` tokens for E such requests, is never more than what the youngest cohort grows
    by, ``(M − E (l0 + l1)) / (l0 + l1 − 1)`` at least, so nothing is admitted before it completes.
    Relative to the worst cycle's cohort it is a share of ``1 / (l0 + l1)``. That is an inner
    estimate: almost every state ends there, most of them later (Theorem 2).
    """
    prompt, output = one_class(system)
    return system.kv_tokens / (prompt + output) ** 2
