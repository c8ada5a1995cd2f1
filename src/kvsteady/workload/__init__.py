"""What arrives: the joint law of prompt and output lengths, and where it comes from."""

from kvsteady.workload.arrivals import Arrivals
from kvsteady.workload.distributions import Lengths, independent, parse_lengths
from kvsteady.workload.law import Workload
from kvsteady.workload.presets import PRESETS, preset

__all__ = [
    "PRESETS",
    "Arrivals",
    "Lengths",
    "Workload",
    "independent",
    "parse_lengths",
    "preset",
]
