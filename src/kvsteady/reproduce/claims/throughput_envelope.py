"""Best, worst and every balanced throughput."""

from __future__ import annotations

import numpy as np

from kvsteady.model import Cohorts, System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, exactly, near
from kvsteady.reproduce.finding import Chart, Check, Series
from kvsteady.theory.envelope import envelope
from kvsteady.theory.orbits import balanced_orbits
from kvsteady.workload.law import Workload

_PROMPT, _OUTPUT, _KV_TOKENS = 8, 10, 18_000
_STARTS = 50


def _measure(progress: Progress) -> Measured:
    system = System(Workload.fixed(_PROMPT, _OUTPUT), _KV_TOKENS)
    range_ = envelope(system)
    best = 2 * _KV_TOKENS / (_OUTPUT * (2 * _PROMPT + _OUTPUT + 1))
    worst = _KV_TOKENS / (_OUTPUT * (_PROMPT + _OUTPUT))
    orbits = tuple(balanced_orbits(system))
    off = 0.0
    for orbit in orbits:
        # One period: the orbit repels, and rounding grows.
        run = iterate(system, steps=orbit.period, start=orbit.start)
        off = max(off, abs(run.throughput / orbit.throughput - 1))
    progress(1, 2)
    ends = [_end(system, seed) for seed in range(_STARTS)]
    progress(2, 2)
    checks: list[Check] = [
        near("best, completions per iteration", range_.best, best, 1e-12),
        near("worst, completions per iteration", range_.worst, worst, 1e-12),
        near(
            "worst over best",
            range_.ratio,
            (2 * _PROMPT + _OUTPUT + 1) / (2 * (_PROMPT + _OUTPUT)),
            1e-12,
        ),
        at_most(
            f"largest relative error of the formula over {len(orbits)} balanced orbits, simulated",
            off,
            1e-9,
        ),
        exactly(
            f"of {_STARTS} random starts, runs that end outside the envelope",
            sum(not worst * (1 - 1e-9) <= end <= best * (1 + 1e-9) for end in ends),
            0,
        ),
    ]
    levels = sorted({orbit.throughput / best for orbit in orbits}, reverse=True)
    return Measured(
        "Every periodic orbit of one class completes 2M / (l1 (2 l0 + l1) + Σ w_j²) per iteration, "
        "between x* and the worst cycle; random starts end at the lower end. Under restart.",
        tuple(checks),
        (
            Chart(
                f"{_PROMPT}:{_OUTPUT}: throughputs of all balanced orbits (restart)",
                "rank, best first",
                "completions over x*",
                (
                    Series(
                        "orbits",
                        tuple(map(float, range(1, len(levels) + 1))),
                        tuple(levels),
                        "points",
                        "balance",
                    ),
                ),
            ),
            _ratios(),
        ),
    )


def _end(system: System, seed: int) -> float:
    rng = np.random.default_rng(seed)
    shape = rng.exponential(1.0, _OUTPUT) * (rng.random(_OUTPUT) < 0.6) + 1e-6
    held = float(shape @ system.workload.memory_weights())
    start = Cohorts.of(shape * system.kv_tokens / held)
    return iterate(system, steps=100 * _OUTPUT, burn_in=200 * _OUTPUT, start=start).throughput


def _ratios() -> Chart:
    prompts = tuple(float(2**power) for power in range(13))
    said = tuple((2 * prompt + 257) / (2 * (prompt + 256)) for prompt in prompts)
    return Chart(
        "Worst over best, 256 output tokens (restart)",
        "prompt tokens",
        "ratio",
        (Series("(2 l0 + l1 + 1) / (2 (l0 + l1))", prompts, said),),
        x_log=True,
    )


CLAIM = Claim(
    key="envelope",
    title="Throughput envelope",
    source="paper: throughput envelope (specification, section 4)",
    says="All periodic orbits of one class lie between x* and the worst cycle, whose ratio tends "
    "to 1/2 as l0/l1 → 0.",
    measure=_measure,
)
