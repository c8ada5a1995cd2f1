"""The runs of a tuning: candidates on seeds, through a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvsteady.advise.tuning.candidates import Candidate
from kvsteady.advise.tuning.change import Change
from kvsteady.advise.tuning.compare import effects, gains, interval_of, outcome_of
from kvsteady.advise.tuning.flags import spelled
from kvsteady.advise.tuning.packed import Packed
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.record import Measured, Objective
from kvsteady.advise.tuning.replay import stretch_of
from kvsteady.advise.tuning.trial import REQUESTS, TASK, Effort, trial_of
from kvsteady.league.measure import Result
from kvsteady.model.system import System
from kvsteady.progress import Progress
from kvsteady.sweep import Store, Task, Workers, sweep


@dataclass(frozen=True)
class Played:
    """A candidate, its change at full memory, and its runs."""

    candidate: Candidate
    change: Change
    results: tuple[Result, ...]


@dataclass
class Runs:
    """Plays candidates; ``expected`` runs in all are reported to ``progress``.

    ``seeds`` are all that will be played: of a replay each has a stretch of the trace.
    """

    problem: TuningProblem
    effort: Effort
    store: Store | None
    workers: Workers
    progress: Progress
    expected: int
    seeds: range
    done: int = field(default=0, init=False)
    _systems: dict[int, System] = field(default_factory=dict, init=False)

    def play(self, tried: Sequence[Candidate], seeds: Sequence[int]) -> list[Played]:
        """Every candidate on every seed, in their order."""
        systems = [self._system(seed) for seed in seeds]
        stretches = [self._stretch(seed) for seed in seeds]
        trials = [
            trial_of(
                self.problem,
                system,
                candidate.made(system),
                stretch=stretch,
                effort=self.effort,
                seed=seed,
            )
            for candidate in tried
            for seed, system, stretch in zip(seeds, systems, stretches, strict=True)
        ]

        def going(done: int, total: int | None) -> None:
            del total
            self.progress(self.done + done, max(self.expected, self.done + len(trials)))

        task = Task(TASK)
        results = sweep(task, trials, self.store, workers=self.workers, progress=going)
        self.done += len(trials)
        many = len(seeds)
        return [
            Played(
                candidate,
                candidate.made(self.problem.system),
                tuple(results[place * many : (place + 1) * many]),
            )
            for place, candidate in enumerate(tried)
        ]

    def _stretch(self, seed: int) -> Packed | None:
        """The requests of a seed in a replay; None where they are drawn."""
        if not self.problem.replay:
            return None
        record, rate = self.problem.system.workload.arrivals, self.problem.requests_per_second
        assert record is not None
        assert rate is not None
        place, of = self.seeds.index(seed), len(self.seeds)
        return stretch_of(record, place, of, most=REQUESTS[self.effort], rate=rate)

    def _system(self, seed: int) -> System:
        """One object per seed, so that what is known of it is found again."""
        if seed not in self._systems:
            self._systems[seed] = self.problem.system_of(seed)
        return self._systems[seed]


def measured(engine: str, objective: Objective, now: Played, each: Played) -> Measured:
    """A candidate against the engine as it is, on the same seeds."""
    own = gains(objective, now.results, each.results)
    return Measured(
        setting=setting_of(engine, each.change),
        family=each.candidate.family,
        how=each.change.how,
        outcome=outcome_of(each.results),
        gain=None if own is None else interval_of(own),
        effects=effects(now.results, each.results),
    )


def setting_of(engine: str, change: Change) -> str:
    """What to set, in one line: flags as the engine spells them, a policy as kvsteady does."""
    if not change.policy:
        return spelled(engine, change.options)
    constants = ",".join(f"{name}={value:g}" for name, value in change.constants)
    return f"{change.policy}:{constants}" if constants else change.policy
