"""What arrives: the joint law of prompt and output lengths, and where it comes from."""

from kvsteady.workload.arrivals import Arrivals
from kvsteady.workload.distributions import Lengths, independent, parse_lengths
from kvsteady.workload.law import Workload

__all__ = ["Arrivals", "Lengths", "Workload", "independent", "parse_lengths"]
