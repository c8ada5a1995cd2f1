"""Memory with a radix cache: runs of pages that outlive their requests, in a tree by content."""

from kvsteady.simulate.radix import cached as _cached  # registers its code behind the doors
from kvsteady.simulate.radix.integrity import check_radix
from kvsteady.simulate.radix.tree import Radix, new_radix

__all__ = ["Radix", "check_radix", "new_radix"]

del _cached
