"""What a decision of each admission policy costs, asked from Python with 1,000 running requests.

The peer is `GuaranteedNoEvict`, the plainest policy that looks at every running request. CPU time,
the call from Python included, as a plug-in in a real engine would pay it.
"""

from __future__ import annotations

import time

import numpy as np

from kvsteady import Workload
from kvsteady.admission import COMPLETED, NO_LIMIT, Policy, Setup, View, ask, new_view
from kvsteady.arrays import IntArray
from kvsteady.policies import (
    Aimd,
    Greedy,
    GuaranteedNoEvict,
    KvWatermark,
    LookAhead,
    MaxActive,
    NestedWait,
    NewTokenRatio,
    RateCap,
    Steady,
    Wait,
)

RUNNING, DECISIONS = 1000, 4000
POLICIES: tuple[Policy, ...] = (
    GuaranteedNoEvict(),
    Greedy(),
    KvWatermark(),
    MaxActive(),
    NewTokenRatio(),
    RateCap(),
    Wait(),
    NestedWait(),
    Aimd(),
    LookAhead(),
    Steady(),
)
# Outputs of those who end.
FIXED = np.array([512])
LEARNED = {
    "three lengths": np.array([128, 256, 512]),
    "random": np.minimum(np.random.default_rng(1).geometric(1 / 256, 2 * DECISIONS), 511),
}


def crowded() -> View:
    """A thousand requests of 128:512 at all ages, nearly full memory, two completions each time."""
    view = new_view(RUNNING)
    facts, draw = view.facts, np.random.default_rng(0)
    facts["block"], facts["blocks"], facts["free"] = 16, 430_000 // 16, 300
    facts["running"] = facts["shown_running"] = RUNNING
    facts["waiting"], facts["shown_waiting"], facts["unwritten"] = NO_LIMIT, view.waiting.size, 1
    view.running["prompt"], view.running["limit"] = 128, 4096
    view.running["generated"] = draw.integers(0, 512, RUNNING)
    view.running["output"] = 512
    view.waiting["prompt"], view.waiting["limit"], view.waiting["output"] = 128, 4096, 512
    view.gone["how"], view.gone["prompt"], view.gone["generated"] = COMPLETED, 128, 512
    view.gone["limit"] = 4096
    return view


def microseconds(policy: Policy, outputs: IntArray = FIXED) -> float:
    """Median CPU time of a decision where requests end at these outputs in turn."""
    load = Workload.fixed(128, 512)
    view, state = crowded(), policy.start(Setup(430_000, 16, workload=load))
    took = []
    for iteration in range(DECISIONS):
        view.facts["iteration"], view.facts["shown_gone"] = iteration, 2
        ends = 2 * iteration + np.arange(2)
        view.gone["generated"][:2] = outputs[ends % outputs.size]
        view.facts["ticks"] = iteration
        view.facts["admitted"] += 2
        begun = time.thread_time()
        ask(state, view)
        took.append(time.thread_time() - begun)
    return float(np.median(took[DECISIONS // 10 :])) * 1e6


def main() -> None:
    print(f"a decision with {RUNNING:,} running requests, median CPU time")
    print(f"{'policy':>20} {'microseconds':>13} {'of the peer':>12}")
    peer = microseconds(POLICIES[0])
    for policy in POLICIES:
        took = microseconds(policy)
        print(f"{type(policy).__name__:>20} {took:13.1f} {took / peer:12.1f}")
    # Its cost depends on what it has learned.
    for name, outputs in LEARNED.items():
        took = microseconds(Steady(), outputs)
        print(f"{'Steady, ' + name:>20} {took:13.1f} {took / peer:12.1f}")


if __name__ == "__main__":
    main()
