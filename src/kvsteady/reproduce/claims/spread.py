"""A small spread between the admissions of one class grows as its spectrum says."""

from __future__ import annotations

import math

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model import System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, near
from kvsteady.reproduce.finding import ROLES, Chart, Check, Series
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.first_eviction import disturbed
from kvsteady.theory.spectrum import spectrum
from kvsteady.workload.law import Workload

_PAIRS = ((16, 16), (16, 32), (64, 48), (128, 64))
_SIZE, _LINEAR = 1e-10, 1e-3  # beyond that spread the pieces of the map begin to show


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    curves: list[Series] = []
    shrink = 0.0
    for place, (prompt, output) in enumerate(_PAIRS):
        system = System(Workload.fixed(prompt, output), 1000 * (prompt + output))
        life, spread = _spreads(system)
        radius = _largest_root(prompt, output)
        # The first half still holds modes that grow more slowly.
        half = len(spread) // 2
        slope = np.polyfit(life[half:] * output, np.log(spread[half:]), 1)[0]
        checks.append(
            near(
                f"{prompt}:{output}, growth per iteration − 1", math.expm1(slope), radius - 1, 0.02
            )
        )
        shrink = max(shrink, float((1 - spread[1:] / spread[:-1]).max()))
        curves.append(_curve(f"{prompt}:{output}", life * output, spread, place))
        progress(place + 1, len(_PAIRS))
    checks.append(
        at_most("largest relative fall of the spread from one life to the next", shrink, 0)
    )
    return Measured(
        "The spread between the largest and the smallest admission of a life (l1 iterations) never "
        "falls, and grows per iteration by the largest root of the survival polynomial.",
        tuple(checks),
        (
            Chart(
                "Spread of admissions over x*",
                "iteration",
                "(largest − smallest) / x*",
                tuple(curves),
                y_log=True,
            ),
        ),
    )


def _spreads(system: System) -> tuple[FloatArray, FloatArray]:
    """Spread of the admissions of each life over x*, while it is small."""
    output = system.workload.longest_output
    radius = spectrum(system.workload).radius
    lives = int(math.log(_LINEAR / _SIZE) / math.log(radius) / output) + 1
    run = iterate(system, steps=lives * output, start=disturbed(system, _SIZE))
    admitted = run.admitted.reshape(-1, output)
    spread = (admitted.max(axis=1) - admitted.min(axis=1)) / equilibrium(system).admissions
    kept = spread < 2 * _LINEAR
    return np.arange(1, lives + 1)[kept], spread[kept]


def _largest_root(prompt: int, output: int) -> float:
    """Of ``Σ (l0 + m + 1) z^(l1−1−m)``, by companion matrix."""
    return float(np.abs(np.roots([prompt + age + 1 for age in range(output)])).max())


def _curve(name: str, time: FloatArray, spread: FloatArray, place: int) -> Series:
    return Series(name, tuple(time.tolist()), tuple(spread.tolist()), "line", ROLES[place])


CLAIM = Claim(
    key="spread-growth",
    title="Spread between admissions grows",
    source="paper: Theorem 2, local half",
    says="The eviction-free equilibrium of one class is unstable: differences between the "
    "admissions of successive iterations grow until requests are evicted.",
    measure=_measure,
)
