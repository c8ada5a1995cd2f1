"""A rate cap at x* ends evictions."""

from __future__ import annotations

import numpy as np

from kvsteady.model import Cohorts, System, iterate
from kvsteady.policies.rate_cap import RateCap
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, at_most, near
from kvsteady.reproduce.finding import Chart, Check, Role, Series
from kvsteady.theory.caps import rate_caps
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.workload.law import Workload

_LOADS = (
    Workload.fixed(128, 512),
    Workload.classes([(256, 128), (256, 256), (256, 512)]),
    Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]),
)
_STARTS = 10


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    for place, load in enumerate(_LOADS):
        system = System(load, 100_000)
        name, balance = load.name, _balance(load, system.kv_tokens)
        late, rates = zip(
            *(_from_anywhere(system, balance, seed) for seed in range(_STARTS)), strict=True
        )
        calm = iterate(system, policy=RateCap(balance), steps=4 * load.longest_output)
        checks += [
            near(f"{name}: x*", equilibrium(system).admissions, balance, 1e-12),
            at_most(
                f"{name}: most memory in use from empty, over M, fluid",
                float(calm.memory.max()) / system.kv_tokens,
                1 + 1e-12,
            ),
            at_most(f"{name}: evictions from empty, fluid", float(calm.evicted.sum()), 0.0),
            at_most(f"{name}: evictions later than one longest output, fluid", max(late), 0.0),
            near(
                f"{name}: completions per iteration after two, fluid",
                float(np.mean(rates)),
                balance,
                1e-9,
            ),
        ]
        caps = rate_caps(system)
        whole = iterate(system, policy=RateCap(caps.steady), steps=60_000, arithmetic="integer")
        checks += [
            at_most(f"{name}: evictions of whole requests", float(whole.evicted.sum()), 0.0),
            at_least(
                f"{name}: whole requests completed over the cap",
                whole.averages(30_000).completed / caps.steady,
                0.999,
            ),
        ]
        progress(place + 1, len(_LOADS))
    return Measured(
        "From any start the fluid model evicts for one longest output at most and completes x* per "
        "iteration ever after. Whole requests come in lumps: their cap is a little lower than x*, "
        "and then none is evicted either (ours).",
        tuple(checks),
        _charts(),
    )


def _balance(load: Workload, kv_tokens: int) -> float:
    """``M / E[l1 (2 l0 + l1 + 1) / 2]``: memory over the token-iterations of a request."""
    tokens = load.output * (2 * load.prompt + load.output + 1) / 2
    return kv_tokens / float(tokens @ load.share)


def _from_anywhere(system: System, balance: float, seed: int) -> tuple[float, float]:
    """Evictions after one longest output, and the rate after two, from an overfull random start."""
    life = system.workload.longest_output
    rng = np.random.default_rng(seed)
    amplitude = rng.exponential(1.0, life) * (rng.random(life) < 0.5)
    amplitude[0] += 1.0
    held = float(amplitude @ system.workload.memory_weights())
    start = Cohorts.of(amplitude * 1.5 * system.kv_tokens / held)
    run = iterate(system, policy=RateCap(balance), steps=4 * life, start=start)
    return float(run.evicted[life:].sum()), float(run.completed[2 * life + 1 :].mean())


def _charts() -> tuple[Chart, ...]:
    """128:512 of whole requests, with and without the cap."""
    system = System(Workload.fixed(128, 512), 100_000)
    steps, stretch = 6144, 64
    curves = []
    pairs: tuple[tuple[str, RateCap | None, Role], ...] = (
        ("greedy", None, "greedy"),
        ("rate cap", RateCap(), "cap"),
    )
    for name, policy, role in pairs:
        run = iterate(system, policy=policy, steps=steps, arithmetic="integer")
        evicted = run.evicted.reshape(-1, stretch).mean(axis=1)
        time = tuple(float(stretch * (k + 1)) for k in range(evicted.size))
        curves.append(Series(name, time, tuple(evicted.tolist()), "line", role))
    return (
        Chart(
            "128:512, M = 100,000, whole requests",
            "iteration",
            "evictions per iteration",
            tuple(curves),
        ),
    )


CLAIM = Claim(
    key="rate-cap",
    title="A rate cap eliminates evictions",
    source="paper: rate cap (specification, section 6)",
    says="Admitting at most x* per iteration never fills memory beyond M; from any state evictions "
    "end within the longest output, and the rate is x* from then on.",
    measure=_measure,
)
