"""Two classes on two replicas below saturation: a replica each, or both on both."""

from __future__ import annotations

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, exactly
from kvsteady.reproduce.finding import ROLES, Chart, Outcome, Series
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.fleet import ByClass, Mixed, Replica, Router, run_fleet
from kvsteady.simulate.loads import Poisson
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload.law import Workload

_A100 = LinearTime(iteration=0.010, prefill=1e-4, decode=3e-5, kv_read=8e-8)
_CLASSES = Workload.classes([(64, 448), (64, 64)])
_RATES = (20.0, 24.0, 28.0, 32.0, 36.0, 40.0, 44.0)
_REQUESTS = 4000


def _serve(rate: float, router: Router) -> tuple[int, float]:
    """Evictions of both replicas, and output tokens per second until the last is done."""
    replica = Replica(VidurVllm(batch_size_cap=4096, block_size=16), 40_000, _A100)
    machines = run_fleet(
        [replica, replica], Poisson(_CLASSES, rate, requests=_REQUESTS, seed=1), router
    )
    evictions = sum(int(machine.clock["all_preempted"]) for machine in machines)
    tokens = sum(int(machine.clock["all_output"]) for machine in machines)
    return evictions, tokens / max(float(machine.clock["now"]) for machine in machines)


def _measure(progress: Progress) -> Measured:
    apart, mixed = [], []
    for place, rate in enumerate(_RATES):
        apart.append(_serve(rate, ByClass()))
        mixed.append(_serve(rate, Mixed()))
        progress(place + 1, len(_RATES))
    at = _RATES.index(36.0)
    return Measured(
        f"At 36 requests/s of (64,448) and (64,64) a replica each evicts {apart[at][0]:,} times "
        f"and gives {apart[at][1]:,.0f} tokens/s; mixed, {mixed[at][0]:,} times and "
        f"{mixed[at][1]:,.0f} tokens/s (resume). At 20/s neither evicts, at 44/s both do: mixing "
        "helps where one class alone is too much for its replica and both together are not.",
        (
            exactly("20/s segregated: evictions", apart[0][0], 0),
            at_least("36/s segregated: evictions", apart[at][0], 1000),
            exactly("36/s mixed: evictions", mixed[at][0], 0),
            at_least("36/s: tokens/s mixed over segregated", mixed[at][1] / apart[at][1], 1.2),
            at_least("44/s mixed: evictions", mixed[-1][0], 1000),
        ),
        (
            Chart(
                f"Evictions of {_REQUESTS:,} requests on two replicas",
                "requests per second",
                "evictions",
                tuple(
                    Series(name, _RATES, tuple(float(run[0]) for run in runs), "points", role)
                    for (name, runs), role in zip(
                        (("segregated", apart), ("mixed", mixed)), ROLES, strict=False
                    )
                ),
            ),
        ),
        Outcome.REPRODUCED,
    )


CLAIM = Claim(
    key="open-loop-mixing",
    title="Mixing classes over replicas below saturation",
    source="ours: measured at request level (specification, engines), on Vidur's vLLM scheduler",
    says="Open loop at 36 requests/s: 3,645 evictions segregated, none mixed.",
    measure=_measure,
)
