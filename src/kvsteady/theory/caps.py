"""How fast admission may go without ever filling memory: the largest rate caps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model.system import System
from kvsteady.theory.equilibrium import equilibrium

# Requests in memory above which the rounding to whole requests is taken by a closed bound.
_MANY = 20_000


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
        The one to set: whole requests in whole blocks. For classes in turn, memory holds even
        when all classes peak at once. For random lengths the mean leaves ``z`` standard
        deviations free (square-root margin, theory: section 6).
    z
        Standard deviations kept free for random lengths.
    given_up
        Decode capacity that ``steady`` gives up, ``1 − steady / fluid``.
    """

    fluid: float
    blocks: float
    steady: float
    z: float

    @property
    def given_up(self) -> float:
        """Share of the eviction-free completion rate that ``steady`` leaves unused."""
        return 1 - self.steady / self.fluid


def rate_caps(system: System, *, z: float = 2.0) -> RateCaps:
    """Return the largest rate caps of a system.

    Notes
    -----
    Classes in turn: with whole requests of class k admitted ``1 / (x p_k)`` iterations apart,
    the j-th youngest of them is at most ``l1_k − 1 − ⌊j / (x p_k)⌋`` old when the oldest is about
    to complete; ``steady`` is the largest x at which all classes peaking at once still fit.
    Random lengths admitted evenly have variance ``x Σ_m (E[(L0 + m + 1)² 1{L1 > m}] − w_m²)``,
    and ``steady`` solves ``x Σ w + z √(x V) = M`` (theory: section 6, for evenly paced
    admissions). Where memory cannot hold one request of each class, ``steady`` is
    ``M / (Σ w + M_1)``, M_1 the largest request: above 0 and below x*, and it may evict.
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
        steady = _largest_paced_rate(system, balance.admissions_blocks, memory)
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


def _largest_paced_rate(system: System, most: float, memory: float) -> float:
    """Bisect for the largest evenly paced rate whose simultaneous peak fits in memory."""
    load, block = system.workload, system.block_size
    held = np.ceil((load.prompt + load.output) / block) * block
    if most * load.mean_output > _MANY or held.sum() > memory:
        # So many requests that one more of each class is a small matter; or no room even so.
        per_rate = float(load.memory_weights(block).sum())
        left = memory - float(held.sum())
        return left / per_rate if left > 0 else memory / (per_rate + float(held.max()))

    def peak(rate: float) -> float:
        total = 0.0
        for prompt, output, share in zip(load.prompt, load.output, load.share, strict=True):
            older = np.floor(np.arange(math.ceil(rate * share * output) + 1) / (rate * share))
            left = output - older[older < output]
            total += float((np.ceil((prompt + left) / block) * block).sum())
        return total

    low, high = most * 1e-6, most
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if peak(middle) <= memory else (low, middle)
    return low
