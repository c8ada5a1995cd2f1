"""The policy that learns: paced by a plan, held back by a forecast. See `policy`."""

from kvsteady.policies.steady.policy import Steady

__all__ = ["Steady"]
