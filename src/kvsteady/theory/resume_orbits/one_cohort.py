"""The counterpart of the worst cycle under resume and swap, and why there is mostly none (ours).

Under `Eviction.RESTART` all requests in one cohort are a periodic orbit. Where tokens are kept they
are not: the cohort outgrows memory in every iteration, whoever is evicted waits with its tokens,
and runs again, ahead of the next cohort, as soon as the first completes. What could recur is one
large cohort every l1 iterations that memory cuts at every age, so that the marginal ages are
``0, 1, …, l1 − 1``. With ``e_τ`` evicted at age τ, ``W = l0 + l1``, ``E_n = e_1 + … + e_n`` and
``S = E_{l1−1}``, memory is full in every iteration exactly if, for n = 1 … l1 − 1,

    ``W e_n + (W − n) e_{l1−n} − (S − E_{l1−n}) − E_{n−1} = M / W``.

Subtracting the equation for ``l1 − n`` from that for n = 1 leaves
``2 (S − e_{l1−1}) + (l1 − 2) e_1 = 0``. Nothing is negative, so from l1 = 3 on only the oldest are
evicted, ``e_{l1−1} = S``. With l1 = 3 that is a solution, on a break: age 1 just fits. From l1 = 4
on the equation for n = 2 then reads ``−S = M / W``, which is impossible; nor do several different
turns of this kind recur together, for the map between them is affine and their mean would be one.
With l1 = 2 the orbit is there, ``e_1 = M / (W (2 W − 1))``, and repels with the multiplier
``−W / (W − 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.theory.resume_orbits.levels import Levels
from kvsteady.theory.resume_orbits.orbit import ResumeOrbit, close


class Counterpart(Enum):
    """Whether the worst cycle has a counterpart; the value says what that means."""

    FIXED_POINT = "one output token: the worst cycle is the fixed point, and nobody is evicted"
    REPELS = "one large cohort recurs and is cut at every age, and every neighbour leaves it"
    ON_A_BREAK = "one large cohort recurs and evicts at its last age only; at age 1 it just fits"
    NONE = "none: no turn in which one cohort is cut at every age recurs"


@dataclass(frozen=True, eq=False)
class OneCohort:
    """What becomes of all requests in one cohort under resume or swap.

    Attributes
    ----------
    outcome
        Whether they recur.
    first_evicted
        Share of such a cohort that is evicted in the iteration after its admission: with one
        token each it no longer fits. 0 for one output token only.
    orbit
        The orbit, or None.
    """

    outcome: Counterpart
    first_evicted: Fraction
    orbit: ResumeOrbit | None


def one_cohort(system: System) -> OneCohort:
    """Find the counterpart of the worst cycle of one class (ours; the module has the proof).

    Raises
    ------
    InputError
        More than one class.
    """
    load = system.workload
    if len(load) != 1:
        raise InputError(f"{len(load)} classes", field="workload", allowed="one class")
    prompt, output = int(load.prompt[0]), int(load.output[0])
    if output == 1:
        return OneCohort(Counterpart.FIXED_POINT, Fraction(0), close(Levels.of(system), (0,)))
    evicted = Fraction(1, prompt + 2)  # M / w_0 admitted, M / w_1 stay
    if output > 3:
        return OneCohort(Counterpart.NONE, evicted, None)
    outcome = Counterpart.REPELS if output == 2 else Counterpart.ON_A_BREAK
    return OneCohort(outcome, evicted, close(Levels.of(system), tuple(range(output))))
