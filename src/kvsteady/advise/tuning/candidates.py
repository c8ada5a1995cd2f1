"""What is tried: an engine's own flags, and the policies that could decide in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kvsteady.advise.tuning import flags
from kvsteady.advise.tuning.change import Change, Options
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.rates import steady_rate
from kvsteady.advise.tuning.trial import Effort
from kvsteady.model.system import System
from kvsteady.theory.equilibrium import equilibrium


@dataclass(frozen=True)
class Candidate:
    """A change, as it follows from a memory: a seed may have a little less of it.

    ``family`` names what is set; of each family the best goes on.
    """

    family: str
    made: Callable[[System], Change]


def candidates(problem: TuningProblem, effort: Effort) -> list[Candidate]:
    """What to try, without doing nothing; no two are the same, and none is what there is now."""
    found = [*_flags(problem, effort), *_policies(problem, effort)]
    now, seen = problem.options, {Change()}
    kept = []
    for candidate in found:
        change = candidate.made(problem.system)
        own = tuple((name, value) for name, value in change.options if now[name] != value)
        change = Change(own, change.policy, change.constants)
        if change not in seen:
            seen.add(change)
            kept.append(candidate)
    return kept


def nothing() -> Candidate:
    """The engine as it is run now."""
    return Candidate("as it is", lambda _: Change())


def _flags(problem: TuningProblem, effort: Effort) -> list[Candidate]:
    """Engines that have no flags here are left to the policies."""
    engine: Any = problem.on.engine
    families = flags.FAMILIES.get(problem.engine_name, ())

    def made(make: flags.Make, value: float) -> Callable[[System], Change]:
        return lambda system: Change(_sorted(make(engine, system, value)))

    return [
        Candidate(family.name, made(family.make, value))
        for family in families
        for value in (family.quick if effort == "quick" else family.values)
        # A flag that does not apply sets nothing, and is dropped as such.
    ]


def _sorted(options: Mapping[str, Any]) -> Options:
    return tuple(sorted(options.items()))


def _policies(problem: TuningProblem, effort: Effort) -> list[Candidate]:
    """TensorRT-LLM has no door for a policy."""
    if problem.engine_name == "tensorrt-llm":
        return []
    quick = effort == "quick"
    caps: tuple[float | None, ...] = (None, 1.0) if quick else (None, 0.9, 0.95, 1.0)
    batches = (1, 8) if quick else (1, 2, 4, 8, 16)

    def capped(of_x: float | None) -> Callable[[System], Change]:
        def made(system: System) -> Change:
            rate = steady_rate(system)
            if of_x is not None:
                rate = of_x * equilibrium(system).admissions_blocks
            return Change(policy="rate-cap", constants=(("rate", float(f"{rate:.4g}")),))

        return made

    def batched(batch: int) -> Callable[[System], Change]:
        def made(system: System) -> Change:
            rate = float(f"{steady_rate(system):.4g}")
            return Change(policy="wait", constants=(("batch", batch), ("rate", rate)))

        return made

    return [
        *(Candidate("rate-cap", capped(of_x)) for of_x in caps),
        *(Candidate("wait", batched(batch)) for batch in batches),
        Candidate("steady", lambda _: Change(policy="steady")),
    ]
