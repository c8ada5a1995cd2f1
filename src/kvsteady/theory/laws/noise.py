"""How evictions by chance fall with memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.laws.table import LawRow, Measured, law_table, system_for
from kvsteady.workload.law import Workload


@dataclass(frozen=True)
class ChanceEstimate:
    """An estimate of the evictions that random lengths cause near a stable equilibrium.

    Attributes
    ----------
    z
        ``√x* E[L0 + 1] / √E[(L0 + L1)²]``: what is admitted per iteration, in standard deviations
        of what completions set free.
    evictions
        Per completion, ``φ(z)/z − (1 − Φ(z))``.
    """

    z: float
    evictions: float


@dataclass(frozen=True, eq=False)
class NoiseScaling:
    """Evictions by chance at several sizes of memory.

    Attributes
    ----------
    rows
        What was measured, in the order of the sizes asked for.
    exponents
        Between neighbouring sizes, the exponent e of ``evictions ∝ M^e`` with its standard error.
    estimates
        `chance_evictions` of each row.
    """

    rows: tuple[LawRow, ...]
    exponents: tuple[Measured, ...]
    estimates: tuple[ChanceEstimate, ...]


def chance_evictions(system: System) -> ChanceEstimate:
    """Estimate evictions per completion where nothing but chance evicts (ours, a heuristic).

    Full memory grows by one token per running request and iteration, and completions set free
    ``N ± s`` tokens and ``x* E[L0 + 1]`` more, N the running requests, ``s² = x* E[(L0 + L1)²]``
    if completions are Poisson. Where they fall short the youngest leave, who hold a prompt and
    little else. Taken as normal, the shortfall is ``s (φ(z) − z (1 − Φ(z)))`` per iteration. Small
    memories (z ≪ 1) lose like ``1/√M``, large ones like a normal tail. From some 30 running
    requests on, the integer model evicts 0.4 to 1.05 times as many for a common prompt; where
    prompts vary, a large one waiting at the head of the queue keeps memory free and evictions are
    fewer, a fifth to a third on the Azure trace.
    """
    load = system.workload
    second = float(load.share @ (load.prompt + load.output).astype(np.float64) ** 2)
    z = math.sqrt(equilibrium(system).admissions / second) * (load.mean_prompt + 1)
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return ChanceEstimate(z, density / z - math.erfc(z / math.sqrt(2)) / 2)


def noise_scaling(
    workload: Workload,
    running: Sequence[int] = (64, 128, 256, 512, 1024),
    *,
    runs: int = 8,
    lives: int = 30,
    seed: int = 0,
    progress: Progress = silent,
) -> NoiseScaling:
    """Measure evictions per completion on KV tokens for each number of running requests.

    Raises
    ------
    InputError
        Fewer than two different sizes, or no eviction at one of them.
    """
    if len(set(running)) < max(2, len(running)):
        raise InputError(
            f"{len(set(running))} different sizes", field="running", allowed="two or more"
        )
    systems = [system_for(workload, size) for size in running]
    rows = law_table(systems, runs=runs, lives=lives, seed=seed, progress=progress)
    if not all(row.evictions.mean > 0 for row in rows):
        raise InputError("no eviction at one of the sizes", field="running", allowed="smaller")
    exponents = tuple(_exponent(rows[n], rows[n + 1]) for n in range(len(rows) - 1))
    return NoiseScaling(rows, exponents, tuple(chance_evictions(system) for system in systems))


def _exponent(small: LawRow, large: LawRow) -> Measured:
    steps = math.log(large.system.kv_tokens / small.system.kv_tokens)
    fall = math.log(large.evictions.mean / small.evictions.mean)
    error = math.hypot(*(row.evictions.error / row.evictions.mean for row in (small, large)))
    return Measured(fall / steps, error / abs(steps))
