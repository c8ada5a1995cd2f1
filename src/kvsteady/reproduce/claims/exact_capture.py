"""Some states are captured by a better orbit, but never their neighbours."""

from __future__ import annotations

from kvsteady.model import System
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, exactly
from kvsteady.theory.orbits import Capture, balanced_orbit, capture_examples
from kvsteady.workload.law import Workload

_CASES = (
    ((2, 2), 140, (1, 1)),
    ((4, 6), 1000, (3, 3)),
    ((4, 6), 1000, (3, 2, 1)),
    ((10, 8), 4000, (4, 2, 2)),
    ((0, 5), 500, (1, 1, 1, 1, 1)),
)


def _measure(progress: Progress) -> Measured:
    found: list[tuple[Capture, tuple[int, ...]]] = []
    for place, ((prompt, output), kv_tokens, gaps) in enumerate(_CASES):
        system = System(Workload.fixed(prompt, output), kv_tokens)
        assert balanced_orbit(system, gaps).throughput > 0
        found += [(capture, gaps) for capture in capture_examples(system, gaps)]
        progress(place + 1, len(_CASES))
    captured = sum(
        _rotations(capture.end.composition) == _rotations(gaps) for capture, gaps in found
    )
    worst = sum(len(capture.perturbed_end.composition) == 1 for capture, _ in found)
    longest = max(capture.perturbed_end.iterations or 0 for capture, _ in found)
    return Measured(
        f"In exact fractions, {captured} states that meet the conditions land on their balanced "
        f"orbit and stay; with a thousandth more in the oldest cohort all of them end in the "
        f"worst cycle, within {longest} iterations.",
        (
            exactly("states captured exactly by their orbit", captured, len(found)),
            exactly("neighbours that end in the worst cycle", worst, len(found)),
        ),
    )


def _rotations(gaps: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    return frozenset(gaps[i:] + gaps[:i] for i in range(len(gaps)))


CLAIM = Claim(
    key="exact-capture",
    title="The exceptional set is thin",
    source="paper: Theorem 2 (measure-zero set); examples ours",
    says="Greedy admission leaves every orbit but the worst, except from a measure-zero set of "
    "states.",
    measure=_measure,
)
