"""What orders of victims are worth: the table of docs/reference/policies/victims.md."""

from __future__ import annotations

from typing import Any

from kvsteady.admission import Victim
from kvsteady.league import CONTESTS, Result
from kvsteady.league.engines import engine_of, iteration_time
from kvsteady.league.loads import SystemPrompt, Told
from kvsteady.league.measure import measure
from kvsteady.model import Eviction
from kvsteady.policies import Greedy, WithVictims
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine

WORKLOADS = ("fixed-128-512", "azure", "rl-rollouts", "system-prompt")
EVICTIONS = (Eviction.RESUME, Eviction.RESTART)


def played(name: str, eviction: Eviction, order: Victim | None) -> Result:
    """Greedy admission on vLLM."""
    contest = CONTESTS[name]
    system = contest.system(block_size=16)
    load: Load = Saturated(contest.law(), max_tokens=contest.max_tokens)
    if contest.told is not None:
        load = Told(load, contest.told)
    if contest.shared:
        load = SystemPrompt(load, contest.shared)
    left: list[Any] = []

    def take(rows: Any) -> None:
        rows["prompt"] -= contest.shared
        left.append(rows)

    machine = Machine(
        engine_of("vllm", 16, regulated=True, cached=contest.cached),
        contest.memory(0),
        iteration_time(),
        load.feed(),
        eviction=eviction,
        policy=Greedy() if order is None else WithVictims(Greedy(), order),
        finished=take,
    )
    return measure(machine, left, system, warm_up=10_000, iterations=30_000, open_loop=False)


def main() -> None:
    """Print the table."""
    print("| workload | evicted requests | order | of x* | recompute tax | evictions | tokens/s |")
    print("|---|---|---|---|---|---|---|")
    for name in WORKLOADS:
        for eviction in EVICTIONS:
            for order in (None, *Victim):
                result = played(name, eviction, order)
                words = "vLLM's own" if order is None else order.value
                print(
                    f"| `{name}` | {eviction.value} | {words} | {result.of_x:.3f} "
                    f"| {result.recompute_tax:.1%} | {result.evictions_per_completion:.2f} "
                    f"| {result.tokens_per_second:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
