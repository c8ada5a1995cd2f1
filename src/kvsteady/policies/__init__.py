"""Who gets in: one small file per admission policy."""

from kvsteady.policies.greedy import Greedy
from kvsteady.policies.rate_cap import RateCap

__all__ = ["Greedy", "RateCap"]
