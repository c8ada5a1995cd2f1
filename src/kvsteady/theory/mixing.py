"""Replicas that each serve one class against replicas that each serve the mix.

Saturated input, greedy admission, the exact model. Mixed in proportion to what the replicas
complete at their equilibria, the mix has the same equilibrium throughput as they have together,
class by class: with ``W_k = Σ_m w_m`` of class k and ``p_k ∝ M_k / W_k``,

    Σ_k M_k / Σ_k p_k W_k = Σ_k M_k / W_k.

So whatever mixing gains or loses is evictions (ours). They favour short outputs: with short prompts
a mix may generate more output tokens than its equilibrium, at the expense of the long ones. One
class is always unstable (Theorem 2); a mix is stable at most if its gcd is 1 and its prompts are
long (Theorem 3, Proposition 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model.cycle import Search, find_cycle
from kvsteady.model.iterate import iterate
from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import RequeueAverages
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import Equilibrium, equilibrium
from kvsteady.theory.spectrum import Spectrum, spectrum
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

_NUDGE = 0.01
_LIVES = 80
_FOLDS = 20  # doublings or halvings of the dominant mode after which a run has settled
_COMPLETIONS = 10_000
_MOST_STEPS = 1_000_000
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Replica:
    """What greedy admission does on one replica; rates per iteration.

    Attributes
    ----------
    system
        Its workload and KV capacity.
    spectrum
        Of its equilibrium.
    equilibrium_tokens
        Output tokens at the eviction-free equilibrium.
    restart_tokens
        Output tokens generated for good under `Eviction.RESTART`: fluid model, the worse of two
        starts (1% disturbance, empty).
    recomputed_tokens, prompt_tokens
        Tokens prefilled again, and prompts prefilled for the first time, under
        `Eviction.RESUME`: whole requests, from empty. NaN where that was not run.
    period
        Iterations of the cycle under `Eviction.RESTART`, fluid, from the disturbance: 1 is the
        equilibrium, 0 that no state recurred within 1e-9.
    settled
        False where the fluid runs were too short for the dominant mode to grow or die.
    """

    system: System
    spectrum: Spectrum
    equilibrium_tokens: float
    restart_tokens: float
    recomputed_tokens: float
    prompt_tokens: float
    period: int
    settled: bool

    @property
    def loss(self) -> float:
        """Share of the equilibrium's output tokens lost under `Eviction.RESTART`; negative where
        evictions let short requests pass and long ones starve.
        """
        return _loss([self])


@dataclass(frozen=True, eq=False)
class Mixing:
    """Segregated replicas beside the same replicas serving the mix.

    The two have the same equilibrium throughput in all (exactly, but for rounding of shares above
    2^53), so the losses compare.
    """

    segregated: tuple[Replica, ...]
    mixed: tuple[Replica, ...]

    @property
    def segregated_tax(self) -> float:
        """Recomputed over all prefilled tokens under `Eviction.RESUME`, each serving its own."""
        return _tax(self.segregated)

    @property
    def mixed_tax(self) -> float:
        """The same where all serve the mix."""
        return _tax(self.mixed)

    @cached_property
    def segregated_loss(self) -> float:
        """Share of all output tokens lost under `Eviction.RESTART` while each serves its own."""
        return _loss(self.segregated)

    @cached_property
    def mixed_loss(self) -> float:
        """The same where all serve the mix."""
        return _loss(self.mixed)

    @property
    def gain(self) -> float:
        """Output tokens per iteration won by mixing, relative to segregated; `Eviction.RESTART`."""
        return (1 - self.mixed_loss) / (1 - self.segregated_loss) - 1

    @property
    def stabilises(self) -> bool:
        """Whether some replica alone is unstable and the mix has no root outside."""
        alone = any(replica.spectrum.roots_outside for replica in self.segregated)
        return alone and self.mixed[0].spectrum.roots_outside == 0


def mixed_workload(systems: Sequence[System]) -> Workload:
    """The replicas' workloads together, each in proportion to its ``x*``, in exact fractions."""
    if not systems:
        raise InputError("no system given", field="systems", allowed="one system or more")
    prompts: list[int] = []
    outputs: list[int] = []
    counts: list[Fraction] = []
    for system in systems:
        load = system.workload
        total = int(load.tickets.sum())
        prompt, output, ticket = (a.tolist() for a in (load.prompt, load.output, load.tickets))
        each = list(zip(prompt, output, ticket, strict=True))
        # Tokens that one request needs over its life: l1 l0 + l1 (l1 + 1) / 2.
        life = sum(Fraction(t, total) * (o * p + o * (o + 1) // 2) for p, o, t in each)
        rate = system.kv_tokens / Fraction(life)
        prompts += prompt
        outputs += output
        counts += [rate * Fraction(t, total) for t in ticket]
    whole = sum(counts, Fraction(0))
    shares = [count / whole for count in counts]
    rows = list(zip(prompts, outputs, shares, strict=True))
    name = " with ".join(dict.fromkeys(system.workload.name for system in systems))
    return Workload.classes(rows, name=name)


def mixing(
    systems: Sequence[System],
    *,
    resume: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> Mixing:
    """Run replicas on their own classes, and on the mix of all.

    Parameters
    ----------
    systems
        One per replica: what it serves on its own, and its KV capacity. Block sizes play no part.
    resume
        Also run `Eviction.RESUME`, for the recompute tax.
    seed
        Of the disturbance, and of random lengths.

    Raises
    ------
    InputError
        No system, or a request of the mix that does not fit in some replica.
    """
    seed = whole_number(seed, "seed", 0, 2**62 - 1)
    mix = mixed_workload(systems)
    apart = [System(system.workload, system.kv_tokens) for system in systems]
    together = [System(mix, system.kv_tokens) for system in systems]
    done = []
    for count, system in enumerate([*apart, *together]):
        progress(count, 2 * len(systems))
        done.append(_replica(system, resume=resume, seed=seed))
    return Mixing(tuple(done[: len(systems)]), tuple(done[len(systems) :]))


def _replica(system: System, *, resume: bool, seed: int) -> Replica:
    balance, modes = equilibrium(system), spectrum(system.workload)
    longest = system.workload.longest_output
    noise = np.random.default_rng(seed).uniform(-1, 1, longest)
    nudged = Cohorts.of(balance.admissions * (1 + _NUDGE * noise))
    fold = _FOLDS * min(modes.doubling, modes.halving)
    wanted = max(_LIVES * longest, math.ceil(fold)) if math.isfinite(fold) else _LIVES * longest
    half = max(min(wanted, _MOST_STEPS) // 2, 1)
    runs = [
        iterate(system, steps=half, burn_in=half, start=start).averages()
        for start in (nudged, None)
    ]
    kept = min(run.useful_tokens for run in runs)
    again, prompts = _prefilled(system, balance, seed) if resume else (math.nan, math.nan)
    cycle = find_cycle(system, start=nudged, limit=2 * half)
    period = 0 if cycle.outcome is Search.NOT_FOUND else cycle.period
    settled = 2 * half >= wanted - 1
    return Replica(system, modes, balance.running, kept, again, prompts, period, settled)


def _prefilled(system: System, balance: Equilibrium, seed: int) -> tuple[float, float]:
    """Tokens prefilled again and for the first time, per iteration, under `Eviction.RESUME`."""
    longest = system.workload.longest_output
    run = iterate(
        system,
        steps=int(min(max(40 * longest, _COMPLETIONS / balance.admissions), _MOST_STEPS)),
        burn_in=4 * longest,
        arithmetic="integer",
        eviction=Eviction.RESUME,
        seed=seed,
    ).averages()
    assert isinstance(run, RequeueAverages), "resuming runs record prompts"
    return run.recomputed_tokens, run.prompt_tokens


def _loss(replicas: Sequence[Replica]) -> float:
    kept = sum(replica.restart_tokens for replica in replicas)
    loss = 1 - kept / sum(replica.equilibrium_tokens for replica in replicas)
    return loss if abs(loss) > _SAME else 0.0


def _tax(replicas: Sequence[Replica]) -> float:
    again = sum(replica.recomputed_tokens for replica in replicas)
    prefilled = again + sum(replica.prompt_tokens for replica in replicas)
    return again / prefilled if prefilled else 0.0
