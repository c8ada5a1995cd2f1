"""What evictions cost on an engine as it really decides, next to what theory says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import Eviction, System
from kvsteady.progress import Progress, silent
from kvsteady.saved import Record
from kvsteady.simulate import arriving
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.gaps import gap_quantile
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times.protocol import IterationTime

# Lifetimes of the longest output before and while a run is measured.
_WARM_UP = 6
_LEAST_LIVES = 20
# Completions that a run aims at, and iterations that it may take for them.
_COMPLETIONS = 20_000
_MOST_ITERATIONS = 2_000_000
_CHUNK = 20_000

_ENDS: Final[dict[int, Literal["ran", "livelocked", "stalled"]]] = {
    arriving.LIVELOCK: "livelocked",
    arriving.STALLED: "stalled",
    arriving.HOPELESS: "stalled",
}


class EngineRun(Record, frozen=True):
    """The end of one saturated run of an engine.

    ``recompute_tax`` is the share of prefilled tokens that are computed again,
    ``recomputed_share`` that of all computed tokens; ``decoding`` requests decode in an iteration.
    Times between tokens (ITL) are in milliseconds. Numbers that do not exist are null.
    """

    policy: Literal["greedy", "rate cap"]
    outcome: Literal["ran", "livelocked", "stalled"]
    iterations: int
    completions_per_iteration: float
    preemptions_per_completion: float | None
    recompute_tax: float
    recomputed_share: float
    output_tokens_per_second: float
    itl_p50_ms: float | None
    itl_p99_ms: float | None
    decoding: float
    kv_usage: float


class EngineEstimate(Record, frozen=True):
    """A workload on an engine with an endless queue, greedy as it comes and under the rate cap.

    ``engine`` names the version whose decisions are reproduced, ``eviction`` what its evicted
    requests keep, ``time`` what an iteration was taken to last.
    """

    engine: str
    eviction: Literal["restart", "resume", "swap"]
    time: str
    greedy: EngineRun
    capped: EngineRun


@dataclass(frozen=True)
class OnEngine:
    """An engine to try: its scheduler, what its iterations take and what to call that."""

    engine: Engine
    time: IterationTime
    time_name: str
    eviction: Eviction = Eviction.RESUME


def estimate_engine(
    system: System,
    on: OnEngine,
    cap: Pace,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> EngineEstimate:
    """Run an engine twice on a queue that never empties: as it is, and with admissions capped.

    Parameters
    ----------
    system
        Workload and KV tokens.
    on
        The engine.
    cap
        Admissions per iteration in the capped run.
    seed
        Of random lengths.
    progress
        Called with iterations done and to do.
    """
    longest = system.workload.longest_output
    warm_up = _WARM_UP * longest
    wanted = max(_LEAST_LIVES * longest, _COMPLETIONS / cap.rate)
    measured = int(min(wanted, _MOST_ITERATIONS))

    def run(policy: Literal["greedy", "rate cap"], pace: Pace, done: int) -> EngineRun:
        machine = Machine(
            on.engine,
            system.kv_tokens,
            on.time,
            Saturated(system.workload, seed=seed).feed(),
            eviction=on.eviction,
            pace=pace,
        )

        def watch(now: int) -> None:
            progress(done + now, 2 * (warm_up + measured))

        return _measure(machine, policy, warm_up, measured, watch)

    return EngineEstimate(
        engine=on.engine.name,
        eviction=on.eviction.value,
        time=on.time_name,
        greedy=run("greedy", UNLIMITED, 0),
        capped=run("rate cap", cap, warm_up + measured),
    )


def _measure(
    machine: Machine,
    policy: Literal["greedy", "rate cap"],
    warm_up: int,
    measured: int,
    watch: Callable[[int], None],
) -> EngineRun:
    _run(machine, warm_up, 0, watch)
    before, gaps = machine.clock.copy(), machine.state.gaps.copy()
    why = _run(machine, measured, warm_up, watch)
    after = machine.clock

    def over(field: str) -> float:
        return float(after[field] - before[field])

    completed, prefilled = over("all_completed"), over("all_prefill")
    recomputed, seconds = over("all_recomputed"), over("busy")
    found = machine.state.gaps - gaps
    return EngineRun(
        policy=policy,
        outcome=_ENDS.get(why, "ran"),
        iterations=int(over("iteration")),
        completions_per_iteration=_ratio(completed, over("iteration")),
        preemptions_per_completion=_finite(_ratio(over("all_preempted"), completed, math.nan)),
        recompute_tax=_ratio(recomputed, prefilled),
        recomputed_share=_ratio(recomputed, prefilled + over("all_decode")),
        output_tokens_per_second=_ratio(over("all_output"), seconds),
        itl_p50_ms=_finite(1e3 * gap_quantile(found, 0.5)),
        itl_p99_ms=_finite(1e3 * gap_quantile(found, 0.99)),
        decoding=_ratio(over("all_decode"), over("iteration")),
        kv_usage=_ratio(over("block_seconds"), seconds * float(after["total"])),
    )


def _run(machine: Machine, iterations: int, done: int, watch: Callable[[int], None]) -> int:
    """Run in chunks; returns why it stopped."""
    why, ran = arriving.GO, 0
    while ran < iterations and why == arriving.GO:
        chunk = min(_CHUNK, iterations - ran)
        why = machine.run(chunk)
        ran += chunk
        watch(done + ran)
    return why


def _ratio(part: float, whole: float, otherwise: float = 0.0) -> float:
    return part / whole if whole else otherwise


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
