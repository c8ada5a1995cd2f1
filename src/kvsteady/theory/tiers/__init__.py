"""Choosing output lengths and shares of tiers for the smallest spectral radius."""

from kvsteady.theory.tiers.candidate import Design, with_outputs
from kvsteady.theory.tiers.choices import Direction
from kvsteady.theory.tiers.cures import (
    WiderTolerance,
    spread_tiers,
    stable_extra_prompt,
    stable_prompt_within,
    stable_spread,
    stable_tolerance,
)
from kvsteady.theory.tiers.design import Outcome, TierDesign, design_tiers
from kvsteady.theory.tiers.exclude import Searched, Smallest, prove_smallest
from kvsteady.theory.tiers.proof import Proof, prove

__all__ = [
    "Design",
    "Direction",
    "Outcome",
    "Proof",
    "Searched",
    "Smallest",
    "TierDesign",
    "WiderTolerance",
    "design_tiers",
    "prove",
    "prove_smallest",
    "spread_tiers",
    "stable_extra_prompt",
    "stable_prompt_within",
    "stable_spread",
    "stable_tolerance",
    "with_outputs",
]
