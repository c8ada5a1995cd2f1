"""Runs to what is saved of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from kvsteady import __version__
from kvsteady.advise.describe import describe
from kvsteady.advise.tuning.change import Change
from kvsteady.advise.tuning.compare import gains, outcome_of
from kvsteady.advise.tuning.counsel import counsel, notes
from kvsteady.advise.tuning.decide import decide
from kvsteady.advise.tuning.outcome import TuningOutcome
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.record import (
    Objective,
    Seeds,
    Tried,
    Tuning,
    TuningLoad,
)
from kvsteady.advise.tuning.runs import Played, measured, setting_of
from kvsteady.league.engines import capacity
from kvsteady.simulate.engines import ENGINES

Stage: TypeAlias = tuple[Played, Sequence[Played]]
"""The engine as it is, and candidates, on the same seeds."""


def assembled(
    problem: TuningProblem, objective: Objective, seeds: Seeds, stages: Sequence[Stage]
) -> Tuning:
    """The saved form of one to three stages; fewer than three where nothing could go on."""
    engine = problem.engine_name
    now, tried = stages[0]
    compared, confirmed = [
        tuple(measured(engine, objective, as_it_is, each) for each in found)
        for as_it_is, found in [*stages[1:], *[(now, ())] * (3 - len(stages))]
    ]
    runner = confirmed[0] if confirmed else None
    stuck = any(outcome_of(as_it_is.results) != "ran" for as_it_is, _ in stages)
    outcome = TuningOutcome.STUCK if stuck else decide(objective, runner)
    found = Tuning(
        kvsteady_version=__version__,
        outcome=outcome.label,
        outcome_text=outcome.text,
        engine=problem.on.engine.name,
        eviction=problem.on.eviction.value,
        options=_own_options(problem),
        time=problem.on.time_name,
        workload=describe(problem.system),
        kv_tokens=problem.system.kv_tokens,
        block_size=problem.system.block_size,
        max_tokens=problem.told,
        load=_load(problem),
        objective=objective,
        seeds=seeds,
        front_runner=runner,
        compared=compared,
        tried=tuple(_tried(engine, objective, now, each) for each in tried),
        advice=(),
        notes=(),
    )
    said = (*problem.memory_notes, *notes(found))
    return msgspec.structs.replace(found, advice=counsel(found), notes=said)


def _tried(engine: str, objective: Objective, now: Played, each: Played) -> Tried:
    own = gains(objective, now.results, each.results)
    return Tried(
        setting=setting_of(engine, each.change),
        family=each.candidate.family,
        how=each.change.how,
        outcome=outcome_of(each.results),
        gain=None if own is None else sum(own) / len(own),
        recompute_tax=sum(result.recompute_tax for result in each.results) / len(each.results),
    )


def _own_options(problem: TuningProblem) -> str:
    """Options that differ from the engine's defaults, as it spells them."""
    usual = ENGINES[problem.engine_name]()
    own = tuple(
        (name, value) for name, value in problem.options.items() if value != getattr(usual, name)
    )
    return setting_of(problem.engine_name, Change(own)) if own else ""


def _load(problem: TuningProblem) -> TuningLoad:
    rate = problem.requests_per_second
    if rate is None:
        return TuningLoad("saturated", None, None)
    most = capacity(problem.engine_name, problem.system, problem.on.time)
    return TuningLoad("replayed" if problem.replay else "open", rate, rate / most)
