"""How the simulator's kernels are compiled."""

from kvsteady.kernels import kernel

__all__ = ["kernel"]
