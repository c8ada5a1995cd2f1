"""Random lengths: a table over laws, what ``max_tokens`` does, and evictions by chance."""

from kvsteady.theory.laws.max_tokens import CapRow, cap_table, geometric_multiplier, stable_cap
from kvsteady.theory.laws.noise import ChanceEstimate, NoiseScaling, chance_evictions, noise_scaling
from kvsteady.theory.laws.table import LawRow, Measured, law_systems, law_table, system_for

__all__ = [
    "CapRow",
    "ChanceEstimate",
    "LawRow",
    "Measured",
    "NoiseScaling",
    "cap_table",
    "chance_evictions",
    "geometric_multiplier",
    "law_systems",
    "law_table",
    "noise_scaling",
    "stable_cap",
    "system_for",
]
