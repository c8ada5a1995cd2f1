"""At long prompts evictions are of order 1/l0, and with coprime outputs they end."""

from __future__ import annotations

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, at_most, near
from kvsteady.reproduce.finding import ROLES, Chart, Check, Outcome, Series
from kvsteady.theory.eviction_scaling import eviction_scaling
from kvsteady.workload.law import Workload

_PROMPTS = (400, 800, 1600, 3200, 6400)
_COPRIME = ((7, 8), (3, 7), (3, 5, 8))
_COMMON = (6, 9)


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    series: list[Series] = []
    prompts = tuple(map(float, _PROMPTS))
    for place, outputs in enumerate((*_COPRIME, _COMMON)):
        found = eviction_scaling(Workload.classes([(0, output) for output in outputs]), _PROMPTS)
        name = "/".join(map(str, outputs))
        checks.append(
            near(f"{name}: exponent of the largest eviction in l0", found.exponent, -1, 0.02)
        )
        if outputs == _COMMON:
            checks.append(
                at_least(
                    f"{name}, g = 3: evicted in the last quarter of the run, over x*",
                    float(found.late.min()),
                    1e-6,
                )
            )
        else:
            checks += [
                near(f"{name}: exponent of all evictions of a run", found.total_exponent, -1, 0.03),
                at_most(
                    f"{name}: evicted in the last quarter of the run", float(found.late.max()), 0.0
                ),
            ]
        series.append(Series(name, prompts, tuple(found.largest.tolist()), "points", ROLES[place]))
        progress(place + 1, len(_COPRIME) + 1)
    return Measured(
        "From empty memory the largest eviction of an iteration is of order 1/l0 relative to x*; "
        "with coprime outputs and prompts beyond the threshold those of a whole run are too, and "
        "they end; with a common divisor they go on. No iteration after the first ever evicts more "
        "than running/(l0 + 2) requests, under any semantics (proved, ours).",
        tuple(checks),
        (
            Chart(
                "Largest eviction in an iteration over x*",
                "prompt tokens",
                "requests over x*",
                tuple(series),
                x_log=True,
                y_log=True,
            ),
        ),
        Outcome.REPRODUCED,
    )


CLAIM = Claim(
    key="coprime-evictions",
    title="Evictions are perturbations of order 1/l0",
    source="paper: coprime stability (Theorem 3)",
    says="In the coprime case evictions perturb the equilibrium by order 1/l0, and die out.",
    measure=_measure,
)
