"""The eviction-free equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.model.system import System


@dataclass(frozen=True)
class Equilibrium:
    """Where admissions, completions and memory balance without an eviction.

    Attributes
    ----------
    admissions
        ``x* = M / Σ w_m`` requests per iteration: also the largest completion rate of any
        policy that wastes no work (theory: section 3).
    admissions_blocks
        The same with every request rounded up to whole blocks, and memory down.
    running
        Requests in memory, ``x* E[L1]``.
    prefill_tokens
        Prompt tokens to prefill per iteration, ``x* E[L0]``.
    """

    admissions: float
    admissions_blocks: float
    running: float
    prefill_tokens: float


def equilibrium(system: System) -> Equilibrium:
    """Return the eviction-free equilibrium of a system."""
    load, block = system.workload, system.block_size
    admissions = system.kv_tokens / float(load.memory_weights().sum())
    whole = system.kv_tokens // block * block
    return Equilibrium(
        admissions,
        whole / float(load.memory_weights(block).sum()),
        admissions * load.mean_output,
        admissions * load.mean_prompt,
    )
