"""Tune: choose on one seed, compare on others, confirm on yet others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvsteady.advise.tuning.assemble import assembled
from kvsteady.advise.tuning.candidates import Candidate, candidates, nothing
from kvsteady.advise.tuning.compare import gains, objective_of, outcome_of
from kvsteady.advise.tuning.decide import front_runner
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.record import Objective, Seeds, Tuning
from kvsteady.advise.tuning.runs import Played, Runs, measured
from kvsteady.advise.tuning.trial import Effort
from kvsteady.progress import Progress, silent
from kvsteady.sweep import HERE, Store, Workers
from kvsteady.workload.ranges import whole_number

_SEEDS: Final = {"full": 5, "quick": 4}


def tune(
    problem: TuningProblem,
    *,
    seeds: int | None = None,
    seed: int = 0,
    effort: Effort = "full",
    store: Store | None = None,
    workers: Workers = HERE,
    progress: Progress = silent,
) -> Tuning:
    """Find out which flags or which admission policy an engine gains from, if from any.

    1. Every value of every family runs on one seed.
    2. The best value of each family runs on ``seeds`` others, against the engine as it is. The
       front runner is the simplest change that cannot be told from the best one.
    3. It runs on as many seeds again, which took part in no choice: a choice flatters the seeds it
       was made on. The outcome rests on these alone.

    Gains are of runs with the same seed, hence the same requests; intervals are Student's t at
    95%. In a replay seeds stand for stretches of the trace that follow each other.

    Parameters
    ----------
    problem
        Workload, engine and load.
    seeds
        Of each of the last two steps, at least 2; None is 5, or 4 with little effort.
    seed
        The first one; the others follow it.
    effort
        ``quick``: fewer values, and runs about a third as long.
    store, workers
        As in `kvsteady.sweep.sweep`: with a store a run that was stopped goes on where it was.
    progress
        Called with runs done and to do.

    Raises
    ------
    InputError
        Seeds out of range; a trace with fewer than 100 requests for each, where it is replayed.
    """
    many = _SEEDS[effort] if seeds is None else whole_number(seeds, "seeds", 2, 1000)
    first = whole_number(seed, "seed", 0, 2**61)
    all_seeds = range(first, first + 1 + 2 * many)
    plan = Seeds(
        choosing=tuple(all_seeds[:1]),
        comparing=tuple(all_seeds[1 : 1 + many]),
        confirming=tuple(all_seeds[1 + many :]),
    )
    tried = candidates(problem, effort)
    families = len({candidate.family for candidate in tried})
    expected = 1 + len(tried) + (1 + families) * many + 2 * many
    runs = Runs(problem, effort, store, workers, progress, expected, all_seeds)

    now, *chosen = runs.play([nothing(), *tried], plan.choosing)
    objective = objective_of(now.results[0])
    found = [(now, chosen)]
    if outcome_of(now.results) == "ran":
        best = best_of_families(objective, now, chosen)
        now, *compared = runs.play([nothing(), *best], plan.comparing)
        found.append((now, compared))
        rows = [(each, measured(problem.engine_name, objective, now, each)) for each in compared]
        ahead = front_runner(objective, now.results, rows)
        if ahead is not None and outcome_of(now.results) == "ran":
            now, *confirmed = runs.play([nothing(), ahead.candidate], plan.confirming)
            found.append((now, confirmed))
    progress(runs.done, runs.done)
    return assembled(problem, objective, plan, found)


def best_of_families(objective: Objective, now: Played, tried: Sequence[Played]) -> list[Candidate]:
    """The candidate of each family that gains most; of those that ran."""
    best: dict[str, tuple[float, Candidate]] = {}
    for each in tried:
        own = gains(objective, now.results, each.results)
        family = each.candidate.family
        if own is not None and (family not in best or sum(own) > best[family][0]):
            best[family] = sum(own), each.candidate
    return [candidate for _, candidate in best.values()]
