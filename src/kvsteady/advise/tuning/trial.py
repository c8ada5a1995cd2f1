"""One run of a candidate, as plain data: any worker can play it, and a store can keep it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np

from kvsteady.admission import Policy
from kvsteady.advise.tuning.change import Change, Constants, Options
from kvsteady.advise.tuning.packed import Packed, packed, unpacked
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.replay import arrivals_of
from kvsteady.arrays import frozen_floats
from kvsteady.league.measure import Result, measure, warm_up_of
from kvsteady.model.system import Eviction, System
from kvsteady.policies import NAMED
from kvsteady.simulate.engines.options import made_engine
from kvsteady.simulate.engines.sglang_regulated import without_reservation
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads.open_loop import Poisson
from kvsteady.simulate.loads.recorded import Recorded
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times.form import TimeForm
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.workload.law import Workload

TASK: Final = "kvsteady.advise.tuning.trial:play"

Effort: TypeAlias = Literal["quick", "full"]

# By effort: lifetimes and completions that are measured, and the fewest and most iterations that
# this takes (SGLang's reservation swings over 600); the requests of an open loop.
_LENGTHS: Final = {"full": (20, 3_000, 3_000, 24_000), "quick": (8, 1_000, 1_500, 8_000)}
REQUESTS: Final = {"full": 5_000, "quick": 1_500}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides one `Result`: workload, memory, engine, load, candidate, seed.

    ``lengths`` has prompts, outputs and tickets as rows, ``time`` the arrays of a `TimeForm`.
    ``policy`` is empty where nobody is asked; ``rate`` is null where the queue never empties.
    ``stretch`` has the requests of a replay, see `stretch_of`, and else is null.
    """

    lengths: Packed
    random: bool
    kv_tokens: int
    engine: str
    options: Options
    eviction: str
    time: tuple[Packed, Packed, Packed]
    policy: str
    constants: Constants
    max_tokens: int | None
    rate: float | None
    stretch: Packed | None
    effort: Effort
    seed: int


def trial_of(
    problem: TuningProblem,
    system: System,
    change: Change,
    *,
    stretch: Packed | None = None,
    effort: Effort,
    seed: int,
) -> Trial:
    """A run with a change; ``system`` is the problem's, with the memory of the seed."""
    load = system.workload
    rows = np.stack([load.prompt, load.output, load.tickets])
    form = problem.on.time.form()
    return Trial(
        lengths=packed(rows, "<i8"),
        random=load.random,
        kv_tokens=system.kv_tokens,
        engine=problem.engine_name,
        options=tuple(sorted((problem.options | dict(change.options)).items())),
        eviction=problem.on.eviction.value,
        time=(packed(form.coef, "<f8"), packed(form.axes, "<f8"), packed(form.table, "<f8")),
        policy=change.policy,
        constants=change.constants,
        max_tokens=problem.told,
        rate=problem.requests_per_second,
        stretch=stretch,
        effort=effort,
        seed=seed,
    )


class _Time:
    """An iteration time that was packed."""

    def __init__(self, arrays: tuple[Packed, Packed, Packed]) -> None:
        self._form = TimeForm(*(frozen_floats(unpacked(array)) for array in arrays))

    def form(self) -> TimeForm:
        """As it was."""
        return self._form


def play(trial: Trial) -> Result:
    """Run a trial."""
    prompt, output, tickets = unpacked(trial.lengths)
    load = Workload.from_counts(prompt, output, tickets, random=trial.random)
    engine = made_engine(trial.engine, dict(trial.options))
    policy: Policy | None = None
    if trial.policy:
        policy = NAMED[trial.policy](**dict(trial.constants))
        engine = without_reservation(engine)
    system = System(load, trial.kv_tokens, engine.block_size)
    left: list[Any] = []
    machine = Machine(
        engine,
        trial.kv_tokens,
        _Time(trial.time),
        _arrivals(trial, load).feed(),
        eviction=Eviction(trial.eviction),
        policy=policy,
        workload=load,
        finished=left.append,
    )
    warm_up, iterations = _window(trial, system)
    return measure(
        machine,
        left,
        system,
        warm_up=warm_up,
        iterations=iterations,
        open_loop=trial.rate is not None,
    )


def _arrivals(trial: Trial, load: Workload) -> Load:
    if trial.stretch is not None:
        load = replace(load, arrivals=arrivals_of(trial.stretch))
        return Recorded(load, max_tokens=trial.max_tokens)
    if trial.rate is None:
        return Saturated(load, max_tokens=trial.max_tokens, seed=trial.seed)
    many = REQUESTS[trial.effort]
    return Poisson(load, trial.rate, requests=many, max_tokens=trial.max_tokens, seed=trial.seed)


def _window(trial: Trial, system: System) -> tuple[int, int]:
    """Iterations before measuring, and measured; an open loop is served to its last request."""
    if trial.rate is not None:
        return 0, 2**40
    longest = system.workload.longest_output
    lives, wanted, least, most = _LENGTHS[trial.effort]
    measured = max(lives * longest, wanted / equilibrium(system).admissions_blocks, least)
    # A few lives of the longest output are measured however long they are.
    return warm_up_of(longest), int(max(min(measured, most), 3 * longest))
