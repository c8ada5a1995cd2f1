"""On the way down cohorts die out, and none is born."""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model import System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, exactly
from kvsteady.reproduce.claims.duration import lives_to_settle
from kvsteady.reproduce.finding import Chart, Series
from kvsteady.theory.first_eviction import disturbed
from kvsteady.workload.law import Workload

_PAIRS = ((4, 16), (16, 32), (128, 24), (64, 64))
_SHOWN = (128, 24)
_SEEDS = 5
_ALIVE = 1e-10  # of x*: smaller cohorts are rounding


def _measure(progress: Progress) -> Measured:
    born, ended = 0, 0
    charts: tuple[Chart, ...] = ()
    total = len(_PAIRS) * _SEEDS
    for place, (prompt, output) in enumerate(_PAIRS):
        system = System(Workload.fixed(prompt, output), 1000 * (prompt + output))
        for seed in range(_SEEDS):
            done = _completions(system, seed)
            alive = done > _ALIVE * done.sum(axis=1, keepdims=True)
            born += int((alive[1:] & ~alive[:-1]).sum())
            ended += int(alive[-1].sum() == 1)
            if (prompt, output) == _SHOWN and seed == 0:
                charts = _charts(system, done, alive)
            progress(place * _SEEDS + seed + 1, total)
    return Measured(
        f"In {total} runs the phases at which cohorts complete only ever disappear, and one is "
        "left. Between two losses the throughput follows the balanced orbit of the gaps that are "
        "left only loosely: the orbits repel, and a run passes them rather than rests on them.",
        (
            at_most("cohorts born on the way down", born, 0),
            exactly("runs that end with one cohort", ended, total),
        ),
        charts,
    )


def _completions(system: System, seed: int) -> FloatArray:
    """Completions by life and phase, shape ``(lives, l1)``."""
    output = system.workload.longest_output
    lives = lives_to_settle(system)
    run = iterate(system, steps=lives * output, start=disturbed(system, seed=seed))
    return run.completed.reshape(lives, output)


def _charts(system: System, done: FloatArray, alive: np.ndarray) -> tuple[Chart, ...]:
    prompt, output = int(system.workload.prompt[0]), system.workload.longest_output
    fixed_point = 2 * system.kv_tokens / (output * (2 * prompt + output + 1))
    last = int(np.flatnonzero(alive.sum(axis=1) > 1)[-1]) + 3
    time = tuple(float(output * life) for life in range(last))
    balanced = []
    for life in range(last):
        phase = np.flatnonzero(alive[life])
        gaps = np.diff(np.r_[phase, phase[0] + output])
        square = float((gaps**2).sum())
        balanced.append(2 * system.kv_tokens / (output * (2 * prompt + output) + square))
    return (
        Chart(
            f"{prompt}:{output}: cohorts alive",
            "iteration",
            "cohorts",
            (Series("cohorts", time, tuple(alive[:last].sum(axis=1).tolist()), "steps"),),
        ),
        Chart(
            f"{prompt}:{output}: throughput on the way down (restart)",
            "iteration",
            "completions over x*",
            (
                Series(
                    "greedy admission", time, tuple((done[:last].mean(1) / fixed_point).tolist())
                ),
                Series(
                    "balanced orbit of the cohorts alive",
                    time,
                    tuple((np.array(balanced) / fixed_point).tolist()),
                    "steps",
                    "muted",
                ),
            ),
        ),
    )


CLAIM = Claim(
    key="support-loss",
    title="Cohorts die out one after another",
    source="paper: Theorem 2, global half",
    says="From almost every start greedy admission loses cohort after cohort, passing balanced "
    "orbits with ever fewer of them, until one cohort is left: the worst cycle.",
    measure=_measure,
)
