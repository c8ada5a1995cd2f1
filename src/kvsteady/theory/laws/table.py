"""Laws of random lengths side by side: verdict, margin, and the evictions that chance causes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model.iterate import iterate
from kvsteady.model.system import Eviction, System
from kvsteady.progress import Progress, silent
from kvsteady.theory.spectrum import Spectrum, Stability, spectrum
from kvsteady.workload.distributions import Lengths, independent
from kvsteady.workload.law import Workload
from kvsteady.workload.presets import preset
from kvsteady.workload.ranges import whole_number

_RUNNING = 256
_LONGEST = 32_768
_LEAST = 20_000
_SETTLE = 3
_CYCLE = 20  # lives of the longest output over which a cycle is averaged


@dataclass(frozen=True)
class Measured:
    """A mean over independent runs and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} ± {self.error:.1g}"


@dataclass(frozen=True, eq=False)
class LawRow:
    """What theory says of a law of lengths, and what the integer model does with it.

    Attributes
    ----------
    system
        The law and the KV capacity.
    spectrum
        Verdict, spectral radius and roots outside.
    atom
        Share of requests with the longest output: those that hit ``max_tokens``, where it cuts.
    evictions
        Evicted per completed request, under `Eviction.RESTART`.
    wasted
        Share of all generated tokens that evictions lose, under `Eviction.RESTART`.
    cycle
        Evicted per completed request in the fluid model, which knows no chance, long after an
        empty start; 0 where the equilibrium is stable.
    runs, iterations
        Independent runs (one where nothing is drawn: the error is then 0), iterations of each
        after it has settled.
    """

    system: System
    spectrum: Spectrum
    atom: float
    evictions: Measured
    wasted: Measured
    cycle: float
    runs: int
    iterations: int

    eviction = Eviction.RESTART

    @property
    def margin(self) -> float:
        """``1 − radius``: what the slowest mode loses per iteration; negative if it grows."""
        return 1 - self.spectrum.radius

    @property
    def by_chance(self) -> bool:
        """Whether chance alone evicts: nothing grows, so without it no one would be."""
        return self.spectrum.outcome is Stability.STABLE

    @property
    def chance_share(self) -> float:
        """Share of the evictions that is not the cycle's: 1 where the equilibrium is stable, 0
        where no length is drawn; NaN where nobody is evicted.
        """
        if not self.system.workload.random:
            return 0.0
        if not self.evictions.mean > 0:
            return math.nan
        return max(0.0, 1 - self.cycle / self.evictions.mean)


def law_table(
    systems: Sequence[System] | None = None,
    *,
    runs: int = 8,
    lives: int = 30,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[LawRow, ...]:
    """One row per system (`law_systems` by default), measured in the integer model.

    Each run starts from an empty memory and settles for 3 times the longest output; it is then
    recorded for ``lives`` times the longest output, and 20,000 iterations at least.

    Raises
    ------
    InputError
        A number out of range.
    """
    runs = whole_number(runs, "runs", 2, 10_000)
    lives = whole_number(lives, "lives", 1, 10_000)
    chosen = law_systems() if systems is None else tuple(systems)
    rows = []
    for n, system in enumerate(chosen):

        def inside(done: int, total: int | None, n: int = n) -> None:
            progress(n * 1000 + 1000 * done // max(total or 1, 1), 1000 * len(chosen))

        rows.append(_row(system, runs, lives, seed, inside))
    return tuple(rows)


def law_systems(running: int = _RUNNING) -> tuple[System, ...]:
    """The laws to compare, each on KV tokens for about ``running`` requests at equilibrium.

    Fixed 200:512; prompt 200 with geometric outputs (mean 200) uncut and cut at 512, and with
    log-normal outputs (median 600, sigma 1) cut at 32,768, 4,096, 2,048 and 1,024; the Azure 2023
    and the Mooncake conversations.
    """
    prompt = Lengths.fixed(200)
    laws = [
        Workload.fixed(200, 512),
        independent(prompt, Lengths.geometric(200)),
        independent(prompt, Lengths.geometric(200, 512)),
        *(
            independent(prompt, Lengths.lognormal(600, 1.0, cap))
            for cap in (_LONGEST, 4096, 2048, 1024)
        ),
        preset("azure-conv"),
        preset("mooncake-conv"),
    ]
    return tuple(system_for(law, running) for law in laws)


def system_for(workload: Workload, running: int) -> System:
    """Give a workload KV tokens for so many running requests, ``M = running Σ w / E[L1]``, and
    for its largest request at least.
    """
    running = whole_number(running, "running", 1, 2**24)
    held = float(workload.memory_weights().sum()) / workload.mean_output
    return System(workload, max(round(running * held), workload.largest_request))


def _row(system: System, runs: int, lives: int, seed: int, progress: Progress) -> LawRow:
    load = system.workload
    verdict = spectrum(load)
    settle = _SETTLE * load.longest_output
    iterations = max(lives * load.longest_output, _LEAST)
    runs = runs if load.random else 1
    evictions, wasted = np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        means = iterate(
            system, steps=iterations, burn_in=settle, arithmetic="integer", seed=seed + run
        ).averages()
        evictions[run] = means.evicted / means.completed if means.completed else math.inf
        wasted[run] = means.wasted_tokens / means.running
        progress(run + 1, runs)
    return LawRow(
        system,
        verdict,
        float(load.survival[-1]),
        _measured(evictions),
        _measured(wasted),
        0.0 if verdict.outcome is Stability.STABLE else _cycle(system),
        runs,
        iterations,
    )


def _cycle(system: System) -> float:
    """Evictions per completion that need no chance."""
    longest = system.workload.longest_output
    turn = iterate(system, steps=_CYCLE * longest, burn_in=5 * _CYCLE * longest).averages()
    return turn.evicted / turn.completed if turn.completed else math.inf


def _measured(values: FloatArray) -> Measured:
    error = float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else 0.0
    return Measured(float(values.mean()), error)
