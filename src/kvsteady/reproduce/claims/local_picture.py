"""Every balanced orbit but the worst repels, by its Floquet multipliers."""

from __future__ import annotations

import math

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, exactly
from kvsteady.reproduce.finding import ROLES, Chart, Check, Series
from kvsteady.theory.orbits import local_picture

_PROMPTS = (0, 1, 8, 64)
_OUTPUTS = (2, 3, 4, 6, 8, 10, 12)


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    orbits, repelling, exceptions, wrong = 0, 0, 0, 0
    weakest: dict[int, list[float]] = {prompt: [] for prompt in _PROMPTS}
    done = 0
    for prompt in _PROMPTS:
        for output in _OUTPUTS:
            picture = local_picture(prompt, output)
            orbits += picture.orbits
            repelling += picture.repelling
            exceptions += picture.exceptions
            wrong += picture.attracting != ("worst cycle",)
            weakest[prompt].append(picture.slowest_escape)
            done += 1
            progress(done, len(_PROMPTS) * len(_OUTPUTS))
    systems = len(_PROMPTS) * len(_OUTPUTS)
    compositions = len(_PROMPTS) * sum(map(_necklaces, _OUTPUTS))
    slowest = min(min(rates) for rates in weakest.values())
    checks += [
        exactly("balanced orbits: compositions up to rotation", orbits, compositions),
        exactly(
            "balanced orbits that repel in every occupied direction",
            repelling,
            compositions - systems,
        ),
        exactly("balanced orbits that neither attract nor repel", exceptions, 0),
        exactly("systems whose only attractor is not the worst cycle", wrong, 0),
        at_least("slowest growth per iteration away from any of them", slowest, 1.0),
    ]
    return Measured(
        f"Of {orbits:,} balanced orbits in {systems} systems all but the worst cycle of each have "
        "every multiplier on occupied ages outside the unit circle; the worst cycle has none but "
        "0, so runs reach it exactly, in finitely many iterations (multipliers: ours).",
        tuple(checks),
        (
            Chart(
                "Slowest escape from any balanced orbit",
                "output tokens",
                "growth per iteration − 1",
                tuple(
                    Series(
                        f"prompt {prompt}",
                        tuple(map(float, _OUTPUTS)),
                        tuple(rate - 1 for rate in rates),
                        "points",
                        role,
                    )
                    for (prompt, rates), role in zip(weakest.items(), ROLES, strict=True)
                ),
                y_log=True,
            ),
        ),
    )


def _necklaces(beads: int) -> int:
    """Compositions of a number up to rotation, by Burnside's lemma."""
    turned: int = sum(2 ** math.gcd(turn, beads) for turn in range(beads))
    return turned // beads - 1


CLAIM = Claim(
    key="local-picture",
    title="All balanced orbits but the worst repel",
    source="paper: Theorem 2",
    says="Of all balanced orbits of one class only the worst cycle attracts; greedy admission "
    "leaves every other.",
    measure=_measure,
)
