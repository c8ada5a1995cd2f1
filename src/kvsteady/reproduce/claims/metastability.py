"""A burst throws an engine into the eviction cycle, and a steady rate keeps it there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, at_most, exactly, near
from kvsteady.reproduce.finding import ROLES, Chart, Outcome, Series
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.state import set_pace
from kvsteady.simulate.times.linear import LinearTime

# Llama-3-8B on A100, roughly; prompts of 64 and outputs of 512 on 2,500 blocks of 16.
_A100 = LinearTime(iteration=0.010, prefill=1e-4, decode=3e-5, kv_read=8e-8)
_PROMPT, _OUTPUT, _BLOCKS, _BLOCK = 64, 512, 2500, 16
_BURST, _SECONDS, _LATE = 300, 400.0, 300.0
# 0.97 of the completions per decode that fill memory in whole blocks.
_RATE = 0.97 * _BLOCKS / sum(math.ceil((_PROMPT + i) / _BLOCK) for i in range(1, _OUTPUT))
_CAP = Pace(_RATE, _RATE + 1)
_CAPPED_AT = 200.0


@dataclass(frozen=True, eq=False)
class _Run:
    """Evictions and completions by second, shape ``(400,)`` each."""

    evictions: Any
    completions: Any

    @property
    def late_evictions(self) -> float:
        return float(self.evictions[int(_LATE) :].mean())

    @property
    def late_completions(self) -> float:
        return float(self.completions[int(_LATE) :].mean())


def _requests(rate: float, burst: int) -> Feed:
    """``burst`` requests at 0, then one every 1/rate seconds."""
    rows = arrivals(burst + int(_SECONDS * rate) - 1)
    rows["id"] = np.arange(rows.size)
    rows["time"][burst:] = np.arange(1, rows.size - burst + 1) / rate
    rows["prompt"], rows["output"], rows["limit"] = _PROMPT, _OUTPUT, _OUTPUT

    def batches() -> Iterator[Any]:
        yield rows

    return Feed(batches(), _OUTPUT, _PROMPT, rows.size)


def _run(rate: float, burst: int, pace: Pace, capped_at: float = math.inf) -> _Run:
    gone: list[Any] = []
    log: list[Any] = []
    engine = VidurVllm(batch_size_cap=4096, block_size=_BLOCK)
    machine = Machine(
        engine,
        _BLOCKS * _BLOCK,
        _A100,
        _requests(rate, burst),
        pace=pace,
        finished=gone.append,
        iterations=log.append,
        log_every=1,
    )
    if capped_at < _SECONDS:
        machine.clock["stop_time"] = capped_at
        machine.run(2**40)
        set_pace(machine.state, _CAP.rate, _CAP.depth)
        machine.clock["credit"] = 0
    machine.clock["stop_time"] = _SECONDS
    machine.run(2**40)
    machine.flush()
    rows, left = np.concatenate(log), np.concatenate(gone)
    seconds = np.arange(_SECONDS + 1)
    evictions, _ = np.histogram(rows["start"], seconds, weights=rows["preempted"])
    completions, _ = np.histogram(left["finish"], seconds)
    return _Run(evictions, completions)


def _measure(progress: Progress) -> Measured:
    runs = []
    plans = (
        (11.0, 0, UNLIMITED, math.inf),
        (11.0, _BURST, UNLIMITED, math.inf),
        (11.0, _BURST, _CAP, math.inf),
        (11.0, _BURST, UNLIMITED, _CAPPED_AT),
        (9.5, _BURST, UNLIMITED, math.inf),
        (7.5, _BURST, UNLIMITED, math.inf),
    )
    for plan in plans:
        runs.append(_run(*plan))
        progress(len(runs), len(plans))
    empty, burst, capped, later, above, below = runs
    return Measured(
        f"At 11 requests/s from empty nobody is evicted. After a burst of {_BURST} the same rate "
        f"stays in the cycle, at {burst.late_completions:.1f} completions/s and "
        f"{burst.late_evictions:.0f} evictions/s (resume); a cap, also one that comes after 200 s, "
        "ends it. The cycle outlives the burst where requests come faster than the cycle itself "
        "completes them (9.0/s), not below.",
        (
            exactly("from empty: evictions", empty.evictions.sum(), 0),
            near("from empty: completions/s at the end", empty.late_completions, 11.0, 0.02),
            at_least("after a burst: evictions/s at the end", burst.late_evictions, 11.0),
            # Vidur's own time predictor gives 9.6, Vidur itself with this linear time 9.1.
            near("after a burst: completions/s at the end", burst.late_completions, 9.1, 0.02),
            exactly("with a cap: evictions at the end", capped.late_evictions, 0),
            at_least("with a cap: completions/s at the end", capped.late_completions, 11.0),
            exactly("capped from 200 s on: evictions at the end", later.late_evictions, 0),
            at_least("9.5/s after a burst: evictions/s at the end", above.late_evictions, 9.0),
            at_most("7.5/s after a burst: evictions/s at the end", below.late_evictions, 0.0),
        ),
        (
            Chart(
                "Evictions per second at 11 requests/s after a burst of 300",
                "seconds",
                "evictions per second",
                tuple(
                    _series(name, run, role)
                    for (name, run), role in zip(
                        (("as it is", burst), ("capped from 200 s on", later)), ROLES, strict=False
                    )
                ),
            ),
        ),
        Outcome.REPRODUCED,
    )


def _series(name: str, run: _Run, role: Any) -> Series:
    means = run.evictions.reshape(-1, 4).mean(axis=1)
    return Series(
        name, tuple(np.arange(0.0, _SECONDS, 4).tolist()), tuple(means.tolist()), "line", role
    )


CLAIM = Claim(
    key="open-loop",
    title="Metastability and recovery under open-loop arrivals",
    source="ours: measured at request level (specification, engines), on Vidur's vLLM scheduler",
    says="After a burst the eviction cycle persists at a rate that is served without eviction "
    "from empty; a cap ends it.",
    measure=_measure,
)
