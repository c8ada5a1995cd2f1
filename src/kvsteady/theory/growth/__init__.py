"""Memory that grows otherwise than by one token per request and iteration."""

from kvsteady.theory.growth.blocks import BlockRoots, block_growth, block_roots
from kvsteady.theory.growth.law import Growth, growth_spectrum, steady_growth
from kvsteady.theory.growth.speculation import (
    SpeculationThreshold,
    speculation_threshold,
    speculative_growth,
    stabilising_acceptances,
)

__all__ = [
    "BlockRoots",
    "Growth",
    "SpeculationThreshold",
    "block_growth",
    "block_roots",
    "growth_spectrum",
    "speculation_threshold",
    "speculative_growth",
    "stabilising_acceptances",
    "steady_growth",
]
