"""Memory with a prefix cache: blocks that outlive their requests and are shared by content."""

from kvsteady.simulate.prefix import pooled as _pooled  # registers its code behind the doors
from kvsteady.simulate.prefix.integrity import check_pool
from kvsteady.simulate.prefix.pool import Pooled, new_pool

__all__ = ["Pooled", "check_pool", "new_pool"]

del _pooled
