"""One run: a policy on a workload on an engine, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from kvsteady.admission import NO_LIMIT
from kvsteady.league.drift import Drift
from kvsteady.league.engines import (
    EngineName,
    capacity,
    engine_of,
    iteration_time,
    seconds_per_iteration,
)
from kvsteady.league.entrants import policy_of
from kvsteady.league.loads import Conversations, Replayed, SystemPrompt, Told
from kvsteady.league.measure import Result, measure, warm_up_of
from kvsteady.league.workloads import CONTESTS, Contest, turn
from kvsteady.model.system import System
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads.mooncake import read_mooncake
from kvsteady.simulate.loads.open_loop import Poisson
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.simulate.loads.together import burst
from kvsteady.simulate.machine import Machine
from kvsteady.theory.equilibrium import equilibrium

# Lifetimes and completions that are measured, and iterations that this may take.
_LIVES, _COMPLETIONS, _MOST = 20, 3_000, 24_000
_QUICK_LIVES, _QUICK_COMPLETIONS, _QUICK_MOST = 3, 500, 3_000
_REQUESTS, _QUICK_REQUESTS = 5_000, 800  # of an open loop
BURST = 1_000


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the league: all that decides its `Result`.

    ``constants`` are the entrant's; ``quick`` makes the run about ten times shorter; ``trace`` is
    the file of a workload that is read from one.
    """

    workload: str
    entrant: str
    engine: EngineName
    seed: int = 0
    constants: tuple[tuple[str, float], ...] = ()
    quick: bool = False
    trace: str = ""


def play(match: Match) -> Result:
    """Run a match.

    Raises
    ------
    InputError
        A workload or an entrant that the league does not have.
    """
    return Run(match, CONTESTS[match.workload]).result()


@dataclass
class Run:
    """A match under way; after `result` the rows of all requests that were measured are in ``left``
    (one array per batch, prompts less what all share).
    """

    match: Match
    contest: Contest

    def __post_init__(self) -> None:
        match, contest = self.match, self.contest
        block = contest.block_size if match.engine == "vllm" else 1
        self.system: System = contest.system(match.seed, block_size=block)
        policy = policy_of(match.entrant, self.system, match.constants, match.engine)
        self.longest = self.system.workload.longest_output
        self.left: list[Any] = []
        self.log: list[Any] = []
        self.machine = Machine(
            engine_of(match.engine, block, regulated=policy is not None, cached=contest.cached),
            self.system.kv_tokens + contest.shared,
            iteration_time(),
            self._load().feed(),
            policy=policy,
            workload=self.system.workload,
            finished=self._take,
            iterations=self.log.append,
            log_every=1 if contest.kind == "burst" else 0,
        )

    def _take(self, rows: Any) -> None:
        """Keep who left; what all share is nobody's, as in `Contest.system`."""
        rows["prompt"] -= self.contest.shared
        self.left.append(rows)

    @property
    def _lengths(self) -> tuple[int, int]:
        """Iterations before measuring, and measured."""
        lives, wanted, most = _LIVES, _COMPLETIONS, _MOST
        if self.match.quick:
            lives, wanted, most = _QUICK_LIVES, _QUICK_COMPLETIONS, _QUICK_MOST
        measured = max(lives * self.longest, wanted / equilibrium(self.system).admissions_blocks)
        return warm_up_of(self.longest), int(min(measured, most))

    def _load(self) -> Load:
        contest = self.contest
        load = self._plain_load()
        if contest.told is not None:
            load = Told(load, contest.told)
        if contest.shared and contest.kind == "saturated":
            load = SystemPrompt(load, contest.shared)
        return load

    def _plain_load(self) -> Load:
        contest, seed, limit = self.contest, self.match.seed, self.contest.max_tokens
        law = contest.law()
        if contest.kind == "saturated":
            return Saturated(law, max_tokens=limit, seed=seed)
        if contest.kind == "drift":
            assert contest.later is not None
            own = equilibrium(System(law, self.system.kv_tokens, self.system.block_size))
            warm_up, measured = self._lengths
            change = round(own.admissions_blocks * (warm_up + measured / 2))
            return Drift(law, contest.later(), change, max_tokens=limit, seed=seed)
        if contest.kind == "conversations":
            return Told(Conversations(turn(), contest.shared, 3000, seed=seed), limit or NO_LIMIT)
        if contest.kind == "trace":
            return Replayed(read_mooncake(self.match.trace, max_tokens=limit))
        rate = contest.load * capacity(self.match.engine, self.system)
        if contest.kind == "burst":
            requests = round(rate * (self._burst_at + 4 * self._service))
            return burst(law, rate, BURST, self._burst_at, requests=requests, seed=seed)
        requests = _QUICK_REQUESTS if self.match.quick else _REQUESTS
        return Poisson(law, rate, requests=requests, max_tokens=limit, seed=seed)

    @property
    def _service(self) -> float:
        """Seconds that the longest request takes at equilibrium."""
        return self.longest * seconds_per_iteration(self.match.engine, self.system)

    @property
    def _burst_at(self) -> float:
        return 4 * self._service

    def result(self) -> Result:
        """Run, and put the numbers together."""
        open_loop = self.contest.kind in ("open", "burst")
        warm_up, measured = (0, 2**40) if open_loop else self._lengths
        found = measure(
            self.machine,
            self.left,
            self.system,
            warm_up=warm_up,
            iterations=measured,
            open_loop=open_loop,
        )
        if self.contest.kind == "burst":
            found = msgspec.structs.replace(found, recovered=self._recovered())
        return found

    def _recovered(self) -> float | None:
        """Completions per decode iteration over x*, after the burst, while there is a queue."""
        log = np.concatenate(self.log)
        log = log[(log["start"] >= self._burst_at) & (log["decode_tokens"] > 0)]
        log = log[self.longest : 3 * self.longest]
        if not log.size or not log["waiting"].all():
            return None
        rate = float(log["completed"].sum()) / log.size
        return rate / equilibrium(self.system).admissions_blocks
