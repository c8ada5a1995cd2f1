"""How fast admission may go without ever filling memory: the largest rate caps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.pacing import largest_paced_rate


@dataclass(frozen=True)
class RateCaps:
    """Largest admissions per iteration under ever more real conditions.

    Attributes
    ----------
    fluid
        ``x*``: real-valued requests, unpaged memory.
    blocks
        The same in whole blocks.
    steady
        The one to set: whole requests in whole blocks. Classes in turn never fill memory. For
        random lengths the mean leaves ``z`` standard deviations free (square-root margin,
        theory: section 6).
    z
        Standard deviations kept free for random lengths.
    """

    fluid: float
    blocks: float
    steady: float
    z: float

    @property
    def given_up(self) -> float:
        """Decode capacity that ``steady`` gives up, ``1 − steady / blocks``: what rounding to
        blocks costs is lost with or without a cap.
        """
        return max(0.0, 1 - self.steady / self.blocks)


def rate_caps(system: System, *, z: float = 2.0) -> RateCaps:
    """Return the largest rate caps of a system.

    Notes
    -----
    Classes in turn: the largest rate found whose evenly paced admissions, laid out request by
    request, never need more than memory (see `largest_paced_rate`).
    Random lengths admitted evenly have variance ``x Σ_m (E[(L0 + m + 1)² 1{L1 > m}] − w_m²)``,
    and ``steady`` solves ``x Σ w + z √(x V) = M`` (theory: section 6, for evenly paced
    admissions).
    """
    if not (math.isfinite(z) and z >= 0):
        raise InputError(f"{z}", field="z", allowed="0 or more")
    load, block = system.workload, system.block_size
    balance = equilibrium(system)
    memory = float(system.kv_tokens // block * block)
    if load.random:
        per_rate = float(load.memory_weights(block).sum())
        variance = float((load.squared_weights() - load.memory_weights() ** 2).sum())
        spread = z * math.sqrt(max(variance, 0.0))
        root = (math.sqrt(spread**2 + 4 * per_rate * memory) - spread) / (2 * per_rate)
        steady = root * root
    else:
        steady = largest_paced_rate(system, balance.admissions_blocks)
    return RateCaps(balance.admissions, balance.admissions_blocks, steady, z)


def reservation_rate(system: System) -> float:
    """Completions per iteration when every request reserves prompt + output for its whole life,
    ``M / E[L1 (L0 + L1)]``: guaranteed no eviction, with the worst cycle's throughput for one
    class (theory: section 4). Tokens are rounded up to whole blocks.
    """
    load, block = system.workload, system.block_size
    held = np.ceil((load.prompt + load.output) / block) * block
    memory = system.kv_tokens // block * block
    return memory / float(load.share @ (load.output * held))
