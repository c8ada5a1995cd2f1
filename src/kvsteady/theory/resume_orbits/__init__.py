"""Periodic orbits of greedy admission where evicted requests keep their tokens (all of it ours).

Re-queueing at the head, in the fluid model, for cohorts of the workload's own mix: the map of
levels of `kvsteady.model.requeue_levels`. Who moves where is the same under `Eviction.RESUME` and
`Eviction.SWAP`; the price is recomputed tokens under the one, moved tokens under the other.

- An orbit is fixed by the ages at which memory runs out in one period: between breaks the map is
  affine, so a period's ages allow one state at most, or a flat of them where a multiplier is 1.
- With one class the product of an orbit's multipliers is ``± Π w[L−1] / w[j]`` over those ages:
  above 1 unless the oldest alone fill memory throughout, which no orbit does. None attracts.
- The counterpart of the worst cycle is `one_cohort`; from 4 output tokens on there is none.
"""

from kvsteady.theory.resume_orbits.every import every_resume_orbit
from kvsteady.theory.resume_orbits.find import find_resume_orbits
from kvsteady.theory.resume_orbits.one_cohort import Counterpart, OneCohort, one_cohort
from kvsteady.theory.resume_orbits.orbit import ResumeOrbit

__all__ = [
    "Counterpart",
    "OneCohort",
    "ResumeOrbit",
    "every_resume_orbit",
    "find_resume_orbits",
    "one_cohort",
]
