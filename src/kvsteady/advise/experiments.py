"""The runs of the exact model that an analysis rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kvsteady.advise.analysis import RunCurves, RunSummary
from kvsteady.advise.curves import run_curves
from kvsteady.model.iterate import iterate
from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import Averages, Trajectory
from kvsteady.policies.greedy import Greedy
from kvsteady.policies.rate_cap import RateCap
from kvsteady.progress import Progress
from kvsteady.theory.caps import RateCaps
from kvsteady.theory.equilibrium import Equilibrium
from kvsteady.theory.spectrum import Spectrum

# Work that one fluid run may take, in distinct outputs × iterations: some seconds.
_BUDGET = 4e8
_MOST_STEPS = 4_000_000
# The disturbance that the equilibrium is given, relative to x*.
_NUDGE = 0.01
# Doublings or halvings of the dominant mode after which a run has settled.
_FOLDS = 20
# Lifetimes of the longest output that a run lasts, if nothing asks for more.
_LIVES = 80
_LEAST_LIVES = 4
_OPENING = 12
# Completions that the runs of whole requests aim at.
_COMPLETIONS = 20_000


@dataclass(frozen=True, eq=False)
class Experiments:
    """Four runs from their middle to their end, the curves of three from their beginning.

    ``resumed`` are the averages of a fifth, the only one in which evicted requests keep their
    tokens. ``settled`` is False where the fluid runs were too short.
    """

    disturbed: Trajectory
    empty: Trajectory
    whole: Trajectory
    capped: Trajectory
    resumed: Averages
    curves: tuple[RunCurves, ...]
    settled: bool

    @property
    def summaries(self) -> tuple[RunSummary, ...]:
        """Averages over the end of each run."""
        return (
            _summary(self.disturbed, "greedy", "disturbed equilibrium", settled=self.settled),
            _summary(self.empty, "greedy", "empty", settled=self.settled),
            _summary(self.whole, "greedy", "empty", settled=self.settled),
            _summary(self.capped, "rate cap", "empty", settled=True),
        )


def run_experiments(
    system: System,
    balance: Equilibrium,
    modes: Spectrum,
    caps: RateCaps,
    *,
    seed: int,
    progress: Progress,
) -> Experiments:
    """Greedy admission from a disturbed equilibrium and from empty, in the fluid model; greedy
    and capped admission of whole requests from empty, greedy admission also where evicted requests
    resume. Same seed, same result.
    """
    longest = system.workload.longest_output
    noise = np.random.default_rng(seed).uniform(-1, 1, longest)
    nudged = Cohorts.of(balance.admissions * (1 + _NUDGE * noise))
    fold = _FOLDS * min(modes.doubling, modes.halving)
    affordable = min(_BUDGET / system.workload.by_output[0].size, _MOST_STEPS)
    wanted = max(_LIVES, math.ceil(fold / longest)) if math.isfinite(fold) else _LIVES
    lives = max(_LEAST_LIVES, min(wanted, int(affordable / longest)))
    warm_up = lives // 2 * longest
    tail = lives * longest - warm_up
    opening = min(_OPENING, lives) * longest
    many = int(min(max(40 * longest, _COMPLETIONS / balance.admissions), _MOST_STEPS))
    cap = RateCap(caps.steady)

    total = 2 * (warm_up + tail) + 3 * opening + 3 * (4 * longest + many)
    done = 0

    def run(
        policy: Greedy | RateCap,
        steps: int,
        burn_in: int,
        *,
        fluid: bool,
        start: Cohorts | None = None,
        eviction: Eviction = Eviction.RESTART,
    ) -> Trajectory:
        nonlocal done
        before = done
        trajectory = iterate(
            system,
            policy=policy,
            steps=steps,
            burn_in=burn_in,
            arithmetic="fluid" if fluid else "integer",
            start=start,
            seed=seed,
            eviction=eviction,
            progress=lambda now, _: progress(before + now, total),
        )
        done += steps + burn_in
        return trajectory

    # First, so that its rows are gone when those that are kept come.
    resumed = run(Greedy(), many, 4 * longest, fluid=False, eviction=Eviction.RESUME).averages()
    return Experiments(
        disturbed=run(Greedy(), tail, warm_up, fluid=True, start=nudged),
        empty=run(Greedy(), tail, warm_up, fluid=True),
        whole=run(Greedy(), many, 4 * longest, fluid=False),
        capped=run(cap, many, 4 * longest, fluid=False),
        resumed=resumed,
        curves=(
            run_curves(
                "greedy, fluid, from a 1% disturbance",
                "greedy",
                run(Greedy(), opening, 0, fluid=True, start=nudged),
            ),
            run_curves("greedy, whole requests", "greedy", run(Greedy(), opening, 0, fluid=False)),
            run_curves("rate cap, whole requests", "rate cap", run(cap, opening, 0, fluid=False)),
        ),
        settled=lives >= wanted,
    )


def _summary(
    run: Trajectory,
    policy: Literal["greedy", "rate cap"],
    start: Literal["disturbed equilibrium", "empty"],
    *,
    settled: bool,
) -> RunSummary:
    mean = run.averages()
    return RunSummary(
        policy=policy,
        arithmetic=run.arithmetic,
        start=start,
        iterations=mean.iterations,
        throughput=mean.completed,
        useful_tokens=mean.useful_tokens,
        evictions=mean.evicted,
        evicted_tokens=mean.evicted_tokens,
        wasted_tokens=mean.wasted_tokens,
        memory=mean.memory,
        settled=settled,
    )
