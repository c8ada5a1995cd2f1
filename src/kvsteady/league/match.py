"""One run: a policy on a workload on an engine, from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.league.drift import Drift
from kvsteady.league.engines import (
    EngineName,
    capacity,
    engine_of,
    iteration_time,
    seconds_per_iteration,
)
from kvsteady.league.entrants import policy_of
from kvsteady.league.workloads import CONTESTS, Contest
from kvsteady.model.system import System
from kvsteady.simulate import arriving
from kvsteady.simulate.gaps import gap_quantile
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads.open_loop import Poisson
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.simulate.loads.together import burst
from kvsteady.simulate.machine import Machine
from kvsteady.theory.equilibrium import equilibrium

# Lifetimes of the longest output before measuring, at least so many iterations.
_WARM_LIVES, _WARM_LEAST = 4, 2_000
# Lifetimes and completions that are measured, and iterations that this may take.
_LIVES, _COMPLETIONS, _MOST = 20, 3_000, 24_000
_QUICK_LIVES, _QUICK_COMPLETIONS, _QUICK_MOST = 3, 500, 3_000
_REQUESTS, _QUICK_REQUESTS = 5_000, 800  # of an open loop
_SLICE = 4_096
# A good request: first token and mean time per further one, in seconds.
TTFT, TPOT = 2.0, 0.05
BURST = 1_000


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the league: all that decides its `Result`.

    ``constants`` are the entrant's; ``quick`` makes the run about ten times shorter.
    """

    workload: str
    entrant: str
    engine: EngineName
    seed: int = 0
    constants: tuple[tuple[str, float], ...] = ()
    quick: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. Numbers that do not exist are null.

    ``of_x`` is completions per decode iteration over x* in blocks, each completion weighted with
    the memory it takes over its life against the mean's (so that it is exact where laws drift and
    less noisy where lengths are random). ``recompute_tax`` is the share of prefilled tokens that
    are computed again, ``recomputed_share`` that of all computed tokens. Times between tokens
    (ITL) are in milliseconds, the time to the first (TTFT) in seconds, of those who came after the
    first fifth of an open loop; ``goodput`` is requests per second with a first token within 2 s
    and 50 ms per token after it, ``recovered`` is ``of_x`` from one to three maximal service times
    after a burst.
    """

    outcome: str
    iterations: int
    completions: int
    completions_per_iteration: float
    of_x: float
    recompute_tax: float
    recomputed_share: float
    evictions_per_completion: float
    tokens_per_second: float
    itl_p50_ms: float | None
    itl_p99_ms: float | None
    ttft_p99_s: float | None
    goodput: float | None
    recovered: float | None
    decoding: float
    kv_usage: float


def play(match: Match) -> Result:
    """Run a match.

    Raises
    ------
    InputError
        A workload or an entrant that the league does not have.
    """
    return _Run(match, CONTESTS[match.workload]).result()


def footprint(prompt: IntArray, output: IntArray, block: int) -> FloatArray:
    """KV tokens in whole blocks that requests hold, summed over the iterations of their lives:
    ``Σ_{t=l0+1}^{l0+l1} ⌈t / B⌉ B``, shape of ``prompt``.
    """

    def up_to(tokens: IntArray) -> FloatArray:
        whole, rest = np.divmod(tokens, block)
        return np.asarray(block**2 * whole * (whole + 1) / 2 + rest * block * (whole + 1))

    return up_to(prompt + output) - up_to(prompt)


@dataclass
class _Run:
    match: Match
    contest: Contest

    def __post_init__(self) -> None:
        match, contest = self.match, self.contest
        block = contest.block_size if match.engine == "vllm" else 1
        self.system: System = contest.system(match.seed, block_size=block)
        policy = policy_of(match.entrant, self.system, match.constants)
        self.longest = self.system.workload.longest_output
        self.left: list[Any] = []
        self.log: list[Any] = []
        self.machine = Machine(
            engine_of(match.engine, block, regulated=policy is not None),
            self.system.kv_tokens,
            iteration_time(),
            self._load().feed(),
            policy=policy,
            workload=self.system.workload,
            finished=self.left.append,
            iterations=self.log.append,
            log_every=1 if contest.kind == "burst" else 0,
        )

    @property
    def _lengths(self) -> tuple[int, int]:
        """Iterations before measuring, and measured."""
        lives, wanted, most = _LIVES, _COMPLETIONS, _MOST
        if self.match.quick:
            lives, wanted, most = _QUICK_LIVES, _QUICK_COMPLETIONS, _QUICK_MOST
        measured = max(lives * self.longest, wanted / equilibrium(self.system).admissions_blocks)
        return max(_WARM_LIVES * self.longest, _WARM_LEAST), int(min(measured, most))

    def _load(self) -> Load:
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
        machine, open_loop = self.machine, self.contest.kind in ("open", "burst")
        warm_up, measured = (0, 2**40) if open_loop else self._lengths
        self._advance(warm_up)
        machine.flush()
        self.left.clear()
        before, gaps = machine.clock.copy(), machine.state.gaps.copy()
        why = self._advance(measured)
        machine.flush()
        after = machine.clock

        def over(field: str) -> float:
            return float(after[field] - before[field])

        gaps = machine.state.gaps - gaps
        rows = np.concatenate(self.left) if self.left else np.zeros(0, machine.state.outbox.dtype)
        steps = max(over("tick"), 1.0)
        memory = float(self.system.kv_tokens // self.system.block_size * self.system.block_size)
        used = footprint(rows["prompt"], rows["output"], self.system.block_size).sum()
        completed, prefilled = over("all_completed"), over("all_prefill")
        recomputed = over("all_recomputed")
        seconds = float(after["now"] - before["now"])
        return Result(
            outcome=_ENDS.get(why, "ran"),
            iterations=int(over("iteration")),
            completions=int(completed),
            completions_per_iteration=completed / steps,
            of_x=float(used) / (memory * steps),
            recompute_tax=recomputed / max(prefilled, 1.0),
            recomputed_share=recomputed / max(prefilled + over("all_decode"), 1.0),
            evictions_per_completion=over("all_preempted") / max(completed, 1.0),
            tokens_per_second=over("all_output") / seconds if seconds else 0.0,
            itl_p50_ms=_finite(1e3 * gap_quantile(gaps, 0.5)),
            itl_p99_ms=_finite(1e3 * gap_quantile(gaps, 0.99)),
            decoding=over("all_decode") / steps,
            kv_usage=over("block_seconds") / max(over("busy") * float(after["total"]), 1e-9),
            recovered=self._recovered() if self.contest.kind == "burst" else None,
            **_waiting(rows, open_loop=open_loop),
        )

    def _advance(self, iterations: int) -> int:
        """Run in slices, between which an interrupt gets through."""
        why = arriving.GO
        while iterations > 0 and why == arriving.GO:
            why = self.machine.run(min(iterations, _SLICE))
            iterations -= _SLICE
        return why

    def _recovered(self) -> float | None:
        """Completions per decode iteration over x*, after the burst, while there is a queue."""
        log = np.concatenate(self.log)
        log = log[(log["start"] >= self._burst_at) & (log["decode_tokens"] > 0)]
        log = log[self.longest : 3 * self.longest]
        if not log.size or not log["waiting"].all():
            return None
        rate = float(log["completed"].sum()) / log.size
        return rate / equilibrium(self.system).admissions_blocks


_ENDS = {
    arriving.LIVELOCK: "livelocked",
    arriving.STALLED: "stalled",
    arriving.HOPELESS: "stalled",
}


def _waiting(rows: Any, *, open_loop: bool) -> dict[str, float | None]:
    if not open_loop or not rows.size:
        return {"ttft_p99_s": None, "goodput": None}
    rows = rows[np.argsort(rows["arrival"], kind="stable")]
    rows = rows[rows.size // 5 :]
    first = rows["first_token"] - rows["arrival"]
    each = (rows["finish"] - rows["first_token"]) / np.maximum(rows["output"] - 1, 1)
    good = int(((first <= TTFT) & (each <= TPOT)).sum())
    span = float(rows["finish"].max() - rows["arrival"][0])
    return {"ttft_p99_s": float(np.quantile(first, 0.99)), "goodput": good / span}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
