"""When the first eviction comes, from the spectrum."""

from __future__ import annotations

from kvsteady.model import System
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most
from kvsteady.reproduce.finding import ROLES, Chart, Check, Series
from kvsteady.theory.first_eviction import disturbed, first_eviction
from kvsteady.workload.law import Workload

_LOADS = (
    Workload.fixed(128, 64),
    Workload.classes([(20, 8), (20, 16)]),
    Workload.classes([(100, 15), (100, 16)]),
    Workload.classes([(256, 127), (256, 255), (256, 509)]),
)
_SIZES = (1e-2, 1e-4, 1e-6, 1e-9)


def _measure(progress: Progress) -> Measured:
    series: list[Series] = []
    worst = 0.0
    for place, load in enumerate(_LOADS):
        system = System(load, 1000 * load.largest_request)
        seen = []
        for number, size in enumerate(_SIZES):
            found = first_eviction(system, disturbed(system, size, seed=number))
            assert found.simulated is not None
            assert found.predicted is not None
            worst = max(worst, abs(found.predicted - found.simulated))
            seen.append(float(found.simulated))
            progress(place * len(_SIZES) + number + 1, len(_LOADS) * len(_SIZES))
        series.append(Series(load.name, _SIZES, tuple(seen), "points", ROLES[place]))
    checks: list[Check] = [
        at_most("largest error of the prediction, iterations", worst, 1),
    ]
    return Measured(
        "The growing modes of the start predict the iteration of the first eviction to within one, "
        "whatever its size; the time grows with the logarithm of 1/size.",
        tuple(checks),
        (
            Chart(
                "First eviction",
                "size of the disturbance, share of x*",
                "iteration",
                tuple(series),
                x_log=True,
                y_log=True,
            ),
        ),
    )


CLAIM = Claim(
    key="first-eviction",
    title="When the first eviction comes",
    source="ours",
    says="Up to the first eviction the model is linear, so the spectrum predicts when it comes.",
    measure=_measure,
)
