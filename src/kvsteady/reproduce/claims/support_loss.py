"""On the way down cohorts die out, and none is born."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray
from kvsteady.model import Cohorts, System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, exactly, noted
from kvsteady.reproduce.claims.duration import lives_to_settle
from kvsteady.reproduce.finding import Chart, Check, Outcome, Series
from kvsteady.theory.first_eviction import disturbed
from kvsteady.theory.orbits import Orbit, balanced_orbits
from kvsteady.workload.law import Workload

_PAIRS = ((4, 16), (16, 32), (128, 24), (64, 64))
_SHOWN = (128, 24)
_SEEDS = 5
_ALIVE = 1e-10  # of x*: smaller cohorts are rounding
# Runs from beside each balanced orbit of a class, this far from it.
_BESIDE, _AWAY, _BESIDE_LIVES = (8, 10), 1e-6, 150


@dataclass(frozen=True, eq=False)
class Descent:
    """Completions of one run, and which cohorts are alive; both of shape ``(lives, l1)``."""

    system: System
    done: FloatArray
    alive: npt.NDArray[np.bool_]

    @property
    def born(self) -> int:
        """Cohorts that appear in a life without having been alive in the one before."""
        return int((self.alive[1:] & ~self.alive[:-1]).sum())

    @property
    def stages(self) -> list[int]:
        """First life of each set of cohorts."""
        changed = (self.alive[1:] != self.alive[:-1]).any(axis=1)
        return [0, *(np.flatnonzero(changed) + 1).tolist()]

    def gaps(self, life: int) -> FloatArray:
        """Iterations from each cohort alive to the next younger one."""
        phase = np.flatnonzero(self.alive[life]).astype(float)
        gaps: FloatArray = np.diff(np.r_[phase, phase[0] + self.alive.shape[1]])
        return gaps

    def balanced(self, life: int) -> float:
        """Throughput of the balanced orbit of the cohorts alive: theory, section 4."""
        output = self.alive.shape[1]
        full = output * (2 * int(self.system.workload.prompt[0]) + output)
        squares = float((self.gaps(life) ** 2).sum())
        return float(2 * self.system.kv_tokens / (full + squares))

    def distance(self, life: int) -> float:
        """Largest relative deviation of a cohort from its mass on that orbit."""
        mass = self.done[life][self.alive[life]]
        return float(np.abs(mass / (self.balanced(life) * self.gaps(life)) - 1).max())


def _measure(progress: Progress) -> Measured:
    born, ended, nearest, error = 0, 0, math.inf, 0.0
    shown: Descent | None = None
    total = len(_PAIRS) * _SEEDS + 1
    for place, pair in enumerate(_PAIRS):
        for seed in range(_SEEDS):
            run = _descent(_system(pair), seed)
            born += run.born
            ended += int(run.alive[-1].sum() == 1)
            last = _kept(run)
            lives = [life for life in range(run.stages[1], last) if run.alive[life].sum() > 1]
            nearest = min([nearest, *map(run.distance, lives)])
            worst = run.system.kv_tokens / (pair[1] * sum(pair))
            error = max(error, abs(float(run.done[-1].mean()) / worst - 1))
            if pair == _SHOWN and seed == 0:
                shown = run
            progress(place * _SEEDS + seed + 1, total)
    assert shown is not None
    _, *orbits = balanced_orbits(_system(_BESIDE))  # the first is the worst cycle
    left = sum(_leaves(_system(_BESIDE), orbit, seed) for seed, orbit in enumerate(orbits))
    progress(total, total)
    return Measured(
        f"In {total - 1} runs from a 1% disturbance of the equilibrium the phases at which cohorts "
        "complete only ever disappear, and one is left: a run takes the cohorts of one balanced "
        "orbit after another, named below with the iteration from which they are what is left. It "
        f"does not come near these orbits: between the first loss and the last, some cohort is "
        f"always {nearest:.0%} or more off its balanced mass. Runs that start beside a balanced "
        "orbit leave it in the same way. All under restart.",
        (
            at_most("cohorts born on the way down", born, 0),
            exactly("runs that end with one cohort", ended, total - 1),
            at_most(
                "largest relative error of the worst cycle's throughput at the end", error, 1e-9
            ),
            exactly(
                f"8:10, starts beside {len(orbits)} balanced orbits: runs that lose cohorts only, "
                "down to one",
                left,
                len(orbits),
            ),
            noted(
                "largest deviation of a cohort from balance, least of all lives between", nearest
            ),
            *_cascade(shown),
        ),
        _charts(shown),
        Outcome.WITH_CONDITIONS,
    )


def _system(pair: tuple[int, int]) -> System:
    return System(Workload.fixed(*pair), 1000 * sum(pair))


def _descent(system: System, seed: int) -> Descent:
    return _run(system, disturbed(system, seed=seed), lives_to_settle(system))


def _run(system: System, start: Cohorts, lives: int) -> Descent:
    output = system.workload.longest_output
    done = iterate(system, steps=lives * output, start=start).completed.reshape(lives, output)
    return Descent(system, done, done > _ALIVE * done.sum(axis=1, keepdims=True))


def _leaves(system: System, orbit: Orbit, seed: int) -> bool:
    """Whether a start beside the orbit loses its cohorts, and only loses, until one is left."""
    amplitude = orbit.start.amplitude
    noise = np.random.default_rng(seed).uniform(-1, 1, amplitude.size)
    run = _run(system, Cohorts.of(amplitude * (1 + _AWAY * noise)), _BESIDE_LIVES)
    return run.born == 0 and int(run.alive[-1].sum()) == 1


def _kept(run: Descent) -> int:
    """Lives to show: until two after the last loss."""
    return run.stages[-1] + 2


def _cascade(run: Descent) -> list[Check]:
    """Each set of cohorts with the iteration from which it is what is left."""
    prompt, output = int(run.system.workload.prompt[0]), run.alive.shape[1]
    return [
        noted(
            f"{prompt}:{output} from iteration {life * output:,}: orbit of gaps "
            f"{_name(run.gaps(life))}; completions over its",
            float(run.done[life].mean()) / run.balanced(life),
        )
        for life in run.stages
    ]


def _name(gaps: FloatArray) -> str:
    """Gaps of an orbit, repeats counted: 1 (10 times), 2, 1 (12 times)."""
    runs = [(int(gap), len(list(repeats))) for gap, repeats in groupby(gaps.tolist())]
    return ", ".join(f"{gap} ({count} times)" if count > 1 else f"{gap}" for gap, count in runs)


def _charts(run: Descent) -> tuple[Chart, ...]:
    prompt, output = int(run.system.workload.prompt[0]), run.alive.shape[1]
    fixed_point = 2 * run.system.kv_tokens / (output * (2 * prompt + output + 1))
    lives = _kept(run)
    time = tuple(float(output * life) for life in range(lives))
    dying = np.flatnonzero(~run.alive[-1])
    death = output * (run.alive[:, dying].sum(axis=0) - 1) + dying
    balanced = tuple(run.balanced(life) / fixed_point for life in range(lives))
    return (
        Chart(
            f"{prompt}:{output}: when each cohort dies out",
            "iteration",
            f"phase: iteration mod {output}",
            (
                Series(
                    "completes for the last time",
                    tuple(death.astype(float).tolist()),
                    tuple(dying.astype(float).tolist()),
                    "points",
                ),
                Series(
                    "never: the worst cycle",
                    (0.0, time[-1]),
                    (float(np.flatnonzero(run.alive[-1])[0]),) * 2,
                    "dashes",
                    "muted",
                ),
            ),
        ),
        Chart(
            f"{prompt}:{output}: cohorts alive",
            "iteration",
            "cohorts",
            (Series("cohorts", time, tuple(run.alive[:lives].sum(axis=1).tolist()), "steps"),),
        ),
        Chart(
            f"{prompt}:{output}: throughput on the way down (restart)",
            "iteration",
            "completions over x*",
            (
                Series(
                    "greedy admission",
                    time,
                    tuple((run.done[:lives].mean(axis=1) / fixed_point).tolist()),
                ),
                Series("balanced orbit of the cohorts alive", time, balanced, "steps", "muted"),
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
