"""Greedy admission of cohorts with given survival weights, in plain lists.

A cohort of amplitude 1 needs ``weights[n]`` KV tokens in the iteration of its age n, whatever it is
made of: tokens in blocks, several tokens per iteration, chance averaged out. The youngest leave
until the rest fits; where nobody left, what is free is filled.
"""

from __future__ import annotations


def run(
    weights: list[float], capacity: float, past: list[float], steps: int
) -> tuple[list[float], list[float]]:
    """Admitted and evicted amplitude of each iteration; ``past`` is youngest first, age 1 on."""
    cohorts = [0.0, *past]  # by age
    assert len(cohorts) == len(weights)
    admitted, evicted = [], []
    for _ in range(steps):
        need = sum(w * a for w, a in zip(weights, cohorts, strict=True))
        gone = 0.0
        for age in range(len(cohorts)):
            excess = need - capacity
            if excess <= capacity * 1e-11:
                break
            cut = min(cohorts[age], excess / weights[age])
            cohorts[age] -= cut
            gone += cut
            need -= cut * weights[age]
        fresh = 0.0 if gone else max(0.0, (capacity - need) / weights[0])
        cohorts[0] += fresh
        admitted.append(fresh)
        evicted.append(gone)
        cohorts = [0.0, *cohorts[:-1]]
    return admitted, evicted
