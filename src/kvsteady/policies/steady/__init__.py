"""The policy that learns: paced by feedback, held back by a forecast. See `policy`."""

from kvsteady.policies.steady.policy import Steady

__all__ = ["Steady"]
