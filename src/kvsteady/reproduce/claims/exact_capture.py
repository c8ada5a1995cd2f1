"""Some states are captured by a better orbit, but never their neighbours."""

from __future__ import annotations

from fractions import Fraction

from kvsteady.model import System
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, exactly
from kvsteady.reproduce.finding import ROLES, Chart, Series
from kvsteady.theory.orbits import Capture, capture_examples
from kvsteady.theory.orbits.exact import Amplitudes, fill, step
from kvsteady.workload.law import Workload

_CASES = (
    ((2, 2), 140, (1, 1)),
    ((4, 6), 1000, (3, 3)),
    ((4, 6), 1000, (3, 2, 1)),
    ((10, 8), 4000, (4, 2, 2)),
    ((0, 5), 500, (1, 1, 1, 1, 1)),
)
_LIVES = 16  # shown


def _measure(progress: Progress) -> Measured:
    found: list[tuple[Capture, tuple[int, ...]]] = []
    for place, ((prompt, output), kv_tokens, gaps) in enumerate(_CASES):
        system = System(Workload.fixed(prompt, output), kv_tokens)
        found += [(capture, gaps) for capture in capture_examples(system, gaps)]
        progress(place + 1, len(_CASES))
    captured = sum(
        _rotations(capture.end.composition) == _rotations(gaps) for capture, gaps in found
    )
    worst = sum(len(capture.perturbed_end.composition) == 1 for capture, _ in found)
    # One has too many young requests; where the first gap leaves room, one has one in between.
    examples = sum(2 if gaps[0] > 1 else 1 for _, _, gaps in _CASES)
    late = max((capture.end.iterations or 0) / sum(gaps) for capture, gaps in found)
    longest = max(capture.perturbed_end.iterations or 0 for capture, _ in found)
    return Measured(
        f"In exact fractions, {captured} states that meet the conditions land on their balanced "
        f"orbit and stay; with a thousandth more in the oldest cohort all of them end in the "
        f"worst cycle, within {longest} iterations.",
        (
            exactly("states captured exactly by their orbit", captured, examples),
            exactly("neighbours that end in the worst cycle", worst, examples),
            at_most("longest until capture, over l1", late, 1),
        ),
        (_chart(),),
    )


def _chart() -> Chart:
    """Requests that the oldest cohort completes, of a captured state and of its neighbour."""
    (prompt, output), kv_tokens, gaps = _CASES[2]
    system = System(Workload.fixed(prompt, output), kv_tokens)
    capture = capture_examples(system, gaps)[0]
    curves = []
    for name, start, role in (
        ("captured", capture.captured, ROLES[2]),
        ("a thousandth more in the oldest cohort", capture.perturbed, ROLES[0]),
    ):
        oldest = _oldest(system, start, _LIVES)
        unit = Fraction(2 * kv_tokens, output * (2 * prompt + output) + sum(g * g for g in gaps))
        share = tuple(float(mass / (gaps[0] * unit)) for mass in oldest)
        time = tuple(float(output * life) for life in range(_LIVES))
        curves.append(Series(name, time, share, "line", role))
    return Chart(
        f"{prompt}:{output}, gaps {' + '.join(map(str, gaps))}: the oldest cohort, in fractions",
        "iteration",
        "requests over the orbit's",
        tuple(curves),
    )


def _oldest(system: System, start: Amplitudes, lives: int) -> list[Fraction]:
    """Requests about to complete at the start of each life."""
    prompt, output = int(system.workload.prompt[0]), system.workload.longest_output
    state, found = fill(start, prompt, system.kv_tokens), []
    for step_number in range(lives * output):
        if step_number % output == 0:
            found.append(state[-1])
        state = step(state, prompt, system.kv_tokens)
    return found


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
